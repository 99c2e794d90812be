import Glibc
import Synchronization
package import Transport

/// What goes wrong between members of a crowd: some do not hear some others. A datagram says by its nonce which process sealed it, so
/// it is dropped where it arrives, and the sender learns nothing.
package final class FaultyNetwork: Sendable {
    private struct State {
        /// By the number of the process that stands in each datagram. Looked up only.
        var members: [UInt64: Int] = [:]
        var passes: (@Sendable (_ from: Int, _ to: Int) -> Bool)?
        /// How many were dropped on each way. Looked up only.
        var dropped: [Way: Int] = [:]
    }

    private struct Way: Hashable {
        let from: Int
        let to: Int
    }

    private let state = Mutex(State())

    package init() {}

    /// From now on only what `passes` arrives; nil mends everything.
    package func set(_ passes: (@Sendable (_ from: Int, _ to: Int) -> Bool)?) {
        state.withLock { state in
            state.passes = passes
            state.dropped = [:]
        }
    }

    /// Datagrams that were dropped on one way since the last `set`.
    package func dropped(from: Int, to: Int) -> Int { state.withLock { $0.dropped[Way(from: from, to: to)] ?? 0 } }

    fileprivate func know(_ sealed: [UInt8], of member: Int) {
        guard let process = Self.process(sealed) else { return }
        state.withLock { $0.members[process] = member }
    }

    fileprivate func delivers(_ sealed: [UInt8], to member: Int) -> Bool {
        guard let process = Self.process(sealed) else { return true }
        return state.withLock { state in
            guard let passes = state.passes, let sender = state.members[process], !passes(sender, member) else { return true }
            state.dropped[Way(from: sender, to: member), default: 0] += 1
            return false
        }
    }

    /// After the key's number stands that of the process.
    private static func process(_ sealed: [UInt8]) -> UInt64? {
        sealed.count < 9 ? nil : sealed[1..<9].reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// The seal of one member, with what can go wrong below it: datagrams are lost, and the thread that reads, sends and ticks stands still.
package final class FaultyLine: DatagramSealing {
    private struct State {
        var loss = 0.0
        var stall: Duration?
        var isStanding = false
        var sentBytes: UInt64 = 0
    }

    private struct Lost: Error {}

    package let seal: GossipSeal
    private let member: Int
    private let network: FaultyNetwork
    private let state = Mutex(State())

    package init(_ seal: GossipSeal, of member: Int, in network: FaultyNetwork) {
        self.seal = seal
        self.member = member
        self.network = network
    }

    /// The share of datagrams that are lost on their way out.
    package func lose(_ share: Double) { state.withLock { $0.loss = share } }
    /// From the next datagram on; that is soon.
    package func stall(for time: Duration) { state.withLock { $0.stall = time } }
    /// Until that is over.
    package var isStalled: Bool { state.withLock { $0.stall != nil || $0.isStanding } }
    package var sentBytes: UInt64 { state.withLock { $0.sentBytes } }

    package func seal(_ plain: [UInt8]) throws -> [UInt8] {
        standStill()
        if state.withLock({ $0.loss > 0 && Double.random(in: 0..<1) < $0.loss }) { throw Lost() }
        let sealed = try seal.seal(plain)
        network.know(sealed, of: member)
        state.withLock { $0.sentBytes += UInt64(sealed.count) }
        return sealed
    }

    package func open(_ sealed: [UInt8]) throws(DatagramRefusal) -> [UInt8] {
        standStill()
        guard network.delivers(sealed, to: member) else { throw .malformed }
        return try seal.open(sealed)
    }

    /// It blocks the member's own thread, as a stopped process would stand.
    private func standStill() {
        let time = state.withLock { state in
            let time = state.stall
            if time != nil { (state.stall, state.isStanding) = (nil, true) }
            return time
        }
        guard let time else { return }
        usleep(UInt32(time / .microseconds(1)))
        state.withLock { $0.isStanding = false }
    }
}
