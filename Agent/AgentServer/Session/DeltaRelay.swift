package import Model
import Synchronization
package import Transport
import Wire

/// The deltas that were learned last, as their coordinators signed them, for agents that no coordinator tells (rule T2).
package final class DeltaRelay: Sendable {
    private enum Bounds {
        /// Deltas and bytes of them that are kept. Who is further behind waits for a coordinator, which has the whole.
        static let deltas = 1_024
        static let bytes = 4 << 20
        /// Bytes of one answer: a frame has room for it, with what comes around it.
        static let answer = 1 << 20
        /// How long who has opened a link may take to ask.
        static let question = Duration.seconds(2)
        /// Who is answered at a time; others try again, or elsewhere.
        static let guests = 16
    }

    private struct State {
        /// Each begins where the one before it ends.
        var parts: [TopologyAnswer.Part] = []
        var bytes = 0
        var guests = 0

        mutating func forget() { (parts, bytes) = ([], 0) }
    }

    private let state = Mutex(State())

    package init() {}

    /// - Parameter signer: the certificate of who signed it, DER.
    func note(_ signed: SignedDelta, by signer: [UInt8]?) {
        state.withLock { state in
            // What comes twice, over a session that began anew or from a peer beside it, is no gap.
            if let last = state.parts.last, signed.delta.to <= last.signed.delta.to { return }
            guard signed.signature != nil, let signer, signed.bytes.count <= Bounds.answer else {
                // What comes behind it does not follow on what is there.
                return state.forget()
            }
            if let last = state.parts.last, last.signed.delta.to != signed.delta.from { state.forget() }
            state.parts.append(TopologyAnswer.Part(signed: signed, signer: signer))
            state.bytes += signed.bytes.count
            guard state.parts.count > Bounds.deltas || state.bytes > Bounds.bytes else { return }
            // A quarter at a time, so that shifting the array costs nothing per delta.
            let dropped = max(1, state.parts.count / 4)
            state.bytes -= state.parts[..<dropped].reduce(0) { $0 + $1.signed.bytes.count }
            state.parts.removeFirst(dropped)
        }
    }

    /// What is known to follow on `revision`, up to `end`: nothing, where that is the newest. Where it is too old, the newest
    /// that there is: it cannot be applied, and shows all the same which partitions have gone on (rule E2).
    func answer(after revision: Revision, through end: Revision) -> TopologyAnswer {
        state.withLock { state in
            let known = state.parts.filter { $0.signed.delta.from >= revision && $0.signed.delta.to <= end }
            guard let first = known.first else { return TopologyAnswer([]) }
            if first.signed.delta.from == revision { return TopologyAnswer(Self.leading(known)) }
            return TopologyAnswer(Self.leading(known.reversed()).reversed())
        }
    }

    /// As many of the first as an answer may have.
    private static func leading(_ known: some Sequence<TopologyAnswer.Part>) -> [TopologyAnswer.Part] {
        var parts: [TopologyAnswer.Part] = []
        var (bytes, signers) = (0, Set<[UInt8]>())
        for part in known.prefix(TopologyAnswer.mostDeltas) {
            bytes += part.signed.bytes.count
            signers.insert(part.signer)
            guard bytes <= Bounds.answer, signers.count <= TopologyAnswer.mostSigners else { break }
            parts.append(part)
        }
        return parts
    }

    /// Answers the one question of a link: the listener's handler for `.topology`.
    ///
    /// - Parameter topology: the one in force here. Who is gone for good gets no keys any more: whoever asks has to be a member by it,
    ///   and is told nothing that comes behind it.
    package func serve(_ link: Link, topology: @escaping @Sendable () -> Topology) async {
        defer { link.abort() }
        guard enter() else { return }
        defer { state.withLock { $0.guests -= 1 } }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // Whoever asks something else, or is gone, gets no answer, and tries elsewhere.
                guard let frame = try? await link.receive(), let question = try? TopologyQuestion(bytes: frame) else { return }
                let topology = topology()
                guard let node = topology.nodes[link.peer.node], node.status != .decommissioned else { return }
                try? await link.send(self.answer(after: question.after, through: topology.revision).serialized())
                await link.close()
            }
            group.addTask { try? await Task.sleep(for: Bounds.question) }
            await group.next()
            group.cancelAll()
        }
    }

    private func enter() -> Bool {
        state.withLock { state in
            guard state.guests < Bounds.guests else { return false }
            state.guests += 1
            return true
        }
    }
}
