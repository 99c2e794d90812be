import Foundation
import NIOHTTP1
import Testing

extension ClusterTests {
    @Test("bad requests to the control API are refused with a code and a detail, and change nothing", .timeLimit(.minutes(10)))
    func badControlRequests() async throws {
        let cluster = try await Cluster.whole()
        _ = try await cluster.makeTable("bad_input")
        let route = try await cluster.route("bad_input", key: #"["a"]"#)
        let partition = try #require(route["partition_id"]?.string)
        let holder = try #require(route["primary"]?.string)
        let other = try #require(
            (route["replicas"]?.array.compactMap { $0["node_id"]?.string } ?? []).first { $0 != holder })
        let schema = #""schema":{"attributes":[{"name":"name","type":"text"}]}"#
        let capacity = #""capacity":{"mode":"ON_DEMAND"}"#
        _ = try await cluster.makeTable("bad_halves", splitKeys: ["m"])
        let half = try #require(try await cluster.route("bad_halves", key: #"["a"]"#)["partition_id"]?.string)
        let before = try await cluster.api(.GET, "/cluster/topology").json["revision"]
        let cases: [(path: String, body: String, statuses: [Int])] = [
            ("/tables", #"{"table_name":"bad_input","partition_key":"name",\#(capacity),\#(schema)}"#, [409]),
            ("/tables", #"{"table_name":"x","partition_key":"nope",\#(capacity),\#(schema)}"#, [400, 422]),
            (
                "/tables", #"{"table_name":"x","partition_key":"name","replication_factor":7,\#(capacity),\#(schema)}"#,
                [400, 409, 422]
            ),
            ("/tables", #"{"table_name":"X-Y","partition_key":"name",\#(capacity),\#(schema)}"#, [400, 422]),
            ("/tables", "{\"table_name\":", [400]),
            ("/tables", "", [400]),
            (
                "/tables/bad_input/partitions/\(partition):move", "{\"source\":\"\(holder)\",\"target\":\"\(other)\"}",
                [400, 409, 422]
            ),
            (
                "/tables/bad_input/partitions/\(partition):move", "{\"source\":\"\(holder)\",\"target\":\"n99\"}",
                [400, 404, 409, 422]
            ),
            ("/tables/bad_input/partitions/\(partition):split", #"{"split_key":[1]}"#, [400, 422]),
            ("/tables/bad_halves/partitions/\(half):split", #"{"split_key":["z"]}"#, [400, 409, 422]),
            ("/tables/bad_halves/partitions/\(half):split", #"{"split_key":["m"]}"#, [400, 409, 422]),
            ("/tables/bad_halves/partitions/\(half):split", #"{"split_key":["d"],"colour":1}"#, [400, 422]),
            ("/tables/bad_input/partitions/1:split", #"{"split_key":["m"]}"#, [404]),
            ("/tables/nowhere/partitions/1:split", #"{"split_key":["m"]}"#, [404]),
        ]
        for (path, body, statuses) in cases {
            let answer = try await cluster.api(.POST, path, body: body)
            #expect(statuses.contains(answer.status), "POST \(path) \(body): \(answer.status) \(answer.text)")
            #expect(!answer.code.isEmpty && answer.json["detail"]?.string?.isEmpty == false, "POST \(path): \(answer.text)")
        }
        #expect(try await cluster.api(.GET, "/cluster/topology").json["revision"] == before)
    }

    @Test("bad requests to a gateway are refused with a code, and change nothing", .timeLimit(.minutes(10)))
    func badRowRequests() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("bad_rows")
        #expect(try await rows.put("x", 1) == .acknowledged)
        let gateway = try #require(try await cluster.route("bad_rows", key: #"["x"]"#)["gateway"]?.string)
        let base = "https://\(gateway)/v1/tables/bad_rows/rows"
        let key = #"["x"]"#.percentEncoded
        let headers = [("authorization", "Bearer \(rows.token)")]
        let cases: [(url: String, body: String, statuses: [Int])] = [
            ("\(base)?key=\(key)", #"{"name":"x","value":2,"colour":1}"#, [400, 422]),
            ("\(base)?key=\(key)", #"{"name":"x","value":"many"}"#, [400, 422]),
            ("\(base)?key=\(key)", #"{"name":"x","value":"#, [400]),
            ("\(base)?key=\(key)", "[]", [400, 422]),
            ("\(base)?key=\("[1]".percentEncoded)", #"{"value":2}"#, [400, 422]),
            ("\(base)?key=nonsense", #"{"value":2}"#, [400]),
            ("\(base)", #"{"value":2}"#, [400]),
            ("\(base)?key=\(key)", "{\"name\":\"x\",\"value\":\(String(repeating: "1", count: 1_200_000))}", [400, 413, 422]),
            ("https://\(gateway)/v1/tables/nowhere/rows?key=\(key)", #"{"value":2}"#, [401, 403, 404]),
        ]
        for (url, body, statuses) in cases {
            let answer = try await cluster.clients.send(.PUT, url, body: body, headers: headers)
            #expect(statuses.contains(answer.status), "PUT \(url) \(body.prefix(80)): \(answer.status) \(answer.text)")
            #expect(!answer.code.isEmpty, "PUT \(url): \(answer.text)")
        }
        #expect(try await rows.get("x") == 1)
    }

    @Test("what a row may not be is refused with the limit or the column that it breaks", .timeLimit(.minutes(10)))
    func badValues() async throws {
        let cluster = try await Cluster.whole()
        let created = try await cluster.api(
            .POST, "/tables",
            body: """
                {"table_name":"bad_values","partition_key":"id","capacity":{"mode":"ON_DEMAND"},"schema":{"attributes":[
                {"name":"id","type":"integer"},{"name":"note","type":"text"},{"name":"size","type":"integer"}]}}
                """, headers: [("idempotency-key", "create-bad-values")])
        #expect(created.status < 300, "\(created.text)")
        let token = try await cluster.token(for: "bad_values")
        try await expectEventually("bad_values is ACTIVE", within: 10) {
            try await cluster.api(.GET, "/tables/bad_values").json["status"]?.string == "ACTIVE"
        }
        let gateway = try #require(try await cluster.route("bad_values", key: "[1]")["gateway"]?.string)
        let headers = [("authorization", "Bearer \(token)")]
        let base = "https://\(gateway)/v1/tables/bad_values/rows?key="
        let long = String(repeating: "x", count: 1_100_000)
        let cases: [(key: String, body: String, statuses: [Int], says: String)] = [
            ("[1]", #"{"note":"a","colour":1}"#, [400], "colour"),
            ("[1]", #"{"note":1}"#, [400], "note"),
            ("[1]", #"{"size":"many"}"#, [400], "size"),
            ("[1]", #"{"size":9223372036854775808}"#, [400], "size"),
            ("[1]", #"{"size":1.5}"#, [400], "size"),
            ("[9223372036854775808]", #"{"note":"a"}"#, [400], "key"),
            ("[-9223372036854775809]", #"{"note":"a"}"#, [400], "key"),
            ("[1,2]", #"{"note":"a"}"#, [400], "key"),
            ("[]", #"{"note":"a"}"#, [400], "key"),
            ("[null]", #"{"note":"a"}"#, [400], "key"),
            ("[1]", #"{"id":2,"note":"a"}"#, [400, 409, 422], "key"),
            ("[1]", "{\"note\":\"\(long)\"}", [413], "1048576"),
            ("[1]", #"{"note":"a""#, [400], "JSON"),
            ("[1]", "\u{0}", [400], "JSON"),
        ]
        for (key, body, statuses, says) in cases {
            let answer = try await cluster.clients.send(.PUT, base + key.percentEncoded, body: body, headers: headers)
            #expect(
                statuses.contains(answer.status) && !answer.code.isEmpty && answer.text.contains(says),
                "\(key) \(body.prefix(60)): \(answer.status) \(answer.text)")
        }
        #expect(try await cluster.clients.send(.GET, base + "[1]".percentEncoded, headers: headers).status == 404)
    }

    @Test(
        "headers beyond 16 KiB or 100 fields are refused on every HTTP port, and the next request is answered",
        .timeLimit(.minutes(10)))
    func hugeHeaders() async throws {
        let cluster = try await Cluster.whole()
        var urls = cluster.agentPorts.values.flatMap {
            ["https://127.0.0.1:\($0.gateway)/v1/tables/x/routes", "http://127.0.0.1:\($0.status)/livez"]
        }
        urls += cluster.coordinatorPorts.values.flatMap {
            ["https://127.0.0.1:\($0.api)/api/v1/cluster/status", "http://127.0.0.1:\($0.metrics)/livez"]
        }
        let large = [("x-filler", String(repeating: "a", count: 20_000))]
        let many = (0..<200).map { ("x-filler-\($0)", "a") }
        var answered = 0
        for url in urls {
            for headers in [large, many] {
                // Refused with an answer, or the connection is closed on whoever goes on sending.
                guard let answer = try? await cluster.operators.send(.GET, url, headers: headers) else { continue }
                #expect(answer.status == 431 && answer.code == "HEADERS_TOO_LARGE", "\(url): \(answer.status) \(answer.text)")
                answered += 1
            }
            #expect(try await cluster.operators.send(.GET, url).status < 500, "\(url)")
        }
        #expect(answered > 0)
    }

    @Test(
        "C20: garbage on every port leaves every process alive and every port answering, and every process has counted its datagrams",
        .timeLimit(.minutes(10)))
    func garbage() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("garbage")
        var streams: [Int] = []
        var datagrams: [Int] = []
        for ports in cluster.agentPorts.values {
            streams += [ports.gateway, ports.link, ports.status]
            datagrams.append(ports.gossip)
        }
        for ports in cluster.coordinatorPorts.values {
            streams += [ports.api, ports.link, ports.metrics]
            datagrams.append(ports.gossip)
        }
        for port in streams {
            for bytes in [Noise.random(4_096), Noise.zeros(64), Noise.largeHeaders, Noise.truncatedHello] + Noise.requests {
                Noise.send(bytes, toStream: port)
            }
        }
        let all = Cluster.coordinators + Cluster.agents
        var before: [String: Double] = [:]
        for name in all { before[name] = try await cluster.meters(of: name).refusedDatagrams }
        let counts = [0, 1, 13, 28, 64, 1_400, 9_000]
        for port in datagrams {
            for count in counts { Noise.send(Noise.random(count), toDatagram: port) }
        }
        for name in all {
            #expect(cluster.process(name)?.isRunning == true, "\(name): \(cluster.tail(of: name))")
            let goal = try #require(before[name]) + Double(counts.count)
            try await expectEventually("\(name) has counted what came", within: 10) {
                try await cluster.meters(of: name).refusedDatagrams >= goal
            }
        }
        for (name, ports) in cluster.coordinatorPorts {
            for url in ["https://127.0.0.1:\(ports.api)/api/v1/cluster/status", "http://127.0.0.1:\(ports.metrics)/livez"] {
                #expect(try await cluster.operators.send(.GET, url).status == 200, "\(name): \(url)")
            }
        }
        for agent in Cluster.agents {
            // By gossip: nobody was taken for dead because of it.
            try await expectEventually("\(agent) sees all others alive", within: 20) {
                let members = try await cluster.status(of: agent)["members"]?.array ?? []
                return members.count == 7 && members.allSatisfy { $0["status"]?.string == "alive" }
            }
        }
        // By links: three members must have it on disk.
        #expect(try await rows.put("still", 1) == .acknowledged)
    }
}
