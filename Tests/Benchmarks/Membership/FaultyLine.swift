import Glibc
import Synchronization
import Transport

/// The seal of one member, with what can go wrong below it: datagrams are lost, and the thread that reads, sends and ticks stands still.
final class FaultyLine: DatagramSealing {
    private struct State {
        var loss = 0.0
        var isCut = false
        var stall: Duration?
        var sentBytes: UInt64 = 0
    }

    private let seal: GossipSeal
    private let state = Mutex(State())

    init(_ seal: GossipSeal) { self.seal = seal }

    /// The share of datagrams that are lost on their way out.
    func lose(_ share: Double) { state.withLock { $0.loss = share } }
    /// Nothing goes out or in, and nobody is refused.
    func cut() { state.withLock { $0.isCut = true } }
    /// From the next datagram on; that is soon.
    func stall(for time: Duration) { state.withLock { $0.stall = time } }
    var sentBytes: UInt64 { state.withLock { $0.sentBytes } }

    func seal(_ plain: [UInt8]) throws -> [UInt8] {
        standStill()
        let isLost = state.withLock { $0.isCut || $0.loss > 0 && Double.random(in: 0..<1) < $0.loss }
        if isLost { throw BenchFailure("lost on its way") }
        let sealed = try seal.seal(plain)
        state.withLock { $0.sentBytes += UInt64(sealed.count) }
        return sealed
    }

    func open(_ sealed: [UInt8]) throws(DatagramRefusal) -> [UInt8] {
        standStill()
        guard !state.withLock({ $0.isCut }) else { throw .malformed }
        return try seal.open(sealed)
    }

    /// It blocks the member's own thread, as a stopped process would stand.
    private func standStill() {
        let time = state.withLock { state in
            defer { state.stall = nil }
            return state.stall
        }
        if let time { usleep(UInt32(time.inSeconds * 1e6)) }
    }
}
