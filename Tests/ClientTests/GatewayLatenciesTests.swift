import Testing

@testable import Client

@Suite struct GatewayLatenciesTests {
    private let start = ContinuousClock.now
    private let gateways = ["a:1", "b:1", "c:1"]

    @Test("each gateway is measured once before the fastest is chosen")
    func measuresEach() {
        var latencies = GatewayLatencies()
        var random = SystemRandomNumberGenerator()
        var asked: Set<String> = []
        for (milliseconds, _) in zip([3, 1, 2], gateways) {
            guard let one = latencies.nearest(of: gateways, at: start, random: &random) else { break }
            asked.insert(one)
            latencies.answered(one, after: .milliseconds(milliseconds), at: start)
        }
        #expect(asked == Set(gateways))
    }

    @Test("the fastest is chosen, until it fails; what is old is measured again")
    func choosesFastest() {
        var latencies = GatewayLatencies()
        var random = SystemRandomNumberGenerator()
        for (gateway, milliseconds) in zip(gateways, [3, 1, 2]) {
            latencies.answered(gateway, after: .milliseconds(milliseconds), at: start)
        }
        #expect(latencies.nearest(of: gateways, at: start, random: &random) == "b:1")
        latencies.failed("b:1", at: start)
        #expect(latencies.nearest(of: gateways, at: start, random: &random) == "c:1")
        let later = start + GatewayLatencies.validity
        for gateway in ["b:1", "c:1"] { latencies.answered(gateway, after: .milliseconds(1), at: later) }
        #expect(latencies.nearest(of: gateways, at: later, random: &random) == "a:1")
        #expect(latencies.nearest(of: [], at: later, random: &random) == nil)
    }

    @Test("one slow answer of a fast gateway does not send everybody away from it")
    func smooths() {
        var latencies = GatewayLatencies()
        var random = SystemRandomNumberGenerator()
        latencies.answered("a:1", after: .milliseconds(1), at: start)
        latencies.answered("b:1", after: .milliseconds(4), at: start)
        latencies.answered("a:1", after: .milliseconds(20), at: start)
        #expect(latencies.nearest(of: ["a:1", "b:1"], at: start, random: &random) == "a:1")
        latencies.answered("a:1", after: .milliseconds(20), at: start)
        #expect(latencies.nearest(of: ["a:1", "b:1"], at: start, random: &random) == "b:1")
    }

    @Test("what is kept has a bound, and the oldest goes first")
    func isBounded() {
        var latencies = GatewayLatencies()
        var random = SystemRandomNumberGenerator()
        for index in 0...GatewayLatencies.limit {
            latencies.answered("g\(index)", after: .milliseconds(1), at: start + .milliseconds(index))
        }
        let now = start + .milliseconds(GatewayLatencies.limit)
        #expect(latencies.nearest(of: ["g0", "g1"], at: now, random: &random) == "g0")
    }
}
