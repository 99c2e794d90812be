import Foundation
import NIOHTTP1
import Testing

/// Clusters of one coordinator and a few agents, and two beside each other.
@Suite(.serialized, .enabled(if: Programs.areBuilt, "the programs are not built")) struct SmallClusterTests {
    private func telling(_ clusters: [Cluster], _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            for cluster in clusters {
                for name in cluster.coordinatorNames + cluster.agentNames { print("--- \(name)\n\(cluster.tail(of: name))") }
            }
            for cluster in clusters { await cluster.tearDown() }
            throw error
        }
        for cluster in clusters { await cluster.tearDown() }
    }

    /// Waits until each of `observers` holds all of `members` but itself in a status.
    private func wait(for status: String, of members: [String], by observers: [String], in cluster: Cluster) async throws {
        for observer in observers {
            try await expectEventually("\(members) \(status) for \(observer)", within: 40) {
                let beliefs = try await cluster.beliefs(of: observer)
                return members.allSatisfy { $0 == observer || beliefs[$0] == status }
            }
        }
    }

    @Test(
        "C12: agents that join one coordinator at the same moment all hold each other and the coordinator alive",
        .timeLimit(.minutes(10)))
    func joinAtOnce() async throws {
        let agents = (1...6).map { "n\($0)" }
        let cluster = try await Cluster(coordinators: ["c1"], agents: agents)
        try await telling([cluster]) {
            try await cluster.startAll()
            try await wait(for: "alive", of: agents + ["c1"], by: agents, in: cluster)
            try await wait(for: "alive", of: agents, by: ["c1"], in: cluster)
        }
    }

    @Test(
        "C25: of one, two and three agents beside one coordinator, the one that stands still is held dead by all others, and returns",
        .timeLimit(.minutes(10)))
    func few() async throws {
        let cluster = try await Cluster(coordinators: ["c1"], agents: ["n1", "n2", "n3"])
        try await telling([cluster]) {
            try cluster.startCoordinators()
            try await expectEventually("a leader", within: 15) { try await !cluster.leader().isEmpty }
            for (index, one) in cluster.agentNames.enumerated() {
                try await cluster.join(one)
                try await cluster.waitForHealth(of: index + 1)
                let others = cluster.agentNames.prefix(index) + ["c1"]
                try await wait(for: "alive", of: [one], by: Array(others), in: cluster)
                let process = try #require(cluster.process(one))
                process.halt()
                try await wait(for: "dead", of: [one], by: Array(others), in: cluster)
                process.goOn()
                try await wait(for: "alive", of: [one], by: Array(others), in: cluster)
            }
        }
    }

    @Test(
        "C24: an agent of another cluster at the address of one that died stays a stranger to those who call there, and they to it",
        .timeLimit(.minutes(10)))
    func twoClusters() async throws {
        let ours = try await Cluster(coordinators: ["c1"], agents: ["n1", "n2"])
        let place = try #require(ours.agentPorts["n2"])
        let theirs = try await Cluster(coordinators: ["c1"], agents: ["n2"], places: ["n2": place])
        try await telling([ours, theirs]) {
            try await ours.startAll()
            try await wait(for: "alive", of: ["n2"], by: ["n1", "c1"], in: ours)
            ours.kill(["n2"])
            try await wait(for: "dead", of: ["n2"], by: ["n1", "c1"], in: ours)
            try await theirs.startAll()
            // Who died is called there again and again, by its own name, which is the stranger's too.
            let life = try await ours.entry("n2", at: "n1")
            try await expectEventually("calls of the others at that address", within: 40) {
                try await theirs.meters(of: "n2").total("gossip_decrypt_failures_total") >= 6
            }
            #expect(try await ours.entry("n2", at: "n1") == life)
            #expect(try await Set(ours.beliefs(of: "n1").keys) == ["c1", "n2"])
            #expect(try await Set(theirs.beliefs(of: "n2").keys) == ["c1"])
            #expect(try await Set(theirs.beliefs(of: "c1").keys) == ["n2"])
            theirs.kill(["n2"])
            try ours.start("n2")
            try await wait(for: "alive", of: ["n2"], by: ["n1", "c1"], in: ours)
        }
    }
}

extension Cluster {
    /// What an agent says of one member that does not change with time.
    fileprivate func entry(_ member: String, at agent: String) async throws -> [String] {
        let entry = try await status(of: agent)["members"]?.array.first { $0["node_id"]?.string == member }
        guard let entry else { throw Failure("\(agent) does not know \(member)") }
        return [entry["status"]?.string ?? "", "\(entry["generation"]?.number ?? 0)", "\(entry["incarnation"]?.number ?? 0)"]
    }
}

extension ClusterTests {
    @Test(
        "C29: an agent of an idle cluster sends and receives twenty datagrams a second at most, and not none",
        .timeLimit(.minutes(10)))
    func idle() async throws {
        let cluster = try await Cluster.whole()
        let first = try await cluster.meters(of: "n1")
        let start = try first.total("uptime_seconds")
        var last = first
        // By its own clock, with its own counters.
        try await expectEventually("some seconds", within: 20) {
            last = try await cluster.meters(of: "n1")
            return try last.total("uptime_seconds") >= start + 6
        }
        let seconds = try last.total("uptime_seconds") - start
        for direction in ["sent", "received"] {
            let label = "direction=\"\(direction)\""
            let rate =
                try (last.total("gossip_datagrams_total", label) - first.total("gossip_datagrams_total", label)) / seconds
            print("\(direction): \(rate) datagrams a second")
            #expect(rate > 0.5 && rate <= 20, "\(direction): \(rate) a second")
        }
    }
}
