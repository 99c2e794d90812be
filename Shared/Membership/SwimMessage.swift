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
        /// Records of the sender's table, because of a digest: most of them are no news to others.
        case records
    }

    /// Records of one message: more than fit a datagram, so that the limit never decides.
    package static let mostRumours = 64

    package let from: NodeID
    package let life: Life
    /// The newest routing revision that the sender knows to exist (rule T2).
    package let revision: Revision
    package let body: Body
    /// What the sender holds, in short; rides on a ping from time to time.
    package let digest: TableDigest?
    /// Piggybacked records, most urgent first.
    package let rumours: [MemberRecord]
    /// Records beside them that say what this version has no word for, and were left out; none in what we send.
    package let unknownRumours: Int

    package init(
        from: NodeID, life: Life, revision: Revision, body: Body, digest: TableDigest? = nil, rumours: [MemberRecord],
        unknownRumours: Int = 0
    ) {
        self.unknownRumours = unknownRumours
        self.from = from
        self.life = life
        self.revision = revision
        self.body = body
        self.digest = digest
        self.rumours = rumours
    }

    /// Bytes that a codec and the seal may spend beside the rumours: version, key id, nonce and tag of AES-GCM, the sender, its life,
    /// the revision, the largest body, and the digest.
    package static func overhead(from: NodeID, body: Body, digest: TableDigest? = nil) -> Int {
        let fixed = 64 + 64 + from.name.utf8.count + (digest?.weight ?? 0)
        switch body {
        case .ping(_, let target): return fixed + target.name.utf8.count
        case .pingRequest(_, let target, let address): return fixed + target.name.utf8.count + address.utf8.count
        case .ack, .nack, .gossip, .records: return fixed
        }
    }
}
