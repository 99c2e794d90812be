import Foundation
import NIOHTTP1
import Testing

/// `/metrics` of the running programs, read as a collector reads it.
extension ClusterTests {
    /// The families of a text in the format 0.0.4: name to type, and the samples of each.
    private func families(of text: String) throws -> (types: [String: String], samples: [String: [String]]) {
        var (helped, types, samples): (Set<String>, [String: String], [String: [String]]) = ([], [:], [:])
        for line in text.split(separator: "\n").map(String.init) {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            if line.hasPrefix("# HELP ") {
                #expect(words.count == 4 && words[3] != words[2], "\(line)")
                #expect(helped.insert(words[2]).inserted, "twice: \(line)")
            } else if line.hasPrefix("# TYPE ") {
                #expect(helped.contains(words[2]) && types.updateValue(words[3], forKey: words[2]) == nil, "\(line)")
            } else {
                let name = String(line.prefix { $0 != " " && $0 != "{" })
                let value = try #require(line.split(separator: " ").last)
                #expect(Double(value) != nil || value == "+Inf" || value == "NaN", "\(line)")
                let family =
                    ["_bucket", "_sum", "_count"].lazy.filter { name.hasSuffix($0) }
                    .map { String(name.dropLast($0.count)) }.first { types[$0] == "histogram" } ?? name
                #expect(types[family] != nil, "a sample without its type: \(line)")
                samples[family, default: []].append(line)
            }
        }
        return (types, samples)
    }

    private func metrics(at port: Int, of cluster: Cluster) async throws -> (
        types: [String: String], samples: [String: [String]]
    ) {
        let answer = try await cluster.clients.send(.GET, "http://127.0.0.1:\(port)/metrics", within: 5)
        #expect(answer.status == 200)
        return try families(of: answer.text)
    }

    private func count(_ name: String, _ samples: [String: [String]]) -> Double {
        let line = samples[name]?.first { $0.hasPrefix(name + "_count") || $0.hasPrefix(name + " ") }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) } ?? -1
    }

    @Test(
        "every series of a running program has its help and type, and those that operators rely on are there",
        .timeLimit(.minutes(10)))
    func metricsFormat() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("metered")
        #expect(try await rows.put("x", 1) == .acknowledged)
        let primary = try #require(try await cluster.route("metered", key: #"["x"]"#)["primary"]?.string)
        let other = try #require(Cluster.agents.first { $0 != primary })
        let stale = try await cluster.clients.send(
            .GET,
            "https://127.0.0.1:\(try #require(cluster.agentPorts[other]).gateway)/v1/tables/metered/rows?key=%5B%22x%22%5D",
            headers: [("authorization", "Bearer \(rows.token)")])
        #expect(stale.status == 421)

        let agent = try await metrics(at: try #require(cluster.agentPorts[other]).status, of: cluster)
        for name in ["failover_recover", "jwt_verify", "routing_propagation", "gossip_probe_rtt"] {
            #expect(agent.types["coxswain_\(name)_seconds"] == "histogram", "\(name)")
        }
        #expect(agent.types["coxswain_routing_stale_rejects_total"] == "counter")
        #expect(count("coxswain_routing_stale_rejects_total", agent.samples) >= 1)
        for name in ["jwt_verify", "routing_propagation", "gossip_probe_rtt"] {
            #expect(count("coxswain_\(name)_seconds", agent.samples) >= 1, "\(name)")
        }
        for name in Cluster.coordinators {
            let found = try await metrics(at: try #require(cluster.coordinatorPorts[name]).metrics, of: cluster)
            for name in ["failover_detect", "failover_decide", "gossip_probe_rtt", "raft_commit_duration"] {
                #expect(found.types["coxswain_\(name)_seconds"] == "histogram", "\(name)")
            }
        }
    }

    @Test(
        "a failover is measured: detected and decided at the leader, recovered at a node that takes over",
        .timeLimit(.minutes(10)))
    func failoverClocks() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("clocked")
        #expect(try await rows.put("x", 1) == .acknowledged)
        let primary = try #require(try await cluster.route("clocked", key: #"["x"]"#)["primary"]?.string)
        let leader = try await cluster.leader()
        cluster.kill([primary])
        try await expectEventually("a write after the failover", within: 30) {
            try await rows.put("x", 2) == .acknowledged
        }
        let port = try #require(cluster.coordinatorPorts[leader]).metrics
        let led = try await metrics(at: port, of: cluster).samples
        #expect(count("coxswain_failover_decide_seconds", led) >= 1)
        try await expectEventually("a recovery that is measured", within: 10) {
            for agent in Cluster.agents where agent != primary {
                let port = try #require(cluster.agentPorts[agent]).status
                if count("coxswain_failover_recover_seconds", try await metrics(at: port, of: cluster).samples) >= 1 {
                    return true
                }
            }
            return false
        }
    }

    @Test(
        "an agent that is killed is an incident with three clocks, which every coordinator tells alike",
        .timeLimit(.minutes(10)))
    func incident() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("incident")
        #expect(try await rows.put("x", 1) == .acknowledged)
        let primary = try #require(try await cluster.route("incident", key: #"["x"]"#)["primary"]?.string)
        // Other tests have killed agents of this cluster.
        let before = try await incidents(at: Cluster.coordinators[0], of: cluster).first?["id"]?.number ?? 0
        cluster.kill([primary])
        try await expectEventually("an incident that is over, at each coordinator", within: 30) {
            for name in Cluster.coordinators {
                guard let found = try await self.incidents(at: name, of: cluster).first, found["id"]?.number ?? 0 > before,
                    found["state"]?.string == "recovered", found["clocks"]?["recover_ms"]?.number != nil
                else { return false }
            }
            return true
        }
        let incident = try #require(try await incidents(at: Cluster.coordinators[0], of: cluster).first)
        #expect(incident["node"]?.string == primary && incident["cause"]?.string == "witnesses")
        #expect(incident["partitions"]?["changed_hands"]?.number ?? 0 >= 1)
        for clock in ["detect_ms", "decide_ms", "recover_ms"] {
            let value = try #require(incident["clocks"]?[clock]?.number, "\(clock): \(incident)")
            #expect(value > 0, "\(clock): \(incident)")
        }
        for name in Cluster.coordinators {
            let other = try #require(try await incidents(at: name, of: cluster).first)
            for field in ["id", "node", "clocks", "accused_by", "decided_at"] {
                #expect(other[field] == incident[field], "\(field)")
            }
        }
        let context = ["--context", cluster.folder.appending(path: "context.json").path]
        let listed = try await Programs.run("coxctl", ["incident", "list"] + context, within: 60)
        #expect(listed.output.contains("recovered") && listed.output.contains(primary), "\(listed.output)")
        let id = Int(try #require(incident["id"]?.number))
        let shown = try await Programs.run("coxctl", ["incident", "get", "\(id)", "-o", "json"] + context, within: 60)
        #expect(shown.output.contains("\"recover_ms\""), "\(shown.output)")
    }

    private func incidents(at name: String, of cluster: Cluster) async throws -> [JSON] {
        let ports = try #require(cluster.coordinatorPorts[name])
        let answer = try await cluster.operators.send(
            .GET, "https://\(ports.host):\(ports.api)/api/v1/incidents", within: 5)
        return answer.json["incidents"]?.array ?? []
    }
}
