package import Model

/// What we hold of another member.
package struct Member: Hashable, Sendable {
    package internal(set) var record: MemberRecord
    /// Since when it has its status, on our clock.
    package internal(set) var since: LogicalInstant
    /// When we first heard of this life of it, on our clock.
    var metAt: LogicalInstant
    /// Whether any datagram of this life, or a rumour about it, has reached us; a roster entry alone does not count.
    package internal(set) var heard: Bool
    /// Whether the control plane's roster names it.
    package internal(set) var inRoster: Bool
    /// Who accuses a suspect, or accused one that is dead: in order, and no more than count for the verdict.
    package internal(set) var accusers: [NodeID] = []
    /// Whether another process was seen under its name in this life, and told of.
    var isDisputed = false
    /// Whether it has said anything to us itself: kept of those alone whom no roster names.
    var hasSpoken = false
    /// Whether this process is the one that was registered in this generation: no other can be it.
    var isCommitted = false

    init(record: MemberRecord, at now: LogicalInstant, heard: Bool, inRoster: Bool) {
        self.record = record
        self.heard = heard
        self.inRoster = inRoster
        since = now
        metAt = now
    }

    package var node: NodeID { record.node }
    package var status: MemberStatus { record.status }
    package var profile: MemberProfile { record.profile }
    /// Alive or suspect: still a target of probes and gossip.
    var isActive: Bool { status == .alive || status == .suspect }
    /// It should be there and is not.
    var isMissing: Bool { status == .dead || inRoster && !heard }
    /// Nobody will hear of this life again, and somebody may wait for what it has led.
    var isOver: Bool { status == .dead || status == .left && inRoster }
}

/// A node of the committed topology, or a coordinator of the configuration: somebody who should be there, and is never forgotten.
package struct RosterEntry: Hashable, Sendable {
    package let node: NodeID
    package let generation: Generation
    package let profile: MemberProfile

    package init(node: NodeID, generation: Generation, profile: MemberProfile) {
        self.node = node
        self.generation = generation
        self.profile = profile
    }
}

/// A node that was taken out of the cluster for good: no life of it up to this one is a member again, whatever gossip says.
package struct Tombstone: Hashable, Sendable {
    package let node: NodeID
    package let through: Generation

    package init(node: NodeID, through: Generation) {
        self.node = node
        self.through = through
    }
}
