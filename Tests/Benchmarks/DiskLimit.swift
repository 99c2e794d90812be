// What the disk under the data folders can do: the denominator of everything that must be durable before it is answered.

import Glibc

enum DiskLimit {
    struct Measured: Sendable {
        /// Appends that were durable, in a second.
        let rate: Double
        /// Milliseconds from the write to the end of its sync.
        let times: Samples
    }

    static func name(group: Int) -> String { group == 1 ? "fdatasync each" : "fdatasync each \(group)" }

    /// As our own logs do it at best: a file that is there in full, written front to back, each group followed by one `fdatasync`.
    /// - Parameter group: how many appends share a sync.
    static func appends(
        of bytes: Int = 4_096, group: Int, in folder: String, seconds: Double
    ) throws -> Measured {
        let path = "\(folder)/limit"
        let size = 64 << 20
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BenchFailure("\(path): \(String(cString: strerror(errno)))") }
        defer {
            close(descriptor)
            unlink(path)
        }
        guard posix_fallocate(descriptor, 0, off_t(size)) == 0, fsync(descriptor) == 0 else {
            throw BenchFailure("\(path): no room for \(size) bytes")
        }
        let block = [UInt8](repeating: 0x5A, count: bytes * group)
        let clock = ContinuousClock()
        let start = clock.now
        var times = Samples()
        var place = 0
        var last = start
        while last - start < .seconds(seconds) {
            if place + block.count > size { place = 0 }
            guard pwrite(descriptor, block, block.count, off_t(place)) == block.count, fdatasync(descriptor) == 0 else {
                throw BenchFailure("\(path): \(String(cString: strerror(errno)))")
            }
            place += block.count
            let now = clock.now
            times.add((now - last).inMilliseconds)
            last = now
        }
        return Measured(rate: Double(times.values.count * group) / (last - start).inSeconds, times: times)
    }

    /// Seconds in which `dd` makes a durable copy of a file beside it, which is removed.
    static func copy(of path: String) throws -> Double {
        defer { unlink("\(path).copy") }
        return try BenchProgram.run("/bin/dd", ["if=\(path)", "of=\(path).copy", "bs=1M", "conv=fsync"])
    }
}

struct BenchFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
