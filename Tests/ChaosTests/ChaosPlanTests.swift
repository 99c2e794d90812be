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
}
