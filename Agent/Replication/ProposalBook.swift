// Repeats what is wanted of the coordinators until it is answered, under one request id, so that it happens once (M4, C5).

package import Model

/// A want that is stated again at every step for as long as it holds; the book decides when it is worth sending.
package struct ProposalBook: Hashable, Sendable {
    private struct Want: Hashable, Sendable {
        var attempt = 0
        var sentAt: LogicalInstant?
        var notBefore: LogicalInstant
    }

    private let prefix: String
    private let interval: Span
    private var wants: [PartitionProposal: Want] = [:]

    /// - Parameter prefix: makes the request ids of this book its own, and the same after a restart.
    package init(prefix: String, interval: Span = .milliseconds(200)) {
        self.prefix = prefix
        self.interval = interval
    }

    /// The request id under which to send `proposal` now; nil while an earlier one is still fresh.
    package mutating func want(_ proposal: PartitionProposal, at now: LogicalInstant) -> RequestID? {
        var want = wants[proposal] ?? Want(notBefore: now)
        guard now >= want.notBefore, want.sentAt.map({ now >= $0 + interval }) ?? true else { return nil }
        want.sentAt = now
        wants[proposal] = want
        return try? RequestID("\(prefix)/\(proposal.label)/\(want.attempt)")
    }

    /// - Returns: the proposal that was answered, if it is still wanted.
    package mutating func answered(_ proposal: PartitionProposal, _ outcome: ProposalOutcome, at now: LogicalInstant) {
        guard var want = wants[proposal] else { return }
        switch outcome {
        case .accepted:
            // The topology will show it; if it does not, asking again gets the same answer.
            want.notBefore = now + interval * 10
        case .refused:
            // The first answer stands for this id for ever; a later try is a new request.
            want.attempt += 1
            want.notBefore = now + interval
            want.sentAt = nil
        case .unavailable:
            want.sentAt = now
        }
        wants[proposal] = want
    }

    package var count: Int { wants.count }

    /// Whether it was asked for before, and still applies.
    package func knows(_ proposal: PartitionProposal) -> Bool { wants[proposal] != nil }

    /// Forgets what no longer applies.
    package mutating func forget(where isOver: (PartitionProposal) -> Bool) {
        wants = wants.filter { !isOver($0.key) }
    }
}

extension PartitionProposal {
    /// A text that is equal for equal proposals and for no others; at most 200 bytes.
    package var label: String {
        switch self {
        case .replicaReady(let id, let epoch): "ready-\(id)-\(epoch)"
        case .evict(let id, let node, let epoch): "evict-\(id)-\(node)-\(epoch)"
        case .joinInSync(let id, let node, let store, let epoch): "join-\(id)-\(node)-\(store)-\(epoch)"
        case .switchPrimary(let id, let node, let store, let operation, let epoch):
            "switch-\(id)-\(node)-\(store)-\(operation)-\(epoch)"
        case .removeReplica(let id, let node, let operation, let epoch): "remove-\(id)-\(node)-\(operation)-\(epoch)"
        case .commitSplit(let id, let operation, let position, let checksum, _, let epoch):
            "split-\(id)-\(operation)-\(position)-\(checksum)-\(epoch)"
        case .commitMerge(let operation, let left, let right, _):
            "merge-\(operation)-\(left.at)-\(left.expecting)-\(right.at)-\(right.expecting)"
        case .abort(let operation, let partition, _, let epoch): "abort-\(operation)-\(partition)-\(epoch)"
        case .cleaned(let operation, let cleanup):
            "cleaned-\(operation)-\(cleanup.node)-\(cleanup.storage)-\(cleanup.partition)"
        case .requestSplit(let id, let key, let epoch):
            "request-split-\(id)-\(Checksum.crc32c(key.bytes))-\(epoch)"
        }
    }
}
