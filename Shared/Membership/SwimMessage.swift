package import Model

/// One datagram between members.
package struct SwimMessage: Hashable, Sendable {
    package enum Body: Hashable, Sendable {
        /// Are you there? Names its target, so that a process which took over an address does not answer for another.
        case ping(sequence: UInt64, target: NodeID)
        /// Ask `target` for me; it is reached at `address`.
        case pingRequest(sequence: UInt64, target: NodeID, address: String)
        /// The answer to a ping, or a helper's word that the target answered.
        case ack(sequence: UInt64)
        /// A helper lives and has heard nothing from the target (Lifeguard, LHA-Probe).
        case nack(sequence: UInt64)
        /// Nothing but rumours.
        case gossip
        /// One page of all that the sender knows, in `rumours`. `answer` asks for the same in return.
        case sync(page: UInt16, pages: UInt16, answer: Bool)
    }

    package let from: NodeID
    package let life: Life
    /// The newest routing revision that the sender has applied (rule T2).
    package let revision: Revision
    package let body: Body
    /// Piggybacked records, most urgent first.
    package let rumours: [MemberRecord]

    package init(from: NodeID, life: Life, revision: Revision, body: Body, rumours: [MemberRecord]) {
        self.from = from
        self.life = life
        self.revision = revision
        self.body = body
        self.rumours = rumours
    }

    /// Bytes that a codec and the seal may spend beside the rumours: version, key id, nonce and tag of AES-GCM, the sender, its life,
    /// the revision, and the largest body.
    package static func overhead(from: NodeID, body: Body) -> Int {
        let fixed = 64 + 64 + from.name.utf8.count
        switch body {
        case .ping(_, let target): return fixed + target.name.utf8.count
        case .pingRequest(_, let target, let address): return fixed + target.name.utf8.count + address.utf8.count
        case .ack, .nack, .gossip, .sync: return fixed
        }
    }
}
