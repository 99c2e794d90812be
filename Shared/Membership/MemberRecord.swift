package import Model

// What members say of each other. A record names one life of one node; records of the same node are ordered by
// (generation, incarnation, status) and what a member stores of another never goes back in that order. The generation is the node's
// persisted count of starts, so a restarted node outranks every rumour about its past life; the incarnation is raised by the node
// itself alone, to refute (SWIM 4.2); the status breaks the tie, so that bad news travels until it is refuted.

/// Which of our processes a member is.
package enum MemberKind: UInt8, Hashable, Sendable, CaseIterable {
    case agent = 1
    case coordinator = 2
}

/// What SWIM believes of a member: a rumour, never a decision (rule F1). The raw value is its rank within one incarnation.
package enum MemberStatus: UInt8, Hashable, Comparable, Sendable, CaseIterable {
    /// Can move to: suspect, dead, left.
    case alive = 1
    /// Can move to: alive with a higher incarnation, dead, left.
    case suspect = 2
    /// Can move to: alive with a higher incarnation (the verdict was false), left.
    case dead = 3
    /// Said good-bye. Can move to: alive in a newer generation.
    case left = 4

    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// One life of a node and how often it has refuted in it: ordered lexicographically.
package struct Life: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var generation: Generation
    package var incarnation: UInt64

    package init(generation: Generation, incarnation: UInt64) {
        self.generation = generation
        self.incarnation = incarnation
    }

    package static func < (a: Self, b: Self) -> Bool {
        (a.generation.number, a.incarnation) < (b.generation.number, b.incarnation)
    }

    package var description: String { "\(generation).\(incarnation)" }
}

/// The versions of this protocol that a process speaks: two whose ranges do not meet are no members of one another.
package struct ProtocolVersions: Hashable, Sendable {
    package let oldest: UInt8
    package let newest: UInt8

    package static let ours = ProtocolVersions(oldest: 1, newest: 1)

    package init(oldest: UInt8, newest: UInt8) {
        self.oldest = oldest
        self.newest = newest
    }

    package func meets(_ other: Self) -> Bool { oldest <= other.newest && other.oldest <= newest }
}

/// What a member says of itself; fixed for one incarnation.
package struct MemberProfile: Hashable, Sendable {
    /// Bytes of one address in gossip: a name of 253 bytes would leave no room for others in a datagram.
    package static let addressBytes = FoundDeath.addressBytes
    /// Bytes of what a program adds about itself: the largest record then still fits a datagram beside the largest body.
    package static let metadataBytes = 512

    package let kind: MemberKind
    package let zone: ZoneName
    /// `host:port` of its gossip socket.
    package let gossip: String
    /// `host:port` of its links.
    package let link: String
    package let store: StoreID
    /// Its committed registration; `.none` until it has one, and for coordinators.
    package var session: SessionID
    package let versions: ProtocolVersions
    /// The program's own, carried as it is: a member of an older version hands on what only newer ones understand.
    package var metadata: [UInt8]

    package init(
        kind: MemberKind, zone: ZoneName, gossip: String, link: String, store: StoreID, session: SessionID,
        versions: ProtocolVersions = .ours, metadata: [UInt8] = []
    ) {
        self.versions = versions
        self.metadata = metadata
        self.kind = kind
        self.zone = zone
        self.gossip = gossip
        self.link = link
        self.store = store
        self.session = session
    }

    /// Whether it is another process, where both go by one name and count of starts.
    func isOfAnother(than other: Self) -> Bool { store != other.store || gossip != other.gossip }

    var fits: Bool {
        gossip.utf8.count <= Self.addressBytes && link.utf8.count <= Self.addressBytes && !gossip.isEmpty
            && metadata.count <= Self.metadataBytes
    }
}

/// A rumour about one member.
package struct MemberRecord: Hashable, Sendable {
    package let node: NodeID
    package var life: Life
    package var status: MemberStatus
    package var profile: MemberProfile
    /// Who says so, when the status is suspect or dead: confirmations count once per accuser (Lifeguard, LHA-Suspicion).
    package var accuser: NodeID?
    /// The accuser has more than silence to go by: the link to it was refused or reset. Such a process is gone, not slow.
    package var refused: Bool

    package init(
        node: NodeID, life: Life, status: MemberStatus, profile: MemberProfile, accuser: NodeID? = nil, refused: Bool = false
    ) {
        self.refused = refused
        self.node = node
        self.life = life
        self.status = status
        self.profile = profile
        self.accuser = accuser
    }

    /// Whether this is news to somebody who holds `other`.
    package func outranks(_ other: MemberRecord) -> Bool {
        life == other.life ? status > other.status : other.life < life
    }

    /// An upper bound of the bytes that a codec may spend on this record: names, addresses, metadata, and 80 for numbers and tags.
    package var weight: Int {
        80 + profile.metadata.count + node.name.utf8.count + profile.zone.name.utf8.count + profile.gossip.utf8.count
            + profile.link.utf8.count
            + (accuser?.name.utf8.count ?? 0)
    }
}
