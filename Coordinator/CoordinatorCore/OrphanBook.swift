package import Catalog
package import Model

/// A copy that nobody wants, as a node reports it again and again.
package struct Orphan: Hashable, Sendable {
    package let node: NodeID
    /// Of the process that reported it: what another one holds is to be told anew.
    package let session: SessionID
    package let held: StrayReplica
    /// Never `wanted` or `recorded`.
    package let standing: ReplicaStanding
    /// For how long this member has known of it.
    package let age: Span
    /// Known for longer than the grace, and told of after this member's topology came to be known to the node.
    package let isConfirmed: Bool

    package init(
        node: NodeID, session: SessionID, held: StrayReplica, standing: ReplicaStanding, age: Span, isConfirmed: Bool
    ) {
        self.node = node
        self.session = session
        self.held = held
        self.standing = standing
        self.age = age
        self.isConfirmed = isConfirmed
    }

    /// What has it removed, unless the node has started again since it was reported (rule E6).
    package var removal: OrphanRemoval { OrphanRemoval(node: NodeSession(node: node, session: session), held: held) }
}

/// Remembers since when each stray copy has been reported. Pure: what it forgets with a member's start costs one grace more.
///
/// A copy that is on its way out, or whose record is on its way to the node, is a stray for a moment. So one counts only when it was
/// told of all through the grace, and by a node that knows the topology in which it was first found to be wanted by nobody.
struct OrphanBook: Hashable, Sendable {
    private struct Place: Hashable, Comparable {
        let node: NodeID
        let partition: PartitionID
        let storage: StorageID

        static func < (a: Self, b: Self) -> Bool { (a.node, a.partition, a.storage) < (b.node, b.partition, b.storage) }
    }

    private struct Sighting: Hashable {
        let session: SessionID
        let held: StrayReplica
        let standing: ReplicaStanding
        let since: LogicalInstant
        /// This member's topology then.
        let revision: Revision
        /// The newest topology that the node has told of it by.
        let toldAt: Revision
    }

    private var sightings: [Place: Sighting] = [:]

    /// Agents report every two seconds: who has been silent for so long says nothing about now.
    static let validity = Span.seconds(10)

    var isEmpty: Bool { sightings.isEmpty }

    /// Compares what the nodes hold with what they should.
    ///
    /// - Complexity: O(nodes) while there are no strays.
    mutating func compare(_ reports: [NodeID: ReceivedReport], with topology: Topology, at now: LogicalInstant) {
        var found: [Place: Sighting] = [:]
        for (id, received) in reports {
            guard let inventory = received.report.inventory, !inventory.strays.isEmpty, now - received.at <= Self.validity,
                let node = topology.nodes[id], node.session == received.report.session
            else { continue }
            for held in inventory.strays where !held.isBeingRemoved {
                let standing = topology.standing(of: held, on: id)
                switch standing {
                case .wanted, .recorded: continue
                case .over, .ahead, .unknown: break
                }
                let place = Place(node: id, partition: held.partition, storage: held.storage)
                // What is over is ordered away: for how long it was something else before says nothing. Nor does what an earlier
                // process told, whose removal may have been refused for that, under the name of the occasion.
                let first = sightings[place].flatMap {
                    $0.standing == standing && $0.session == node.session ? $0 : nil
                }
                found[place] = Sighting(
                    session: node.session, held: held, standing: standing, since: first?.since ?? now,
                    revision: first?.revision ?? topology.revision, toldAt: inventory.revision)
            }
        }
        sightings = found
    }

    /// Sorted by node, partition and storage.
    func orphans(grace: Span, at now: LogicalInstant) -> [Orphan] {
        sightings.sorted { $0.key < $1.key }.map { place, sighting in
            let age = now - sighting.since
            return Orphan(
                node: place.node, session: sighting.session, held: sighting.held, standing: sighting.standing, age: age,
                isConfirmed: age >= grace && sighting.toldAt >= sighting.revision)
        }
    }

    /// Names the occasion: the same copy may be found, removed and found again.
    func occasion(of orphan: Orphan) -> String? {
        let place = Place(node: orphan.node, partition: orphan.held.partition, storage: orphan.held.storage)
        return sightings[place].map { "orphan-\(place.node)-\(place.partition)-\(place.storage)-\($0.revision.index)" }
    }
}
