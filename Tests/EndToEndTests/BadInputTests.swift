import Foundation
import NIOHTTP1
import Testing

extension ClusterTests {
    @Test("bad requests to the control API are refused with a code and a detail, and change nothing", .timeLimit(.minutes(1)))
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

    @Test("bad requests to a gateway are refused with a code, and change nothing", .timeLimit(.minutes(1)))
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

    @Test("garbage on every port leaves every process alive", .timeLimit(.minutes(1)))
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
            for bytes in [Noise.random(4_096), Noise.zeros(64), Noise.largeHeaders, Noise.truncatedHello] {
                Noise.send(bytes, toStream: port)
            }
        }
        for port in datagrams {
            for count in [0, 1, 13, 28, 64, 1_400, 9_000] { Noise.send(Noise.random(count), toDatagram: port) }
        }
        for name in Cluster.coordinators + Cluster.agents {
            #expect(cluster.process(name)?.isRunning == true, "\(name): \(cluster.tail(of: name))")
        }
        #expect(try await rows.put("still", 1) == .acknowledged)
    }
}
