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
    var suspicion: Suspicion?

    package var node: NodeID { record.node }
    package var status: MemberStatus { record.status }
    package var profile: MemberProfile { record.profile }
    /// Alive or suspect: still a target of probes and gossip.
    var isActive: Bool { status == .alive || status == .suspect }
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

/// Members in the order of their names, so that nothing depends on the order of a hash.
struct MemberTable: Hashable, Sendable {
    private(set) var all: [Member] = []

    private func place(of node: NodeID) -> (index: Int, found: Bool) {
        var low = 0
        var high = all.count
        while low < high {
            let middle = (low + high) / 2
            if all[middle].node < node { low = middle + 1 } else { high = middle }
        }
        return (low, low < all.count && all[low].node == node)
    }

    subscript(node: NodeID) -> Member? {
        get {
            let (index, found) = place(of: node)
            return found ? all[index] : nil
        }
        set {
            let (index, found) = place(of: node)
            switch (found, newValue) {
            case (true, .some(let member)): all[index] = member
            case (false, .some(let member)): all.insert(member, at: index)
            case (true, nil): all.remove(at: index)
            case (false, nil): break
            }
        }
    }

    var activeCount: Int { all.count { $0.isActive } }

    mutating func update(_ change: (inout Member) -> Void) {
        for index in all.indices { change(&all[index]) }
    }
}
