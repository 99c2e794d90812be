import Synchronization
import Testing

@testable import Client

@Suite struct TokenSourceTests {
    /// Coordinators and a clock, both in the hands of the test.
    private final class Hands: Sendable {
        private struct State {
            var now = ContinuousClock.now
            var isAway = false
            var asked: [Int64] = []
        }
        private let state = Mutex(State())

        var asked: [Int64] { state.withLock { $0.asked } }
        func pass(_ seconds: Int) { state.withLock { $0.now += .seconds(seconds) } }
        func away(_ flag: Bool) { state.withLock { $0.isAway = flag } }

        func source() -> TokenSource {
            TokenSource(seconds: 900, now: { self.state.withLock { $0.now } }) { (_, milliseconds) async throws(ClientError) in
                let (isAway, count) = self.state.withLock { state in
                    state.asked.append(milliseconds)
                    return (state.isAway, state.asked.count)
                }
                // Lets others ask meanwhile.
                await Task.yield()
                guard !isAway else { throw .unreachable("nobody") }
                return "token-\(count)"
            }
        }
    }

    @Test("a token serves for two thirds of its life, then it is renewed")
    func renewal() async throws {
        let hands = Hands()
        let source = hands.source()
        #expect(try await source.token(for: "t") == "token-1")
        hands.pass(599)
        #expect(try await source.token(for: "t") == "token-1")
        hands.pass(1)
        #expect(try await source.token(for: "t") == "token-2")
        #expect(hands.asked == [TokenSource.firstMilliseconds, TokenSource.renewalMilliseconds])
    }

    @Test("with the coordinators away the old token serves on, and only one request in five seconds is held up, for a moment")
    func away() async throws {
        let hands = Hands()
        let source = hands.source()
        _ = try await source.token(for: "t")
        hands.away(true)
        hands.pass(600)
        for _ in 0..<10 { #expect(try await source.token(for: "t") == "token-1") }
        #expect(hands.asked.dropFirst() == [TokenSource.renewalMilliseconds])
        hands.pass(5)
        _ = try await source.token(for: "t")
        #expect(hands.asked.count == 3)
        // Expired by our clock: the agents may see it otherwise, and there is nothing better.
        hands.pass(400)
        #expect(try await source.token(for: "t") == "token-1")
        hands.away(false)
        #expect(try await source.token(for: "t") == "token-5")
    }

    @Test("without any token the coordinators' silence is an error")
    func none() async {
        let hands = Hands()
        hands.away(true)
        let source = hands.source()
        await #expect(throws: ClientError.unreachable("nobody")) { try await source.token(for: "t") }
    }

    @Test("a refused token is not used again, and a newer one is not thrown away with it")
    func discard() async throws {
        let hands = Hands()
        let source = hands.source()
        _ = try await source.token(for: "t")
        await source.discard("token-1", for: "t")
        #expect(try await source.token(for: "t") == "token-2")
        await source.discard("token-1", for: "t")
        #expect(try await source.token(for: "t") == "token-2")
    }

    @Test("many that need a token at once ask once")
    func together() async throws {
        let hands = Hands()
        let source = hands.source()
        let texts = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<50 { group.addTask { try await source.token(for: "t") } }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(texts == ["token-1"])
        #expect(hands.asked.count == 1)
    }
}
