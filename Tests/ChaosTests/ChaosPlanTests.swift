import Client
import LogStorage
import Model
import ProcessKit
import Testing

@testable import chaos

@Suite struct ChaosPlanTests {
    private let plan = ChaosPlan(seed: 5, span: .seconds(60), kinds: Trouble.allCases)

    @Test("what is drawn is the same for a seed and a name, and another for another")
    func sources() {
        func draws(_ plan: ChaosPlan, _ who: String) -> [UInt64] {
            var random = plan.random(for: who)
            return (0..<8).map { _ in random.next() }
        }
        #expect(draws(plan, "kill") == draws(plan, "kill"))
        #expect(draws(plan, "kill") != draws(plan, "stop"))
        #expect(draws(plan, "kill") != draws(ChaosPlan(seed: 6, span: plan.span, kinds: plan.kinds), "kill"))
    }

    @Test("durations stay in their range, and short ones are drawn as often as long ones")
    func spans() {
        var random = plan.random(for: "spans")
        let spans = (0..<2_000).map { _ in random.span(0.1...30).seconds }
        #expect(spans.allSatisfy { (0.0999...30.001).contains($0) })
        // The middle of the doublings: √(0.1 · 30).
        #expect((850...1_150).contains(spans.count { $0 < 1.732 }))
    }

    @Test("of two who broke the same thing only the last one mends it")
    func overlaps() {
        let diary = Diary()
        let cut = ChaosCluster.Cut(from: "n1", to: "n2")
        #expect(diary.cut([cut]) == [cut] && diary.cut([cut]) == [])
        #expect(diary.heal([cut]) == [] && diary.heal([cut]) == [cut])
        diary.down(["n1"])
        diary.down(["n1", "n2"])
        #expect(diary.up(["n1", "n2"]) == ["n2"] && diary.isDown("n1"))
        #expect(diary.up(["n1"]) == ["n1"] && !diary.isDown("n1"))
    }

    @Test("operators ask side by side, each for what he draws himself")
    func operators() {
        let first = Trouble.operators.makers.map { maker in
            var random = plan.random(for: maker)
            return random.next()
        }
        #expect(first.count == 3 && Set(first).count == 3)
    }

    @Test("a kind of trouble for which there was the time is due, and no other")
    func due() {
        func due(_ span: Duration, _ kinds: [Trouble] = Trouble.allCases) -> [Trouble] {
            let plan = ChaosPlan(seed: 5, span: span, kinds: kinds)
            return Trouble.allCases.filter(plan.isDue)
        }
        #expect(due(.seconds(600)) == Trouble.allCases)
        #expect(due(.seconds(600), [.kill]) == [.kill])
        #expect(due(.milliseconds(100)) == [])
        // The first zone is never cut off before the fifteenth second, and the first restart is not before the fortieth.
        #expect(!due(.seconds(30)).contains(.restart) && due(.seconds(62.1)).contains(.zone))
    }

    @Test("a run in which nothing was acknowledged is not clean")
    func empty() {
        var report = ChaosReport()
        #expect(!report.isClean)
        (report.acknowledged, report.audited) = (1, 1)
        #expect(report.isClean)
        report.findings = ["there was no cut"]
        #expect(!report.isClean)
    }

    @Test("a copy that cannot be read is no copy that is equal")
    func copies() throws {
        let node = JSONValue.object(["node_id": .string("n1"), "endpoint": .string("10.0.0.1:7441")])
        func partition(_ nodes: String...) -> JSONValue {
            .object(["replicas": .array(nodes.map { .object(["node": .string($0)]) })])
        }
        let topology = JSONValue.object(["nodes": .array([node]), "partitions": .array([partition("n1")])])
        #expect(try Verdict.gateways(of: partition("n1"), in: topology).map { $0.gateway } == ["10.0.0.1:7441"])
        #expect(throws: ChaosFailure.self) { try Verdict.gateways(of: partition("n1", "n2"), in: topology) }
        #expect(throws: ChaosFailure.self) { try Verdict.gateways(of: partition(), in: topology) }
        #expect(try Verdict.partitions(of: topology).count == 1)
        #expect(throws: ChaosFailure.self) { try Verdict.partitions(of: .object(["partitions": .array([])])) }
    }

    @Test("only the end of a member without space is forgiven, not that of one whose store is damaged")
    func lackOfSpace() {
        #expect(ChaosRun.isForLackOfSpace(DiskFailureResponse.exitStatus << 8))
        #expect(!ChaosRun.isForLackOfSpace(1 << 8) && !ChaosRun.isForLackOfSpace(DiskFailureResponse.exitStatus))
    }

    @Test("neighbours are partitions of one table that meet")
    func neighbours() {
        func partition(_ id: Int, _ table: String, _ low: String?, _ high: String?) -> JSONValue {
            func bound(_ key: String?) -> JSONValue { key.map { .array([.string($0)]) } ?? .null }
            return .object(["id": .number(id), "table": .string(table), "low": bound(low), "high": bound(high)])
        }
        let pairs = Operator.neighbours(among: [
            partition(1, "a", nil, "k"), partition(2, "b", "k", nil), partition(3, "a", "p", nil), partition(4, "a", "k", "p"),
        ])
        #expect(pairs.map { [$0.left["id"]?.unsigned, $0.right["id"]?.unsigned] } == [[1, 4], [4, 3]])
    }
}
