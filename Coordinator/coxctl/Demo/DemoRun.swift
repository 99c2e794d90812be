// One run of the demo: what all scenes need.

import Client
import FoundationEssentials
import KeyEncoding
import Launching
import Model
import LoadLedger

struct DemoFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Holds the cluster, the clients and what was measured so far. The scenes are in extensions.
struct DemoRun {
    let cluster: LocalCluster
    let narrator: Narrator
    let control: ControlClient
    let client: CoxswainClient
    let calls: HTTPCalls
    let context: ClusterContext
    let packages: PackageList
    let load: DemoLoad
    var summary = DemoSummary()
    /// A token of one second, asked for early so that it has long expired when it is shown.
    var expiredToken: String?

    /// Rows of `usertable`, and bytes of each beside what the load writes: enough that a move has something to carry.
    private static let userCount = 8_000
    private static let userBytes = 400

    init(cluster: LocalCluster, narrator: Narrator, packages: PackageList) throws {
        self.cluster = cluster
        self.narrator = narrator
        self.packages = packages
        context = try ClusterContext(path: "\(cluster.folder)/context.json")
        calls = HTTPCalls(tls: context.tls)
        control = ControlClient(endpoints: context.endpoints, calls: calls)
        client = CoxswainClient(
            calls: calls, control: control, clusterID: context.clusterID, principal: context.principal,
            gateways: cluster.agents.map { "127.0.0.1:\($0.gateway)" })
        let users = (0..<Self.userCount).map { number in
            let digits = String(number)
            return "user" + String(repeating: "0", count: 8 - digits.count) + digits
        }
        let words = packages.prose(bytes: Self.userBytes)
        load = DemoLoad(
            client: client,
            tables: [
                LoadTable(subject: LedgerSubject(table: "usertable", keyColumn: "id", valueColumn: "field0"), keys: users) {
                    JSONValue.object(["id": .string(users[$0]), "field0": .string($1), "field1": .string(words($0))])
                },
                LoadTable(
                    subject: LedgerSubject(table: "packages", keyColumn: "name", valueColumn: PackageList.note),
                    keys: packages.names
                ) { packages.row($0, note: $1) },
            ])
    }

    /// Asks again and again until there is an answer.
    /// - Throws: `DemoFailure` naming what was waited for, or a process that ended meanwhile.
    func eventually<Value>(
        _ what: String, within seconds: Int64, everyMilliseconds pause: Int64 = 50, _ attempt: () async throws -> Value?
    ) async throws -> Value {
        let deadline = BootTime.now() + seconds * 1_000_000
        var last: (any Error)?
        while BootTime.now() < deadline {
            do {
                if let value = try await attempt() { return value }
            } catch {
                last = error
            }
            try await Task.sleep(for: .milliseconds(pause))
        }
        throw DemoFailure("waited \(seconds) s for \(what)" + (last.map { ": \($0)" } ?? ""))
    }

    /// What an agent says of itself; nil when it does not answer.
    func status(of agent: LocalCluster.Agent) async -> JSONValue? {
        let answer = try? await calls.call(.get, "http://127.0.0.1:\(agent.status)/status", milliseconds: 500)
        return answer?.status == 200 ? answer?.body : nil
    }

    /// Waits for an operation's end.
    func finish(_ answer: ControlClient.Answer, _ what: String, within seconds: Int64 = 60) async throws -> JSONValue {
        guard let id = answer.location?.split(separator: "/").last.map(String.init) ?? Self.identifier(answer.body) else {
            throw DemoFailure("\(what): the answer names no operation: \(answer.body.text)")
        }
        let operation = try await eventually("\(what) (operation \(id))", within: seconds) { () async throws -> JSONValue? in
            let operation = try await control.call(.get, "/operations/\(id)", milliseconds: 5_000).body
            return operation["phase"]?.string?.lowercased() == "running" ? nil : operation
        }
        guard operation["phase"]?.string?.lowercased() == "succeeded" else { throw DemoFailure("\(what): \(operation.text)") }
        return operation
    }

    private static func identifier(_ body: JSONValue) -> String? {
        for name in ["operation_id", "id", "operation"] {
            if let text = body[name]?.string { return text }
            if let number = body[name]?.unsigned { return String(number) }
        }
        return nil
    }

    /// Whether the key of that number in `usertable` lies in `partition`.
    func belongs(_ partition: PartitionRoute, layout: KeyLayout) -> (Int) -> Bool {
        let users = load.tables[0]
        let inside = users.keys.indices.map { number in
            (try? layout.key(text: users.keyText(number))).map(partition.contains) ?? false
        }
        return { inside.indices.contains($0) && inside[$0] }
    }
}
