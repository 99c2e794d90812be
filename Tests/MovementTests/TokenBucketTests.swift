import Model
import Movement
import Testing

@Suite struct TokenBucketTests {
    private let rate: Int64 = 1_000_000
    private let burst: Int64 = 200_000

    private func at(_ milliseconds: Int64) -> LogicalInstant { .origin + .milliseconds(milliseconds) }
    private var bucket: TokenBucket { TokenBucket(rate: rate, burst: burst, at: at(0)) }

    /// Takes tickets one after another, each as soon as the one before it may go.
    /// - Returns: when each of them goes.
    private func go(_ sizes: [Int], through bucket: inout TokenBucket, from start: LogicalInstant) -> [LogicalInstant] {
        var (now, times) = (start, [LogicalInstant]())
        for size in sizes {
            let ticket = bucket.take(size, at: now)
            while case let delay = bucket.delay(of: ticket, at: now), delay > .zero { now = now + delay }
            times.append(now)
        }
        return times
    }

    @Test("over any span no more goes through than the rate allows, beyond one burst and what is under way", arguments: 1...6)
    func rateHolds(seed: Int) {
        var bucket = bucket
        let sizes = (0..<400).map { 1_000 + ($0 * 7_919 * seed) % 30_000 }
        let times = go(sizes, through: &bucket, from: at(50))
        var excess = -Double.infinity
        for first in 0..<sizes.count {
            var sum: Int64 = 0
            for last in first..<sizes.count {
                excess = max(excess, Double(sum - burst) - Double(rate) * (times[last] - times[first]).seconds)
                sum += Int64(sizes[last])
            }
        }
        #expect(excess <= 1)
        // And no less, in the long run.
        let all = Double(sizes.reduce(0, +) - Int(burst))
        #expect((times[399] - times[0]).seconds < all / Double(rate) * 1.01)
    }

    @Test("a rest earns one burst, and not more, however long it was")
    func rests() {
        var bucket = bucket
        _ = go([200_000, 200_000], through: &bucket, from: at(0))
        let times = go([100_000, 100_000, 100_000, 100_000], through: &bucket, from: at(3_600_000))
        #expect(times.map { $0 - at(3_600_000) } == [.zero, .zero, .zero, .milliseconds(100)])
    }

    @Test("more than a burst goes in one piece, and is paid for by whoever comes next")
    func largePiece() {
        var bucket = bucket
        let times = go([1_000_000, 10, 10], through: &bucket, from: at(0))
        #expect(times == [at(0), at(800), at(800) + .microseconds(10)])
    }

    @Test("first come, first served: who asked later does not go sooner, though it wants less")
    func inOrder() {
        var bucket = bucket
        _ = bucket.take(200_000, at: at(0))
        let second = bucket.take(500_000, at: at(0))
        let third = bucket.take(1, at: at(0))
        let fourth = bucket.take(1, at: at(0))
        let delays = [second, third, fourth].map { bucket.delay(of: $0, at: at(0)) }
        #expect(delays == [.zero, .milliseconds(500), .milliseconds(500) + .microseconds(1)])
        #expect(bucket.delay(of: third, at: at(499)) > .zero)
        #expect(bucket.delay(of: third, at: at(500)) == .zero)
        // It may be asked again.
        #expect(bucket.delay(of: third, at: at(500)) == .zero)
    }

    @Test("a new rate is in force at once, for those who wait too, and what was earned at the old one stays")
    func changes() {
        var bucket = bucket
        _ = bucket.take(1_200_000, at: at(0))
        let waiting = bucket.take(1, at: at(0))
        #expect(bucket.delay(of: waiting, at: at(0)) == .seconds(1))
        bucket.set(rate: 10_000_000, at: at(500))
        #expect(bucket.delay(of: waiting, at: at(500)) == .milliseconds(50))
        bucket.set(rate: 1_000, at: at(500))
        #expect(bucket.delay(of: waiting, at: at(500)) == .seconds(500))
    }

    @Test("a slow rate loses nothing to looks in between, and a clock that stands still gives nothing")
    func manyLooks() {
        var bucket = TokenBucket(rate: 3, burst: 1, at: at(0))
        _ = bucket.take(31, at: at(0))
        let ticket = bucket.take(1, at: at(0))
        var early = 0
        for step in 0..<9_999 where bucket.delay(of: ticket, at: at(Int64(step))) == .zero { early += 1 }
        for _ in 0..<100 where bucket.delay(of: ticket, at: at(9_990)) == .zero { early += 1 }
        #expect(early == 0)
        #expect(bucket.delay(of: ticket, at: at(10_001)) == .zero)
    }
}
