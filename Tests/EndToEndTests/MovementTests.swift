import Foundation
import NIOHTTP1
import Testing

extension ClusterTests {
    @Test("a split and a move under load lose nothing, and leave equal replicas", .timeLimit(.minutes(10)))
    func splitAndMove() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("moving")
        let load = Load(rows)
        _ = try await load.during(prefix: "s") {
            try await expectEventually("load", within: 10) { load.writes > 100 }
            let parent = try #require(try await cluster.route("moving", key: #"["s"]"#)["partition_id"]?.string)
            try await cluster.complete("/tables/moving/partitions/\(parent):split", #"{"split_key":["s-4"]}"#)
            let lower = try await cluster.route("moving", key: #"["s-3"]"#)
            let upper = try await cluster.route("moving", key: #"["s-5"]"#)
            #expect(lower["partition_id"] != upper["partition_id"])

            let upperID = try #require(upper["partition_id"]?.string)
            let holders = upper["replicas"]?.array.compactMap { $0["node_id"]?.string } ?? []
            let target = try #require(Cluster.agents.first { !holders.contains($0) })
            let source = try #require(upper["primary"]?.string)
            do {
                try await cluster.complete(
                    "/tables/moving/partitions/\(upperID):move", "{\"source\":\"\(source)\",\"target\":\"\(target)\"}")
                let after = try await cluster.route("moving", key: #"["s-5"]"#)
                let now = after["replicas"]?.array.compactMap { $0["node_id"]?.string } ?? []
                #expect(now.contains(target) && !now.contains(source))
            }
            let before = load.writes
            try await expectEventually("writes go on", within: 10) { load.writes > before + 100 }
        }
        for key in [#"["s-1"]"#, #"["s-7"]"#] { try await compareReplicas(cluster, rows, key: key) }
    }

    /// Every replica of the key's partition answers the same scan with the same bytes.
    private func compareReplicas(_ cluster: Cluster, _ rows: Rows, key: String) async throws {
        let route = try await cluster.route(rows.table, key: key)
        let gateways = route["replicas"]?.array.compactMap { $0["gateway"]?.string } ?? []
        #expect(gateways.count == 3)
        try await expectEventually("equal replicas of \(key)", within: 10) {
            var bodies: Set<String> = []
            for gateway in gateways {
                let answer = try await cluster.clients.send(
                    .GET, "https://\(gateway)/v1/tables/\(rows.table)/rows?key=\(key.percentEncoded)&consistency=eventual",
                    headers: [("authorization", "Bearer \(rows.token)")])
                bodies.insert("\(answer.status) \(answer.json["row"].map { "\($0)" } ?? answer.text)")
            }
            return bodies.count == 1
        }
    }

    @Test("a request with a stale route is refused with the descriptor that mends it", .timeLimit(.minutes(10)))
    func staleRoute() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("stale")
        #expect(try await rows.put("x", 1) == .acknowledged)
        let key = #"["x"]"#
        let route = try await cluster.route("stale", key: key)
        let primary = try #require(route["primary"]?.string)
        for agent in Cluster.agents where agent != primary {
            let port = try #require(cluster.agentPorts[agent]).gateway
            let answer = try await cluster.clients.send(
                .PUT, "https://127.0.0.1:\(port)/v1/tables/stale/rows?key=\(key.percentEncoded)",
                body: #"{"name":"x","value":2}"#,
                headers: [("authorization", "Bearer \(rows.token)")])
            #expect(answer.status == 421, "\(agent): \(answer.text)")
            #expect(answer.text.contains("\"\(primary)\""), "\(agent): \(answer.text)")
        }
        #expect(try await rows.get("x") == 1)
    }
}
