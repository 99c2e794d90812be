import Foundation
import NIOHTTP1
import ProcessKit
import Testing

/// What agents believe of one of them that stands still, leaves or starts again: real processes, whose links are there as well.
@Suite(.serialized, .enabled(if: Programs.areBuilt, "the programs are not built"), .cluster) struct AgentStoryTests {
    @Test(
        "C3: an agent that stands still for half a second is held dead by nobody, and holds nobody dead",
        .timeLimit(.minutes(10)))
    func shortStall() async throws {
        let cluster = try await Cluster.whole()
        let watch = try await AgentWatch(cluster)
        for _ in 0..<3 {
            try await #require(cluster.process(AgentWatch.one)).pause(for: .milliseconds(500))
            try await watch.goesOn()
        }
        #expect(try watch.said("dead") == [])
        try await watch.wait(for: "alive")
    }

    @Test(
        "C4: an agent that stands still for ten seconds is dead for all, once, and back for all, and holds nobody dead",
        .timeLimit(.minutes(10)))
    func longStall() async throws {
        let cluster = try await Cluster.whole()
        let watch = try await AgentWatch(cluster)
        try await #require(cluster.process(AgentWatch.one)).pause(for: .seconds(10))
        try await watch.wait(for: "alive")
        try await watch.goesOn()
        #expect(try watch.said("dead").sorted() == AgentWatch.others.map { "\($0): \(AgentWatch.one)" })
        try await cluster.waitForHealth()
    }

    @Test(
        "C13: an agent that is stopped and started ten times has left, and is back, each time, and is never held dead",
        .timeLimit(.minutes(10)))
    func restarts() async throws {
        let cluster = try await Cluster.whole()
        let watch = try await AgentWatch(cluster)
        for _ in 0..<10 {
            let life = try #require(try await watch.entry(at: "n1")?["generation"]?.number)
            let process = try #require(cluster.process(AgentWatch.one))
            process.terminate()
            try await expectEventually("it has ended", within: 20) { !process.isRunning }
            try await watch.wait(for: "left")
            try cluster.start(AgentWatch.one)
            try await watch.wait(for: "alive", above: life)
        }
        #expect(try watch.said("dead") == [])
        try await cluster.waitForHealth()
    }

    @Test(
        "C17: two of five agents that leave and return at once have left, are back for all, and are never held dead",
        .timeLimit(.minutes(10)))
    func leaves() async throws {
        let cluster = try await Cluster.whole()
        let watch = try await AgentWatch(cluster)
        let leavers = ["n2", AgentWatch.one]
        let stayers = Cluster.agents.filter { !leavers.contains($0) }
        let life = try #require(try await watch.entry(at: "n1")?["generation"]?.number)
        let processes = try leavers.map { try #require(cluster.process($0)) }
        for process in processes { process.terminate() }
        try await watch.wait(for: "left", by: stayers)
        try await expectEventually("both have ended", within: 20) { processes.allSatisfy { !$0.isRunning } }
        for leaver in leavers { try cluster.start(leaver) }
        try await watch.wait(for: "alive", above: life)
        try await cluster.waitForHealth()
        #expect(try watch.said("dead") == [])
    }
}

/// The same of agents on hosts of their own, when datagrams and links between some of them are cut.
@Suite(
    .serialized, .enabled(if: Programs.areBuilt, "the programs are not built"),
    .enabled(if: TestNetwork.missing == nil, "\(TestNetwork.missing ?? "")"))
struct AgentNetworkTests {
    private typealias Cut = TestNetwork.Cut

    private static func between(_ some: [String], _ others: [String]) -> [Cut] {
        some.flatMap { one in others.flatMap { [Cut(from: one, to: $0), Cut(from: $0, to: one)] } }
    }

    @Test(
        "agents that are cut off hold nobody dead whom they cannot judge, learn what is decided as long as they reach one, and every cut heals",
        .timeLimit(.minutes(15)))
    func cuts() async throws {
        let network = try TestNetwork()
        let cluster = try await Cluster(on: network)
        do {
            try await cluster.startAll()

            // C11: two that do not reach each other, and are reached by all others.
            var watch = try await AgentWatch(cluster)
            try network.cut(Self.between(["n4"], ["n5"]))
            for _ in 0..<3 { try await watch.goesOn() }
            #expect(try watch.said("dead") == [])
            try network.healAll()

            // T2: one that reaches all agents and no coordinator learns of the agents what is decided meanwhile.
            watch = try await AgentWatch(cluster)
            try network.cut(Self.between(["n5"], Cluster.coordinators))
            func routing(of agent: String) async throws -> JSON? { try await cluster.status(of: agent)["routing"] }
            try await expectEventually("n5 has no coordinator", within: 20) {
                try await routing(of: "n5")?["coordinator"]?.string == nil
            }
            for value in [111, 112] {
                let answer = try await cluster.api(
                    .PUT, "/config/global/entries/repair_delay_seconds", body: #"{"value":\#(value)}"#)
                try #require((200..<300).contains(answer.status), "\(answer.text)")
                try await expectEventually("n5 knows what n1 knows", within: 30) {
                    let (cutOff, other) = (try await routing(of: "n5"), try await routing(of: "n1"))
                    return other?["coordinator"]?.string != nil && cutOff?["coordinator"]?.string == nil
                        && cutOff?["revision"]?.string == other?["revision"]?.string
                        && other?["revision"]?.string == other?["newest_revision_heard"]?.string
                }
            }
            #expect(try watch.said("dead") == [])
            try network.healAll()
            try await cluster.waitForHealth()

            // C2, C9: one that reaches nobody and is reached by nobody, that only speaks, or that only hears.
            let all = Cluster.agents + Cluster.coordinators
            let rest = all.filter { $0 != "n5" }
            for cuts in [
                Self.between(["n5"], rest), rest.map { Cut(from: $0, to: "n5") }, rest.map { Cut(from: "n5", to: $0) },
            ] {
                watch = try await AgentWatch(cluster)
                try network.cut(cuts)
                try await watch.wait(for: "dead")
                // It takes itself for ill, and asks seldom.
                for _ in 0..<2 { try await watch.goesOn(by: AgentWatch.others) }
                try network.healAll()
                try await watch.wait(for: "alive", within: 35)
                #expect(try watch.said("dead").sorted() == AgentWatch.others.map { "\($0): n5" }, "\(cuts)")
                try await cluster.waitForHealth()
            }

            // C26: one whose own kernel refuses whatever it would send.
            watch = try await AgentWatch(cluster)
            let process = try #require(cluster.process("n5"))
            try network.unplug("n5")
            try await watch.wait(for: "dead")
            try network.plug("n5")
            try await watch.wait(for: "alive", within: 35)
            #expect(process.isRunning)
            #expect(try watch.said("dead").sorted() == AgentWatch.others.map { "\($0): n5" })
            try await cluster.waitForHealth()

            // C10: two sides.
            watch = try await AgentWatch(cluster)
            let small = ["n1", "n5", "c1"]
            try network.cut(Self.between(small, all.filter { !small.contains($0) }))
            try await watch.wait(for: "dead", by: ["n2", "n3", "n4"])
            try network.healAll()
            try await watch.wait(for: "alive", within: 35)
            try await watch.goesOn()
            let wrong = try watch.said("dead").filter { said in
                let sides = said.split(separator: ": ").map { small.contains(String($0)) }
                return sides.first == sides.last
            }
            #expect(wrong == [])
            try await cluster.waitForHealth()
        } catch {
            for name in Cluster.coordinators + Cluster.agents { print("--- \(name)\n\(cluster.tail(of: name))") }
            await cluster.tearDown()
            throw error
        }
        await cluster.tearDown()
    }
}

/// What agents hold of one of them, as they say, and what they came to hold of anybody, as they wrote it down, since it began.
private struct AgentWatch {
    static let one = "n5"
    static let others = Cluster.agents.filter { $0 != one }

    private let cluster: Cluster
    private var start: [String: Int] = [:]

    /// Begins when all others hold the one alive.
    init(_ cluster: Cluster) async throws {
        self.cluster = cluster
        try await wait(for: "alive")
        for agent in Cluster.agents { start[agent] = try lines(of: agent).count }
    }

    func entry(at agent: String) async throws -> JSON? {
        try await cluster.status(of: agent)["members"]?.array.first { $0["node_id"]?.string == Self.one }
    }

    /// Waits until every other agent holds the one in a status.
    func wait(
        for status: String, by observers: [String] = others, above generation: Double = 0, within seconds: Double = 20
    ) async throws {
        for observer in observers {
            try await expectEventually("\(Self.one) is \(status) for \(observer)", within: seconds) {
                let entry = try await entry(at: observer)
                return entry?["status"]?.string == status && (entry?["generation"]?.number ?? 0) > generation
            }
        }
    }

    /// Waits for as long as a suspicion would take that nobody refutes.
    func goesOn(by observers: [String] = Cluster.agents) async throws {
        var goals: [(agent: String, probes: Double)] = []
        for agent in observers { goals.append((agent, try await cluster.meter("gossip_probes_total", of: agent) + 12)) }
        for (agent, probes) in goals {
            try await expectEventually("\(agent) probes others", within: 30) {
                try await cluster.meter("gossip_probes_total", of: agent) >= probes
            }
        }
    }

    /// Who came to hold whom in a status: `n1: n5`.
    func said(_ status: String) throws -> [String] {
        try Cluster.agents.flatMap { agent in
            try lines(of: agent).dropFirst(start[agent] ?? 0).compactMap { line in
                guard let fields = try? JSONDecoder().decode([String: JSON].self, from: Data(line.utf8)),
                    fields["msg"]?.string == "member", fields["status"]?.string == status,
                    let member = fields["member"]?.string
                else { return nil }
                return "\(agent): \(member)"
            }
        }
    }

    private func lines(of agent: String) throws -> [Substring] {
        try String(contentsOf: cluster.folder.appending(path: "\(agent).out"), encoding: .utf8).split(separator: "\n")
    }
}
