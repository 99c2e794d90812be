import DiskKit
import Foundation
import NIOHTTP1
import NIOPosix
import ProcessKit
import Synchronization

/// Coordinators alone, as processes: three or five to begin with, more as `coxctl raft add` makes them. Each is a host of a network of
/// their own, and so are their clients, where this machine lets one be made; else all of them share the machine's loopback.
final class CoordinatorGroup: Sendable {
    let folder: URL
    let operators: HTTP
    /// Nil on loopback.
    let network: TestNetwork?
    private let ports = Mutex<[String: Cluster.CoordinatorPorts]>([:])
    private let processes = Mutex<[String: Running]>([:])
    private let disks = Mutex<[String: SmallDisk]>([:])
    private static let clients = "clients"

    /// Why its members have no network of their own here, or nil when they have.
    static var network: String? { TestNetwork.missing }

    init(size: Int = 3) async throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "coxswain-raft-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        network = TestNetwork.missing == nil ? try TestNetwork() : nil
        try network?.add(Self.clients)
        var founders: [String: Cluster.CoordinatorPorts] = [:]
        for name in (1...size).map({ "c\($0)" }) { founders[name] = try Self.place(for: name, in: network) }
        ports.withLock { $0 = founders }
        try await ClusterFiles.initialise(folder, coordinators: founders)
        operators = try HTTP(
            authority: folder.appending(path: "authority.crt"),
            identity: (folder.appending(path: "operator.crt"), folder.appending(path: "operator.key")),
            on: await network?.loops(on: Self.clients), isPatient: false)
    }

    /// A client that keeps a connection to a member and stands still.
    func sleepingClient(of name: String) async throws -> SleepingClient {
        try await SleepingClient(
            of: api(name) + "/raft/members", authority: folder.appending(path: "authority.crt"),
            identity: (folder.appending(path: "operator.crt"), folder.appending(path: "operator.key")),
            on: await network?.loops(on: Self.clients) ?? MultiThreadedEventLoopGroup(numberOfThreads: 1))
    }

    /// A host of its own with the usual ports, or ports of its own on this one.
    private static func place(for name: String, in network: TestNetwork?) throws -> Cluster.CoordinatorPorts {
        if let network {
            return Cluster.CoordinatorPorts(api: 7_401, link: 7_411, gossip: 7_421, metrics: 7_431, host: try network.add(name))
        }
        let own = Ports.free(4)
        return Cluster.CoordinatorPorts(api: own[0], link: own[1], gossip: own[2], metrics: own[3])
    }

    var names: [String] { ports.withLock { $0.keys.sorted() } }

    // MARK: Processes

    func start(_ name: String) throws {
        let running = try Running(
            "coxswain-coordinator", ["--config", folder.appending(path: "\(name)/coordinator.json").path],
            by: network?.prefix(on: name) ?? [], log: folder.appending(path: "\(name).out"))
        processes.withLock { $0[name] = running }
    }

    func process(_ name: String) throws -> Running {
        guard let running = processes.withLock({ $0[name] }) else { throw Failure("\(name) does not run") }
        return running
    }

    /// SIGKILL: nothing is said, flushed or closed. The machine lives on, and resets the connections.
    func kill(_ name: String) throws {
        try process(name).kill()
        processes.withLock { $0[name] = nil }
    }

    /// The machine is gone, and nobody is told: what was sent to it is neither taken nor refused.
    func cutPower(of name: String) throws {
        try network?.cut(isolation(of: name))
        try kill(name)
    }

    /// The machine starts again.
    func restorePower(of name: String) throws {
        try network?.heal(isolation(of: name))
        try start(name)
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

    // MARK: Network and disks

    typealias Cut = TestNetwork.Cut

    /// Each direction between two members.
    var directions: [Cut] {
        names.flatMap { from in names.filter { $0 != from }.map { Cut(from: from, to: $0) } }
    }

    /// Between a member and everybody else, its clients too.
    private func isolation(of name: String) -> [Cut] {
        (names + [Self.clients]).filter { $0 != name }.flatMap { [Cut(from: $0, to: name), Cut(from: name, to: $0)] }
    }

    /// Puts a member's data, which it does not have yet, on a disk of a few megabytes.
    func giveSmallDisk(_ name: String, bytes: Int) throws -> SmallDisk {
        let disk = try SmallDisk(bytes: bytes)
        disks.withLock { $0[name] = disk }
        let own = folder.appending(path: name)
        let data = URL(filePath: disk.path).appending(path: "data")
        if FileManager.default.fileExists(atPath: own.appending(path: "data").path) {
            try FileManager.default.moveItem(at: own.appending(path: "data"), to: data)
        }
        try rewriteSettings(of: name) { settings in
            settings["data"] = data.path
            settings["tuning"] = ["log_segment_mib": 1, "disk_reserve_mib": 2]
        }
        return disk
    }

    private func rewriteSettings(of name: String, _ change: (inout [String: Any]) -> Void) throws {
        let file = folder.appending(path: "\(name)/coordinator.json")
        let parsed = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
        guard var settings = parsed as? [String: Any] else { throw Failure("\(file.path) is no object") }
        change(&settings)
        try JSONSerialization.data(withJSONObject: settings).write(to: file)
    }

    // MARK: What operators do

    /// `coxctl raft …`, which must succeed.
    ///
    /// - Parameter name: the only member that it is told of; nil for all.
    @discardableResult
    func raft(_ arguments: String..., asking name: String? = nil) async throws -> String {
        var words =
            ["raft"] + arguments + ["--context", folder.appending(path: "context.json").path, "--timeout", "60", "--yes"]
        if let name { words += ["--endpoints", "https://\(address(name))"] }
        let outcome = try await Programs.run("coxctl", words, by: network?.prefix(on: Self.clients) ?? [], within: 70)
        guard outcome.status == 0 else { throw Failure("coxctl raft \(arguments): \(outcome)") }
        return outcome.output
    }

    /// Declares a coordinator, makes its folder, and starts it.
    func add(_ name: String) async throws {
        let own = try Self.place(for: name, in: network)
        try await raft(
            "add", name, "--zone", "a", "--host", own.host, "--dir", folder.appending(path: name).path, "--api",
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

    private func address(_ name: String) -> String {
        let own = ports.withLock { $0[name] }
        return "\(own?.host ?? "127.0.0.1"):\(own?.api ?? 0)"
    }

    func api(_ name: String) -> String { "https://\(address(name))/api/v1" }

    /// The group as one member sees it.
    func ownView(of name: String) async throws -> [String: JSON] {
        let answer = try await operators.send(.GET, api(name) + "/raft/members", within: 2)
        guard answer.status == 200 else { throw Failure("\(name): \(answer.status) \(answer.text)") }
        return answer.json
    }

    /// The group as its leader sees it.
    func view() async throws -> [String: JSON] {
        for name in names {
            if let view = try? await ownView(of: name), view["role"]?.string == "leader" { return view }
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

    /// Whether the leader has a link to it, and its log is at most a little behind.
    static func isConnected(_ name: String, in view: [String: JSON]) -> Bool {
        (view["members"]?.array ?? []).contains { member in
            member["node_id"]?.string == name && member["connected"] == .boolean(true)
                && (member["behind"]?.number ?? .infinity) < 100
        }
    }

    func waitFor(_ what: String, _ condition: ([String: JSON]) -> Bool) async throws {
        try await expectEventually(what, within: 20) { condition(try await self.view()) }
    }
}
