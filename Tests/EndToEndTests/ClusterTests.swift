import Foundation
import NIOHTTP1
import ProcessKit
import Testing

/// The main job, against real processes. Each test starts from a whole cluster and a table of its own.
@Suite(.serialized, .enabled(if: Programs.areBuilt, "the programs are not built"), .cluster) struct ClusterTests {
    @Test("eight separate processes make a cluster, and a table is ACTIVE in under ten seconds", .timeLimit(.minutes(10)))
    func brings() async throws {
        let cluster = try await Cluster.whole()
        for name in Cluster.coordinators + Cluster.agents {
            let process = try #require(cluster.process(name))
            #expect(
                process.commandLine.first?.hasSuffix(name.hasPrefix("c") ? "coxswain-coordinator" : "coxswain-agent") == true)
        }
        let start = ContinuousClock.now
        let rows = try await cluster.makeTable("first", splitKeys: ["f", "m", "t"])
        #expect(ContinuousClock.now - start < .seconds(10))
        #expect(try await rows.put("alpha", 1) == .acknowledged)
        #expect(try await rows.get("alpha") == 1)
        #expect(try await rows.get("zulu") == nil)
    }

    @Test("the whole cluster killed and started again has lost nothing", .timeLimit(.minutes(10)))
    func restart() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("restart", splitKeys: ["m"])
        for index in 0..<40 { #expect(try await rows.put("r\(index)", index) == .acknowledged) }
        cluster.kill(Cluster.coordinators + Cluster.agents)
        _ = try await Cluster.whole()
        for index in 0..<40 { #expect(try await rows.get("r\(index)") == index) }
        #expect(try await rows.put("r0", 100) == .acknowledged)
    }

    @Test("the agent of a primary killed under load: writes go on elsewhere, none is lost", .timeLimit(.minutes(10)))
    func primaryKilled() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("primary_killed")
        let primary = try #require(try await cluster.route("primary_killed", key: #"["k"]"#)["primary"]?.string)
        let load = Load(rows)
        let checked = try await load.during(prefix: "k") {
            try await load.goesOn()
            cluster.kill([primary])
            try await load.goesOn(by: 25, within: 20)
        }
        #expect(checked > 0)
        let now = try await cluster.route("primary_killed", key: #"["k"]"#)
        #expect(now["primary"]?.string != primary)
    }

    @Test(
        "C28: a primary's agent that is told to end under load ends soon and well, and frees its ports; writes go on, none is lost",
        .timeLimit(.minutes(10)))
    func primaryStopped() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("primary_stopped")
        let primary = try #require(try await cluster.route("primary_stopped", key: #"["k"]"#)["primary"]?.string)
        let load = Load(rows)
        _ = try await load.during(prefix: "k") {
            try await load.goesOn()
            let process = try #require(cluster.process(primary))
            process.terminate()
            // Callers have three seconds to finish what they asked.
            try await expectEventually("its end", within: 10) { !process.isRunning }
            #expect(process.waitForStatus() == 0, "\(cluster.tail(of: primary))")
            let ports = try #require(cluster.agentPorts[primary])
            #expect(Ports.areFree([ports.gateway, ports.link, ports.gossip, ports.status]))
            try await expectEventually("another primary", within: 20) {
                try await cluster.route("primary_stopped", key: #"["k"]"#)["primary"]?.string != primary
            }
            try await load.goesOn(by: 25, within: 20)
        }
    }

    @Test("the coordinator leader killed under load: no write fails, another leads", .timeLimit(.minutes(10)))
    func leaderKilled() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("leader_killed")
        let leader = try await cluster.leader()
        let load = Load(rows)
        _ = try await load.during(prefix: "l") {
            try await load.goesOn()
            cluster.kill([leader])
            try await expectEventually("another leader", within: 10) { try await cluster.leader() != leader }
            try await load.goesOn()
        }
    }

    @Test(
        "with every coordinator dead reads and writes go on, and an agent restarts from its disk",
        .timeLimit(.minutes(10)))
    func coordinatorsKilled() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("no_center")
        let load = Load(rows)
        _ = try await load.during(prefix: "n") {
            try await load.goesOn()
            cluster.kill(Cluster.coordinators)
            // Long after the last lease that a coordinator could have had a hand in.
            try await Task.sleep(for: .seconds(2))
            try await load.goesOn(within: 20)
        }
        // An agent that reaches its peers and no coordinator is well, and says both.
        for name in Cluster.agents {
            try await expectEventually("\(name) is well without coordinators", within: 20) {
                let status = try await cluster.status(of: name)
                let peers = status["members"]?.array.filter { $0["kind"]?.string == "agent" } ?? []
                let ports = try #require(cluster.agentPorts[name])
                let ready = try await cluster.clients.send(.GET, "http://127.0.0.1:\(ports.status)/readyz", within: 5)
                return status["routing"]?["coordinator"]?.string == nil && status["isolated"] == .boolean(false)
                    && ready.status == 200 && peers.count == Cluster.agents.count - 1
                    && peers.allSatisfy { $0["status"]?.string == "alive" }
            }
        }
        // Every agent knows all it needs on its own disk.
        let restarted = try #require(try await cluster.route("no_center", key: #"["n"]"#)["primary"]?.string)
        cluster.kill([restarted])
        try cluster.start(restarted)
        try await expectEventually("\(restarted) serves", within: 15) {
            try await rows.put("after", 1, within: 1) == .acknowledged
        }
    }
}
