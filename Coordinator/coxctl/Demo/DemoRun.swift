// One run of the demo: what all scenes need.

import Client
import FoundationEssentials
import KeyEncoding
import Launching
import Model

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
    let load: DemoLoad
    var summary = DemoSummary()
    /// A token of one second, asked for early so that it has long expired when it is shown.
    var expiredToken: String?

    init(cluster: LocalCluster, narrator: Narrator) throws {
        self.cluster = cluster
        self.narrator = narrator
        context = try ClusterContext(path: "\(cluster.folder)/context.json")
        calls = HTTPCalls(tls: context.tls)
        control = ControlClient(endpoints: context.endpoints, calls: calls)
        client = CoxswainClient(
            calls: calls, control: control, clusterID: context.clusterID, principal: context.principal,
            gateways: cluster.agents.map { "127.0.0.1:\($0.gateway)" })
        load = DemoLoad(client: client, keys: DemoKeys(count: 4_000, workers: 16))
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

    /// Which agent leads which partitions, by their own words.
    func primaries() async -> [String: Set<String>] {
        var led: [String: Set<String>] = [:]
        for agent in cluster.agents {
            let partitions = await status(of: agent)?["partitions"]?.array ?? []
            led[agent.name] = Set(
                partitions.filter { $0["role"]?.string == "primary" }.compactMap { $0["partition_id"]?.string })
        }
        return led
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

    /// Whether the key of that number lies in `partition`.
    func belongs(_ partition: PartitionRoute, layout: KeyLayout) -> (Int) -> Bool {
        let keys = load.keys
        let inside = (0..<keys.count).map { number in
            (try? layout.key(text: keys.keyText(number))).map(partition.contains) ?? false
        }
        return { inside.indices.contains($0) && inside[$0] }
    }
}
