import Foundation
import NIOHTTP1
import Testing

/// What the kernel says of the processes, not what they say of themselves.
@Suite(
    .serialized, .enabled(if: Programs.areBuilt, "the programs are not built"),
    .enabled(if: SyncCount.isAllowed, "strace is not installed, or this machine lets nobody trace"), .cluster)
struct KernelTests {
    @Test("twenty writes, one after the other, are synced twenty times by each of three agents", .timeLimit(.minutes(10)))
    func writes() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("kernel_writes")
        #expect(try await rows.put("first", 0) == .acknowledged)
        let counts = try await counting(Cluster.agents, in: cluster) { () async throws in
            for index in 0..<20 { #expect(try await rows.put("k", index) == .acknowledged) }
        }
        #expect(counts.count { $0 >= 20 } >= 3, "syncs of each agent: \(counts)")
    }

    @Test("what the coordinators commit is synced by two of three at least", .timeLimit(.minutes(10)))
    func commits() async throws {
        let cluster = try await Cluster.whole()
        let counts = try await counting(Cluster.coordinators, in: cluster) { () async throws in
            for index in 0..<10 {
                let answer = try await cluster.api(
                    .PUT, "/config/global/entries/repair_delay_seconds", body: #"{"value":\#(200 + index)}"#)
                #expect(answer.status < 300, "\(answer.text)")
            }
        }
        #expect(counts.count { $0 >= 10 } >= 2, "syncs of each coordinator: \(counts)")
    }

    /// How often each of the processes synced a file while `work` went on.
    private func counting(
        _ names: [String], in cluster: Cluster, _ work: () async throws -> Void
    ) async throws -> [Int] {
        let counts = try await names.asyncMap { name in
            guard let process = cluster.process(name) else { throw Failure("\(name) does not run") }
            return try await SyncCount(of: process.identifier, in: cluster.folder)
        }
        let result: Result<Void, any Error>
        do { result = .success(try await work()) } catch { result = .failure(error) }
        let found = try counts.map { try $0.end() }
        try result.get()
        return found
    }
}

/// Counts the `fsync` and `fdatasync` of one process where they enter the kernel.
struct SyncCount {
    private static let strace = "/usr/bin/strace"

    /// Whether a process of ours can be traced here.
    static var isAllowed: Bool {
        guard FileManager.default.isExecutableFile(atPath: strace) else { return false }
        let probe = Process()
        probe.executableURL = URL(filePath: strace)
        probe.arguments = ["-qq", "-e", "trace=none", "/bin/true"]
        probe.standardError = FileHandle.nullDevice
        guard (try? probe.run()) != nil else { return false }
        probe.waitUntilExit()
        return probe.terminationStatus == 0
    }

    private let tracer: Running
    private let output: URL

    /// Begins to count; every thread is seen from here on.
    init(of process: Int32, in folder: URL) async throws {
        output = folder.appending(path: "strace.\(process).\(UUID().uuidString.prefix(8))")
        tracer = try Running(
            path: Self.strace,
            ["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", output.path, "-p", "\(process)"],
            log: folder.appending(path: "strace.out"))
        try await expectEventually("strace sees every thread of \(process)", within: 10) { Self.isTraced(process) }
    }

    private static func isTraced(_ process: Int32) -> Bool {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
        return !tasks.isEmpty
            && tasks.allSatisfy { task in
                let status = (try? String(contentsOfFile: "/proc/\(process)/task/\(task)/status", encoding: .utf8)) ?? ""
                return status.split(separator: "\n").contains { $0.hasPrefix("TracerPid:") && !$0.hasSuffix("\t0") }
            }
    }

    /// Lets the process go.
    /// - Returns: how often it synced.
    func end() throws -> Int {
        // It writes each line as it sees it, and the kernel lets go of what a dead tracer held.
        tracer.kill()
        // A call that was interrupted is written on two lines; only the first names its arguments.
        return try String(contentsOf: output, encoding: .utf8).split(separator: "\n").count { $0.contains("sync(") }
    }
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
