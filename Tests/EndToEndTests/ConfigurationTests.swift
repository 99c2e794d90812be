import Foundation
import NIOHTTP1
import Testing

/// Configuration entries, set as operators set them, and obeyed by running members that nobody starts anew.
extension ClusterTests {
    private func configure(_ cluster: Cluster, _ arguments: [String]) async throws -> Programs.Outcome {
        let context = cluster.folder.appending(path: "context.json").path
        return try await Programs.run("coxctl", ["config"] + arguments + ["--context", context])
    }

    @Test(
        "a consistency level that is set for one node changes how its gateway reads, and no other's", .timeLimit(.minutes(10)))
    func consistencyLevel() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("levels")
        #expect(try await rows.put("x", 1) == .acknowledged)
        let key = #"["x"]"#
        let route = try await cluster.route("levels", key: key)
        let primary = try #require(route["primary"]?.string)
        let followers = (route["replicas"]?.array ?? []).compactMap { $0["node_id"]?.string }.filter { $0 != primary }
        try #require(followers.count == 2)
        func read(at node: String) async throws -> Int {
            let port = try #require(cluster.agentPorts[node]).gateway
            return try await cluster.clients.send(
                .GET, "https://127.0.0.1:\(port)/v1/tables/levels/rows?key=\(key.percentEncoded)",
                headers: [("authorization", "Bearer \(rows.token)")]
            ).status
        }
        for node in followers { #expect(try await read(at: node) == 421) }

        let scope = "nodes/\(followers[0])"
        let set = try await configure(cluster, ["set", scope, "consistency_level", "eventual"])
        #expect(set.status == 0, "\(set)")
        try await expectEventually("a read at a follower", within: 10) { try await read(at: followers[0]) == 200 }
        #expect(try await read(at: followers[1]) == 421)

        let back = try await configure(cluster, ["set", scope, "consistency_level", "strong"])
        #expect(back.status == 0, "\(back)")
        try await expectEventually("a refusal at a follower", within: 10) { try await read(at: followers[0]) == 421 }
    }

    @Test("an entry that nobody would obey is refused, and the names that there are are told", .timeLimit(.minutes(10)))
    func unknownEntry() async throws {
        let cluster = try await Cluster.whole()
        let wrong = try await configure(cluster, ["set", "global", "repair_dely_seconds", "5"])
        #expect(wrong.status == 2 && wrong.error.contains("repair_delay_seconds"), "\(wrong)")
        let list = try await configure(cluster, ["list"])
        #expect(list.status == 0 && list.output.contains("operations_per_node"), "\(list)")
    }
}
