// What the machine and this process use, as the kernel counts it: /proc and statvfs. What cannot be read counts as zero; nobody
// decides anything by these figures alone.

import Glibc
package import Model
import Synchronization

/// Reads the machine's load, and this process's own.
package final class MachineMeter: Sendable {
    private struct Processor {
        var busy: UInt64 = 0
        var total: UInt64 = 0
    }

    private struct State {
        var last = Processor()
        var percent = 0.0
    }

    /// Ticks between two readings below which the old share stands: a shorter span measures mostly its own coarseness.
    private static let window: UInt64 = 50

    private let folder: String
    private let state = Mutex(State())

    /// - Parameter folder: the data folder, whose disk is meant.
    package init(folder: String) {
        self.folder = folder
        _ = read()
    }

    /// The share of the processors is that of the time since the last reading.
    package func read() -> MachineLoad {
        let percent = state.withLock { state -> Double in
            let now = Self.processor()
            if now.total >= state.last.total + Self.window {
                state.percent = 100 * Double(now.busy &- state.last.busy) / Double(now.total - state.last.total)
                state.last = now
            }
            return min(100, max(0, state.percent))
        }
        let memory = Self.fields(of: "/proc/meminfo")
        let disk = Self.disk(folder)
        return MachineLoad(
            cpuPercent: percent, memoryTotalBytes: (memory["MemTotal"] ?? 0) * 1_024,
            memoryFreeBytes: (memory["MemAvailable"] ?? 0) * 1_024, diskTotalBytes: disk.total, diskFreeBytes: disk.free)
    }

    /// Clock ticks since the machine's start: of all processors together, and of them not idle and not waiting for a disk.
    private static func processor() -> Processor {
        guard let line = ProcFile.text("/proc/stat").split(separator: "\n").first(where: { $0.hasPrefix("cpu ") }) else {
            return Processor()
        }
        // user nice system idle iowait irq softirq steal; what guests use is part of user already.
        let ticks = line.split(separator: " ").dropFirst().prefix(8).map { UInt64($0) ?? 0 }
        guard ticks.count >= 5 else { return Processor() }
        let total = ticks.reduce(0, &+)
        return Processor(busy: total &- ticks[3] &- ticks[4], total: total)
    }

    /// Lines of `Name:  number unit`.
    private static func fields(of path: String) -> [Substring: UInt64] {
        var fields: [Substring: UInt64] = [:]
        for line in ProcFile.text(path).split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let number = parts[1].split(separator: " ").first.flatMap({ UInt64($0) }) else { continue }
            fields[parts[0]] = number
        }
        return fields
    }

    /// What an ordinary user may still fill counts as free.
    private static func disk(_ folder: String) -> (total: UInt64, free: UInt64) {
        var found = statvfs()
        guard statvfs(folder, &found) == 0 else { return (0, 0) }
        let unit = UInt64(found.f_frsize)
        let (used, free) = (UInt64(found.f_blocks) - UInt64(found.f_bfree), UInt64(found.f_bavail))
        return ((used + free) * unit, free * unit)
    }
}

/// What this process uses.
package struct ProcessUsage: Hashable, Sendable {
    package let cpuSeconds: Double
    package let residentBytes: UInt64
    package let openDescriptors: Int

    package static func now() -> ProcessUsage {
        // Behind the name in brackets, which may hold anything, come the fields from the third on (proc(5)).
        let fields = ProcFile.text("/proc/self/stat").split(separator: ")").last?.split(separator: " ") ?? []
        let ticks = fields.count > 12 ? (Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0) : 0
        let pages = ProcFile.text("/proc/self/statm").split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0
        return ProcessUsage(
            cpuSeconds: ticks / Double(max(1, sysconf(Int32(_SC_CLK_TCK)))),
            residentBytes: pages * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE)))),
            openDescriptors: ProcFile.count("/proc/self/fd"))
    }
}

enum ProcFile {
    /// The whole of a small file; nothing if it cannot be read.
    static func text(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < 1 << 20 {
            let count = Glibc.read(descriptor, &block, block.count)
            guard count > 0 else { break }
            bytes += block[0..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// How many entries a folder has.
    static func count(_ path: String) -> Int {
        guard let folder = opendir(path) else { return 0 }
        defer { closedir(folder) }
        var entries = 0
        while readdir(folder) != nil { entries += 1 }
        // `.`, `..`, and the descriptor that is reading.
        return max(0, entries - 3)
    }
}
