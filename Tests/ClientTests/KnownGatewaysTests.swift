import Model
import Testing

@testable import Client

@Suite struct KnownGatewaysTests {
    @Test("who did not answer is asked last, until it answers")
    func silentLast() {
        var random = SeededGenerator(seed: 1)
        var gateways = KnownGateways(["a", "b", "c", "d"])
        gateways.failed("b")
        gateways.failed("d")
        for _ in 0..<20 {
            let order = gateways.shuffled(using: &random)
            #expect(Set(order.prefix(2)) == ["a", "c"] && Set(order) == ["a", "b", "c", "d"])
        }
        gateways.answered("b")
        #expect((0..<20).allSatisfy { _ in gateways.shuffled(using: &random).last == "d" })
    }

    @Test("who does not answer, and is named by no route any more, is forgotten; who answers is kept")
    func forgetsTheGone() {
        var gateways = KnownGateways(["a", "b", "c"])
        gateways.failed("a")
        gateways.failed("b")
        gateways.add(["b", "d"])
        #expect(gateways.all == ["b", "c", "d"])
        gateways.failed("a")
        #expect(gateways.all == ["b", "c", "d"])
    }
}
