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
            try await load.goesOn()
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
            try await load.goesOn()
        }
        for key in [#"["s-1"]"#, #"["s-7"]"#] { try await compareReplicas(cluster, rows, key: key) }
    }

    @Test(
        "a partition that is alone in a large storage is moved page by page, under load, and nothing is lost",
        .timeLimit(.minutes(10)))
    func movedByPages() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("paged", more: [("body", "text")])
        for number in 0..<44 { try await fill(rows, "filled-\(number)", bytes: 900_000) }
        // What is acknowledged is in the log, and need not be in the file yet; what the primary reads is.
        try await expectEventually("all of it is applied", within: 60) { try await rows.get("filled-43") == 1 }
        let route = try await cluster.route("paged", key: #"["s"]"#)
        let holders = route["replicas"]?.array.compactMap { $0["node_id"]?.string } ?? []
        let primary = try #require(route["primary"]?.string)
        let source = try #require(holders.first { $0 != primary })
        let target = try #require(Cluster.agents.first { !holders.contains($0) })
        let partition = try #require(route["partition_id"]?.string)
        let load = Load(rows)
        _ = try await load.during(prefix: "s") {
            try await load.goesOn()
            try await cluster.complete(
                "/tables/paged/partitions/\(partition):move", "{\"source\":\"\(source)\",\"target\":\"\(target)\"}")
            try await load.goesOn()
        }
        // Whoever leads the partition by then is the one that sends.
        let told = Cluster.agents.flatMap { cluster.tail(of: $0, lines: 10_000).split(separator: "\n") }
            .filter { $0.contains("copy goes") && $0.contains(partition) }
        #expect(told.contains { $0.contains("page by page") } && !told.contains { $0.contains("rows") }, "\(told)")
        for key in [#"["s-1-1"]"#, #"["filled-0"]"#, #"["filled-43"]"#] { try await compareReplicas(cluster, rows, key: key) }
    }

    /// Puts a row with a large value.
    private func fill(_ rows: Rows, _ name: String, bytes: Int) async throws {
        let body = "{\"name\":\"\(name)\",\"value\":1,\"body\":\"\(String(repeating: name, count: bytes / name.count))\"}"
        try await expectEventually("\(name) is put", within: 20) {
            let gateway = try await rows.cluster.route(rows.table, key: "[\"\(name)\"]")["gateway"]?.string
            let answer = try await rows.cluster.clients.send(
                .PUT, "https://\(try #require(gateway))/v1/tables/\(rows.table)/rows?key=\("[\"\(name)\"]".percentEncoded)",
                body: body, headers: [("authorization", "Bearer \(rows.token)")], within: 5)
            return answer.status < 300
        }
    }

    @Test("a partition of which too much is asked is split by its own primary, and nothing is lost", .timeLimit(.minutes(10)))
    func splitsItself() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("hot")
        let load = Load(rows)
        _ = try await load.during(prefix: "s") {
            try await load.goesOn()
            try await limitSplits(cluster, to: 2)
            // Ten seconds of evidence, and a key in the midst of what is written.
            try await expectEventually("it is split", within: 120) { try await listed(cluster, "hot").count > 1 }
            try await limitSplits(cluster, to: 0)
            try await load.goesOn(within: 20)
            #expect(try await holder(of: "s-0-0", cluster, "hot") != holder(of: "s-7-9", cluster, "hot"))
        }
        for key in [#"["s-0-1"]"#, #"["s-7-1"]"#] { try await compareReplicas(cluster, rows, key: key) }
    }

    /// From how many operations of one partition in a second on it is to be split.
    private func limitSplits(_ cluster: Cluster, to rate: Int) async throws {
        let answer = try await cluster.api(
            .PUT, "/config/global/entries/split_operations_per_second", body: "{\"value\":\(rate)}")
        guard answer.status < 300 else { throw Failure("\(answer.status) \(answer.text)") }
    }

    @Test("a split and a merge of what it left, under load, lose nothing, and writes go on", .timeLimit(.minutes(10)))
    func splitAndMerge() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("merging")
        let load = Load(rows)
        _ = try await load.during(prefix: "s") {
            try await load.goesOn()
            let (lower, upper) = try await cut(cluster, "merging")
            try await load.goesOn(by: 6)
            // Named from either side.
            try await cluster.complete("/tables/merging/partitions/\(upper):merge", "{\"with\":\"\(lower)\"}")
            let since = ContinuousClock.now
            let merged = try await holder(of: "s-3", cluster, "merging")
            #expect(merged != lower && merged != upper)
            #expect(try await holder(of: "s-5", cluster, "merging") == merged)
            #expect(try await listed(cluster, "merging") == [merged])
            try await load.goesOn()
            try await expectEventually("its pause has ended, and is told", within: 10) {
                let told = try await cluster.api(.GET, "/operations").json["operations"]?.array ?? []
                let merge = told.first { $0["kind"]?.string == "merge" && $0["phase"]?.string?.lowercased() == "succeeded" }
                let pause = merge?["progress"]?["write_pause_ms"]?.number ?? 1_000
                return ContinuousClock.now > since + .seconds(3) && pause < 400
            }
            // It can be cut again, and somewhere else.
            try await cluster.complete("/tables/merging/partitions/\(merged):split", #"{"split_key":["s-6"]}"#)
        }
        for key in [#"["s-1"]"#, #"["s-7"]"#] { try await compareReplicas(cluster, rows, key: key) }
    }

    @Test(
        "the agent that leads both halves killed in the midst of a merge: they are one or two, nothing is lost, and they can be merged",
        .timeLimit(.minutes(10)))
    func mergeOfKilled() async throws {
        let cluster = try await Cluster.whole()
        let table = "merging_killed"
        let rows = try await cluster.makeTable(table)
        let load = Load(rows)
        _ = try await load.during(prefix: "s") {
            try await load.goesOn()
            // The gate takes some 60 ms, all the rest a few.
            for pause in [60, 110, 160, 220] {
                let (lower, upper) = try await cut(cluster, table)
                let primary = try #require(try await cluster.route(table, key: #"["s-3"]"#)["primary"]?.string)
                var operation = ""
                try await expectEventually("a merge begins", within: 20) {
                    operation = try await cluster.begin(
                        "/tables/\(table)/partitions/\(lower):merge", "{\"with\":\"\(upper)\"}")
                    return true
                }
                try await Task.sleep(for: .milliseconds(pause))
                cluster.kill([primary])
                let phase = try await cluster.wait(for: operation)
                try await load.goesOn(within: 20)
                try await expectEventually("\(phase): halves, or one", within: 10) {
                    try await listed(cluster, table).count == (phase == "succeeded" ? 1 : 2)
                }
                print("killed after \(pause) ms: the merge has \(phase)")
                try cluster.start(primary)
                try await cluster.waitForHealth()
                try await join(cluster, table)
            }
        }
        for key in [#"["s-1"]"#, #"["s-7"]"#] { try await compareReplicas(cluster, rows, key: key) }
    }

    private func holder(of row: String, _ cluster: Cluster, _ table: String) async throws -> String {
        try #require(try await cluster.route(table, key: "[\"\(row)\"]")["partition_id"]?.string)
    }

    /// Cuts the table's only partition.
    private func cut(_ cluster: Cluster, _ table: String) async throws -> (lower: String, upper: String) {
        let parent = try await holder(of: "s", cluster, table)
        try await cluster.complete("/tables/\(table)/partitions/\(parent):split", #"{"split_key":["s-4"]}"#)
        try await expectEventually("routes to both halves", within: 10) {
            try await holder(of: "s-3", cluster, table) != holder(of: "s-5", cluster, table)
        }
        return (try await holder(of: "s-3", cluster, table), try await holder(of: "s-5", cluster, table))
    }

    /// Makes one of what may be two by now, led by two.
    private func join(_ cluster: Cluster, _ table: String) async throws {
        try await expectEventually("\(table) is one partition", within: 60) {
            let halves = try await listed(cluster, table)
            if halves.count == 1 { return true }
            let lower = try await cluster.route(table, key: #"["s-3"]"#)
            let upper = try await cluster.route(table, key: #"["s-5"]"#)
            let primary = try #require(lower["primary"]?.string)
            var operation: String
            if primary == upper["primary"]?.string {
                operation = try await cluster.begin(
                    "/tables/\(table)/partitions/\(halves[0]):merge", "{\"with\":\"\(halves[1])\"}")
            } else {
                operation = try await cluster.begin(
                    "/tables/\(table)/partitions/\(halves[1]):transfer-primary", "{\"target\":\"\(primary)\"}")
            }
            _ = try await cluster.wait(for: operation)
            return false
        }
        try await expectEventually("a route to it", within: 10) {
            try await holder(of: "s-3", cluster, table) == holder(of: "s-5", cluster, table)
        }
    }

    /// The ids that an operator sees, in key order.
    private func listed(_ cluster: Cluster, _ table: String) async throws -> [String] {
        let context = cluster.folder.appending(path: "context.json").path
        let told = try await Programs.run("coxctl", ["partition", "list", table, "--context", context], within: 30)
        guard told.status == 0 else { throw Failure("partition list: \(told)") }
        return told.output.split(separator: "\n").dropFirst().compactMap { $0.split(separator: " ").first.map(String.init) }
    }

    /// Every replica of the key's partition holds the same rows, each by its own word.
    func compareReplicas(_ cluster: Cluster, _ rows: Rows, key: String) async throws {
        let route = try await cluster.route(rows.table, key: key)
        let gateways = route["replicas"]?.array.compactMap { $0["gateway"]?.string } ?? []
        #expect(gateways.count == 3)
        let partition = try #require(route["partition_id"]?.string)
        try await expectEventually("equal replicas of \(key)", within: 10) {
            var copies: Set<[JSON]> = []
            for gateway in gateways { copies.insert(try await copy(of: partition, rows, at: gateway)) }
            return copies.count == 1 && copies.first?.isEmpty == false
        }
    }

    /// All rows of a partition as one replica has them.
    private func copy(of partition: String, _ rows: Rows, at gateway: String) async throws -> [JSON] {
        let partitions = try await rows.cluster.api(.GET, "/cluster/topology").json["partitions"]?.array ?? []
        let range = try #require(partitions.first { $0["id"]?.string == partition })
        let high = try range["high"].flatMap { try Self.text($0) }
        var (found, from) = ([] as [JSON], try range["low"].flatMap { try Self.text($0) })
        while true {
            let bounds = [("from", from), ("to", high)].compactMap { name, key in key.map { "&\(name)=\($0.percentEncoded)" } }
            let answer = try await rows.cluster.clients.send(
                .GET,
                "https://\(gateway)/v1/tables/\(rows.table)/rows?consistency=eventual&limit=1000\(bounds.joined())",
                headers: [("authorization", "Bearer \(rows.token)")])
            guard answer.status == 200 else { throw Failure("\(gateway): \(answer.status) \(answer.text)") }
            found += answer.json["rows"]?.array ?? []
            guard let next = answer.json["next"], next != .null else { return found }
            from = try next.string ?? Self.text(next)
        }
    }

    /// A bound as a query has it; nil at the table's ends.
    private static func text(_ bound: JSON) throws -> String? {
        if bound == .null { return nil }
        let values = try bound.array.map { try #require($0.string) }
        return String(decoding: try JSONEncoder().encode(values), as: UTF8.self)
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
