import CoreMetrics
import Model
import Movement
import Synchronization
import Transport

/// Holds back what all copies of this node in one direction move together, so that its clients do not notice them.
final class CopyPacer: Sendable {
    /// So often who waits looks again: the rate may have been changed.
    private static let look = Span.milliseconds(200)
    /// At once: a chunk of each of two copies.
    private static let burst = Int64(2 * RowBlock.bytes)

    private let rate: @Sendable () -> Int64
    private let bucket: Mutex<TokenBucket>
    private let moved: any CounterHandler
    private let waits: any TimerHandler

    /// - Parameters:
    ///   - rate: bytes in a second, as they are configured at the moment; above zero.
    ///   - moved: counts the bytes.
    ///   - waits: how long each chunk was held back.
    init(rate: @escaping @Sendable () -> Int64, moved: any CounterHandler, waits: any TimerHandler) {
        self.rate = rate
        self.moved = moved
        self.waits = waits
        bucket = Mutex(TokenBucket(rate: rate(), burst: Self.burst, at: BootClock.now()))
    }

    /// Waits until so many bytes may be moved.
    ///
    /// - Throws: `CancellationError`.
    func pass(_ bytes: Int) async throws {
        let since = BootClock.now()
        let ticket = bucket.withLock { bucket in
            bucket.set(rate: rate(), at: since)
            return bucket.take(bytes, at: since)
        }
        while true {
            let now = BootClock.now()
            let delay = bucket.withLock { bucket in
                bucket.set(rate: rate(), at: now)
                return bucket.delay(of: ticket, at: now)
            }
            guard delay > .zero else { break }
            try await Task.sleep(for: .microseconds(min(delay, Self.look).microseconds))
        }
        moved.increment(by: Int64(bytes))
        waits.record(BootClock.now() - since)
    }
}
