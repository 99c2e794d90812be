import Foundation
import NIOHTTP1
import Synchronization

/// Coordinators alone, as processes: three to begin with, more as `coxctl raft add` makes them.
final class CoordinatorGroup: Sendable {
    let folder: URL
    let operators: HTTP
    private let ports = Mutex<[String: Cluster.CoordinatorPorts]>([:])
    private let processes = Mutex<[String: Running]>([:])

    init() async throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "coxswain-raft-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let founders = try Dictionary(uniqueKeysWithValues: ["c1", "c2", "c3"].map { ($0, try Self.freePorts()) })
        ports.withLock { $0 = founders }
        try await ClusterFiles.initialise(folder, coordinators: founders)
        operators = try HTTP(
            authority: folder.appending(path: "authority.crt"),
            identity: (folder.appending(path: "operator.crt"), folder.appending(path: "operator.key")))
    }

    /// Runs `body` with a group that has a leader, and leaves nothing behind.
    static func run(_ body: (CoordinatorGroup) async throws -> Void) async throws {
        let group = try await CoordinatorGroup()
        do {
            for name in group.names { try group.start(name) }
            try await group.waitFor("a leader") { _ in true }
            try await body(group)
        } catch {
            for name in group.names { print("--- \(name)\n\(group.tail(of: name))") }
            await group.tearDown()
            throw error
        }
        await group.tearDown()
    }

    private static func freePorts() throws -> Cluster.CoordinatorPorts {
        let own = Ports.free(4)
        return Cluster.CoordinatorPorts(api: own[0], link: own[1], gossip: own[2], metrics: own[3])
    }

    var names: [String] { ports.withLock { $0.keys.sorted() } }

    // MARK: Processes

    func start(_ name: String) throws {
        let running = try Running(
            "coxswain-coordinator", ["--config", folder.appending(path: "\(name)/coordinator.json").path],
            log: folder.appending(path: "\(name).out"))
        processes.withLock { $0[name] = running }
    }

    func process(_ name: String) throws -> Running {
        guard let running = processes.withLock({ $0[name] }) else { throw Failure("\(name) does not run") }
        return running
    }

    /// SIGKILL: nothing is said, flushed or closed.
    func kill(_ name: String) throws {
        try process(name).kill()
        processes.withLock { $0[name] = nil }
    }

    /// SIGSTOP for a while: the process is there, its sockets are open, and it does nothing.
    func pause(_ name: String, for span: Duration) async throws {
        let identifier = try process(name).identifier
        Foundation.kill(identifier, SIGSTOP)
        defer { Foundation.kill(identifier, SIGCONT) }
        try await Task.sleep(for: span)
    }

    func wipe(_ name: String) throws { try FileManager.default.removeItem(at: folder.appending(path: "\(name)/data")) }

    func tearDown() async {
        for process in processes.withLock({ Array($0.values) }) {
            Foundation.kill(process.identifier, SIGCONT)
            process.kill()
        }
        await operators.close()
        if ProcessInfo.processInfo.environment["COXSWAIN_KEEP"] == nil { try? FileManager.default.removeItem(at: folder) }
    }

    func tail(of name: String) -> String {
        let text = (try? String(contentsOf: folder.appending(path: "\(name).out"), encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(15).joined(separator: "\n")
    }

    // MARK: What operators do

    /// `coxctl raft …`, which must succeed.
    @discardableResult
    func raft(_ arguments: String...) async throws -> String {
        let outcome = try await Programs.run(
            "coxctl",
            ["raft"] + arguments + ["--context", folder.appending(path: "context.json").path, "--timeout", "60", "--yes"],
            within: 70)
        guard outcome.status == 0 else { throw Failure("coxctl raft \(arguments): \(outcome)") }
        return outcome.output
    }

    /// Declares a coordinator, makes its folder, and starts it.
    func add(_ name: String) async throws {
        let own = try Self.freePorts()
        try await raft(
            "add", name, "--zone", "a", "--host", "127.0.0.1", "--dir", folder.appending(path: name).path, "--api",
            "\(own.api)",
            "--link", "\(own.link)", "--gossip", "\(own.gossip)", "--metrics", "\(own.metrics)")
        ports.withLock { $0[name] = own }
        try start(name)
    }

    func forget(_ name: String) throws {
        try kill(name)
        ports.withLock { $0[name] = nil }
    }

    // MARK: What it says

    func api(_ name: String) -> String { "https://127.0.0.1:\(ports.withLock { $0[name]?.api ?? 0 })/api/v1" }

    /// The group as its leader sees it.
    func view() async throws -> [String: JSON] {
        for name in names {
            guard let answer = try? await operators.send(.GET, api(name) + "/raft/members", within: 2), answer.status == 200
            else { continue }
            if answer.json["role"]?.string == "leader" { return answer.json }
        }
        throw Failure("nobody leads")
    }

    func leader() async throws -> String {
        guard let leader = try await view()["leader"]?.string else { throw Failure("nobody leads") }
        return leader
    }

    /// The names of those who vote, with their stores where these are not the first ones.
    static func voters(_ view: [String: JSON]) -> [String] {
        (view["members"]?.array ?? []).filter { $0["role"]?.string == "voter" }.compactMap { $0["member"]?.string }
    }

    func waitFor(_ what: String, _ condition: ([String: JSON]) -> Bool) async throws {
        try await expectEventually(what, within: 20) { condition(try await self.view()) }
    }
}
