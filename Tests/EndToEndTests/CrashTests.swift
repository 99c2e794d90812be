import Foundation
import NIOHTTP1
import Testing

/// Somebody is killed while an operation of real processes is under way. The simulator kills at every step (`make sim-crash`); here it
/// is at those that the API shows, on real disks and links.
extension ClusterTests {
    enum Victim: String, CaseIterable, Sendable { case source, target, leader }

    /// How long after what the API shows somebody is killed, in milliseconds: between the steps that it shows there are others.
    private static let moments = GroupStory.isLong ? [0, 10, 20, 40, 80, 160, 320] : [0]

    private struct Place {
        let partition: String
        let holders: [String]
        let primary: String
        let spare: String
    }

    private func place(of key: String, in table: String, _ cluster: Cluster) async throws -> Place {
        let route = try await cluster.route(table, key: "[\"\(key)\"]")
        let holders = route["replicas"]?.array.compactMap { $0["node_id"]?.string } ?? []
        return Place(
            partition: try #require(route["partition_id"]?.string), holders: holders,
            primary: try #require(route["primary"]?.string),
            spare: try #require(Cluster.agents.first { !holders.contains($0) }))
    }

    /// Begins, as soon as it is not refused any more: members that were killed a moment ago are catching up.
    private func begin(_ path: String, _ body: String, _ cluster: Cluster) async throws -> String {
        var operation = ""
        try await expectEventually("POST \(path) is taken", within: 30) {
            operation = (try? await cluster.begin(path, body)) ?? ""
            return !operation.isEmpty
        }
        return operation
    }

    /// Kills, starts again, and waits for the end of the operation and for everybody.
    /// - Returns: whether it succeeded.
    private func kill(
        _ victim: String, after moment: Int, during operation: String, of cluster: Cluster
    ) async throws -> Bool {
        try await Task.sleep(for: .milliseconds(moment))
        cluster.kill([victim])
        try await Task.sleep(for: .milliseconds(500))
        try cluster.start(victim)
        let phase = try await cluster.wait(for: operation)
        print("  \(victim) killed \(moment) ms after: \(phase)")
        _ = try await Cluster.whole()
        return phase == "succeeded"
    }

    /// Nothing is held by an agent that no descriptor places there, and nothing is fenced.
    private func expectNothingLeft(_ cluster: Cluster, _ load: Load) async throws {
        for agent in Cluster.agents {
            try await expectEventually("\(agent) holds nothing for nobody", within: 30) {
                try await cluster.meter("replicas_stray", of: agent) == 0
            }
        }
        let before = load.writes
        try await expectEventually("writes go on", within: 20) { load.writes > before + 100 }
    }

    @Test(
        "a move with its source, its target or the coordinators' leader killed ends whole or not at all, and leaves nothing",
        .timeLimit(.minutes(30)), arguments: Victim.allCases)
    func moveKilled(victim: Victim) async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("move_\(victim.rawValue)_killed")
        let load = Load(rows)
        _ = try await load.during(prefix: "m") {
            for (step, moment) in Self.moments.flatMap({ [("copy", $0), ("handOver", $0)] }) {
                try await expectEventually("load", within: 20) { load.writes > 100 }
                let place = try await place(of: "m", in: rows.table, cluster)
                let operation = try await begin(
                    "/tables/\(rows.table)/partitions/\(place.partition):move",
                    "{\"source\":\"\(place.primary)\",\"target\":\"\(place.spare)\"}", cluster)
                try await expectEventually("step \(step) or a later one", within: 30) {
                    let shown = try await cluster.api(.GET, "/operations/\(operation)").json
                    return step == "copy" || shown["step"]?.string != "copy"
                }
                let killed = [.source: place.primary, .target: place.spare, .leader: try await cluster.leader()][victim]
                let isMoved = try await kill(try #require(killed), after: moment, during: operation, of: cluster)
                try await expectEventually("the descriptor says which", within: 30) {
                    let after = try await self.place(of: "m", in: rows.table, cluster).holders
                    return after.contains(place.spare) == isMoved && after.contains(place.primary) != isMoved
                }
                try await expectNothingLeft(cluster, load)
            }
        }
        try await compareReplicas(cluster, rows, key: #"["m-0-1"]"#)
    }

    @Test(
        "a split with its primary, a follower or the coordinators' leader killed ends whole or not at all, and leaves nothing",
        .timeLimit(.minutes(30)), arguments: Victim.allCases)
    func splitKilled(victim: Victim) async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("split_\(victim.rawValue)_killed")
        let load = Load(rows)
        _ = try await load.during(prefix: "s") {
            // Each time another key of the same partition, or of a half of it.
            for (number, moment) in Self.moments.enumerated() {
                let key = "s-\(3 + number / 2).\(number)"
                try await expectEventually("load", within: 20) { load.writes > 100 }
                let place = try await place(of: key, in: rows.table, cluster)
                let follower = try #require(place.holders.first { $0 != place.primary })
                let leader = try await cluster.leader()
                let operation = try await begin(
                    "/tables/\(rows.table)/partitions/\(place.partition):split", "{\"split_key\":[\"\(key)\"]}", cluster)
                let killed = [.source: place.primary, .target: follower, .leader: leader][victim]
                let isSplit = try await kill(try #require(killed), after: moment, during: operation, of: cluster)
                try await expectEventually("the descriptors say which", within: 30) {
                    let lower = try await self.place(of: "s-2", in: rows.table, cluster).partition
                    let upper = try await self.place(of: key, in: rows.table, cluster).partition
                    return isSplit ? lower != upper && upper != place.partition : upper == place.partition
                }
                try await expectNothingLeft(cluster, load)
            }
        }
        for key in [#"["s-1-1"]"#, #"["s-7-1"]"#] { try await compareReplicas(cluster, rows, key: key) }
    }
}
