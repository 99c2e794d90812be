// What a node holds, beside what it should. An agent tells its copies as they differ from the topology that it has on its disk: that is
// nothing almost always, however many copies there are, and grows with what is wrong. The coordinators' leader compares again, with the
// topology that it has.

/// A copy on a node's disk that the topology at hand does not place there.
package struct StrayReplica: Hashable, Comparable, Sendable {
    package let partition: PartitionID
    package let storage: StorageID
    /// The newest epoch that the disk proves.
    package let epoch: Epoch
    /// The agent has been told to remove it, or found out by itself that it may.
    package let isBeingRemoved: Bool

    package init(partition: PartitionID, storage: StorageID, epoch: Epoch, isBeingRemoved: Bool) {
        self.partition = partition
        self.storage = storage
        self.epoch = epoch
        self.isBeingRemoved = isBeingRemoved
    }

    package static func < (a: Self, b: Self) -> Bool { (a.partition, a.storage) < (b.partition, b.storage) }
}

/// All that one node holds, at one moment.
package struct Inventory: Hashable, Sendable {
    /// Of the topology that it was compared with: the one on the node's disk.
    package let revision: Revision
    /// Copies in all, those in their places too.
    package let replicas: Int
    /// Strays in all; the first `most` of them are named. As those go, the others are.
    package let strayCount: Int
    /// Sorted.
    package let strays: [StrayReplica]

    /// Strays that are named one by one: a report stays small whatever a disk holds.
    package static let most = 256

    package init(revision: Revision, replicas: Int, strayCount: Int, strays: [StrayReplica]) {
        self.revision = revision
        self.replicas = replicas
        self.strayCount = strayCount
        self.strays = strays
    }
}

/// What a topology says of a copy that is on a node's disk.
package enum ReplicaStanding: String, Hashable, Sendable, CaseIterable {
    /// A descriptor names the node, or the copy is what those who came out of a split or a merge are installed out of.
    case wanted
    /// An operation's record names it for removal.
    case recorded
    /// The partition went on without it: it has moved, was split, or its table was dropped.
    case over
    /// The disk proves a later epoch than the topology knows: of the two, the topology is the one to doubt.
    case ahead
    /// Nothing is known of the partition. The log that this topology comes from never made it: it may be another cluster's, or the only
    /// trace of what a lost log had made.
    case unknown
}

extension Topology {
    /// - Complexity: O(1) for what is in its place, O(operations) for the rest.
    package func standing(of held: StrayReplica, on node: NodeID) -> ReplicaStanding {
        if partitions[held.partition]?.replica(on: node) != nil { return .wanted }
        let retired = retired[held.partition]
        if let retired, hasDescendant(of: retired, in: held.storage, on: node) { return .wanted }
        let isRecorded = operations.values.contains { operation in
            operation.cleanups.contains { $0.node == node && $0.partition == held.partition && $0.storage == held.storage }
        }
        if isRecorded { return .recorded }
        guard let epoch = partitions[held.partition]?.epoch ?? retired?.epoch else { return .unknown }
        return held.epoch > epoch ? .ahead : .over
    }

    /// Whether what came out of a split or a merge is, or is to be, in the storage that the parent had there.
    ///
    /// Where partitions are split and merged in turn, the ways to a descendant double with each pair: each is looked at once.
    package func hasDescendant(of parent: RetiredPartition, in storage: StorageID, on node: NodeID) -> Bool {
        var next = parent.children
        var seen = Set(next)
        while let id = next.popLast() {
            if partitions[id]?.replica(on: node)?.storage == storage { return true }
            next += (retired[id]?.children ?? []).filter { seen.insert($0).inserted }
        }
        return false
    }
}
