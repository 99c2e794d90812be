// What the catalog must refuse, from those who ask too late, or without the right to.

import Catalog
import Model
import SimulationKit

enum CatalogStories {
    /// Two changes are proposed by what was known before either.
    static func oldProposal(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4, 5])
        try catalog.finishTable()
        let partition = try catalog.partition
        for (node, isFirst) in [(nodes[1], true), (nodes[2], false)] {
            let evict = PartitionProposal.evict(partition.id, node: node, expecting: partition.epoch)
            guard try catalog.propose(evict, from: nodes[0]) == isFirst else {
                throw Violation(
                    isFirst ? "a member cannot be left out" : "a change that was planned from old state is committed")
            }
        }
    }

    /// A process goes on to propose while its node has started anew.
    static func replacedProcess(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4])
        try catalog.finishTable()
        let old = catalog.session(nodes[0])
        try catalog.start(3, store: catalog.places.store(3), generation: 2)
        let partition = try catalog.partition
        let evict = PartitionProposal.evict(partition.id, node: nodes[1], expecting: partition.epoch)
        if try catalog.propose(evict, from: nodes[0], in: old) {
            throw Violation("a proposal of a process that was replaced is committed")
        }
    }

    /// A node that is to have a copy has started again since that was planned.
    static func plannedBeforeStart(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let target = catalog.places.agents[2]
        try catalog.createTable(on: [3, 4])
        try catalog.finishTable()
        let partition = try catalog.partition
        let move = MovePlan(
            partition: partition.id, source: nil, target: NodeSession(node: target, session: catalog.session(target)),
            epoch: partition.epoch)
        try catalog.start(5, store: catalog.places.store(5), generation: 2)
        if try catalog.run(.beginMove(move)) {
            throw Violation("a copy is begun on a node that has started again since that was planned")
        }
    }

    /// A node comes back with an empty disk under its name.
    static func otherStore(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4, 5])
        try catalog.finishTable()
        try catalog.start(4, store: StoreID(77), generation: 1)
        if try catalog.partition.inSync.contains(nodes[1]) {
            throw Violation("a node with an empty disk counts as one that holds every acknowledged write")
        }
    }

    /// A registration comes when the node has started, and registered, again.
    static func lateRegistration(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let node = catalog.places.agents[0]
        for generation in [3, 2] as [UInt64] {
            let isTaken = try catalog.register(3, store: catalog.places.store(3), generation: generation)
            guard isTaken == (generation == 3) else { throw Violation("start \(generation), \(isTaken ? "" : "not ")taken") }
        }
        guard catalog.topology.nodes[node]?.generation == Generation(3) else {
            throw Violation("a process that has ended takes the session from the one that runs")
        }
    }

    /// A learner starts again without its copy while it is proposed for what it had.
    static func lostLearner(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4, 5])
        try catalog.finishTable()
        let whole = try catalog.partition
        let evict = PartitionProposal.evict(whole.id, node: nodes[1], expecting: whole.epoch)
        guard try catalog.propose(evict, from: nodes[0]) else { throw Violation("a member cannot be left out") }
        let join = PartitionProposal.joinInSync(
            whole.id, node: nodes[1], store: catalog.places.store(4), expecting: try catalog.partition.epoch)
        try catalog.start(4, store: catalog.places.store(4), generation: 2, without: [whole.id])
        if try catalog.propose(join, from: nodes[0]) {
            throw Violation("a copy that is lost counts as one that holds every acknowledged write")
        }
    }

    /// A node with the last copy starts again without it, and is not heard for a while.
    static func damagedReturn(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let node = catalog.places.agents[0]
        try catalog.createTable(on: [3])
        try catalog.finishTable()
        try catalog.start(3, store: catalog.places.store(3), generation: 2, without: [try catalog.partition.id])
        guard try catalog.fail(node) else { throw Violation("a death is not believed") }
        try catalog.must(.nodeReturned(node, session: catalog.session(node)))
        if try catalog.partition.primary != nil { throw Violation("who has said that its copy is lost leads by it") }
    }

    /// One coordinator does not hear a node that everybody else hears.
    static func oneWitness(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        if try catalog.fail(nodes[0], witnesses: 1) { throw Violation("a node is failed by the word of one") }
    }

    /// The news of a death comes when the node has started again.
    static func lateDeath(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        let old = catalog.session(nodes[0])
        try catalog.start(3, store: catalog.places.store(3), generation: 2)
        if try catalog.fail(nodes[0], in: old) { throw Violation("the death of an earlier process fails the one after it") }
    }

    /// The primary dies when one member is in sync and one is none any more.
    static func learnerSurvives(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4, 5])
        try catalog.finishTable()
        let partition = try catalog.partition
        let evict = PartitionProposal.evict(partition.id, node: nodes[1], expecting: partition.epoch)
        guard try catalog.propose(evict, from: nodes[0]) else { throw Violation("a member cannot be left out") }
        guard try catalog.fail(nodes[0]) else { throw Violation("a death is not believed") }
        guard try catalog.partition.primary == nodes[2] else { throw Violation("the last in-sync member does not lead") }
    }

    /// An operator gives up a member that lives, though it could lead.
    static func forcedOverMember(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4, 5])
        try catalog.finishTable()
        let partition = try catalog.partition
        let evict = PartitionProposal.evict(partition.id, node: nodes[1], expecting: partition.epoch)
        guard try catalog.propose(evict, from: nodes[0]) else { throw Violation("a member cannot be left out") }
        if try catalog.force(to: nodes[1]) {
            throw Violation("acknowledged writes are given up, though a node is there that holds them")
        }
    }

    /// The learners of a partition that is forced may have more than who leads it then.
    static func forcedBesideLearners(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4, 5])
        try catalog.finishTable()
        for node in nodes[1...2] {
            let partition = try catalog.partition
            let evict = PartitionProposal.evict(partition.id, node: node, expecting: partition.epoch)
            guard try catalog.propose(evict, from: nodes[0]) else { throw Violation("a member cannot be left out") }
        }
        guard try catalog.fail(nodes[0]) else { throw Violation("a death is not believed") }
        guard try catalog.force(to: nodes[1]) else { throw Violation("nobody can be forced into the lead") }
        guard try catalog.partition.replicas.map(\.node) == [nodes[1]] else {
            throw Violation("who may hold other writes follows a primary that was forced")
        }
    }

    /// One of two moves its copy to a third, which is in sync.
    private static func moving(_ bug: ClusterBug?, from source: Int) throws(Violation) -> (HandDrivenCatalog, OperationID) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4])
        try catalog.finishTable()
        let operation = try catalog.beginMove(from: nodes[source], to: nodes[2])
        let copied = try catalog.partition
        let join = PartitionProposal.joinInSync(
            copied.id, node: nodes[2], store: catalog.places.store(5), expecting: copied.epoch)
        guard try catalog.propose(join, from: nodes[0]) else { throw Violation("a move's target cannot join") }
        return (catalog, operation)
    }

    /// A source has left, and its copy is still there.
    static func leftovers(_ bug: ClusterBug?) throws(Violation) {
        let (started, operation) = try moving(bug, from: 1)
        var catalog = started
        let nodes = catalog.places.agents
        let joined = try catalog.partition
        let removal = PartitionProposal.removeReplica(
            joined.id, node: nodes[1], operation: operation, expecting: joined.epoch)
        guard try catalog.propose(removal, from: nodes[0]) else { throw Violation("a move's source cannot leave") }
        guard catalog.topology.operations[operation]?.cleanups.contains(where: { $0.node == nodes[1] }) ?? false else {
            throw Violation("nobody knows any more what a move has left on its source")
        }
    }

    /// A source asks to be removed while it leads.
    static func leavingPrimary(_ bug: ClusterBug?) throws(Violation) {
        let (started, operation) = try moving(bug, from: 0)
        var catalog = started
        let nodes = catalog.places.agents
        let joined = try catalog.partition
        let removal = PartitionProposal.removeReplica(
            joined.id, node: nodes[0], operation: operation, expecting: joined.epoch)
        if try catalog.propose(removal, from: nodes[0]) { throw Violation("a primary leaves its partition, and leads it") }
    }

    /// A split is proposed of which one member has no record.
    static func unheldSplit(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [3, 4])
        try catalog.finishTable()
        let parent = try catalog.partition
        try catalog.must(.beginSplit(parent.id, at: Key([50]), expecting: parent.epoch))
        guard let operation = try catalog.partition.operation else { throw Violation("a split is not under way") }
        let split = PartitionProposal.commitSplit(
            parent.id, operation: operation, at: Position(epoch: parent.epoch, run: 1, sequence: 9), checksum: 1,
            inSync: [nodes[0]], expecting: parent.epoch)
        if try catalog.propose(split, from: nodes[0]) {
            throw Violation("a split is committed whose record one in-sync member does not hold")
        }
    }

    /// The halves of a split are about to become one again; the right one has more in its log.
    private struct Merging {
        var catalog: HandDrivenCatalog
        let operation: OperationID
        let halves: [PartitionDescriptor]
        let ends: [PartitionEnd]

        init(_ bug: ClusterBug?) throws(Violation) {
            catalog = try HandDrivenCatalog(bug)
            let nodes = catalog.places.agents
            try catalog.createTable(on: [3, 4])
            try catalog.finishTable()
            let parent = try catalog.partition
            try catalog.must(.beginSplit(parent.id, at: Key([50]), expecting: parent.epoch))
            guard let cut = try catalog.partition.operation else { throw Violation("a split is not under way") }
            let split = PartitionProposal.commitSplit(
                parent.id, operation: cut, at: Position(epoch: parent.epoch, run: 1, sequence: 9), checksum: 1,
                inSync: Array(nodes.prefix(2)), expecting: parent.epoch)
            guard try catalog.propose(split, from: nodes[0]) else { throw Violation("a table cannot be split") }
            halves = catalog.topology.partitions.values.sorted { $0.id < $1.id }
            guard halves.count == 2 else { throw Violation("there are \(halves.count) halves") }
            try catalog.must(
                .beginMerge(halves[0].id, expecting: halves[0].epoch, with: halves[1].id, at: halves[1].epoch))
            guard let join = try catalog.partition.operation else { throw Violation("a merge is not under way") }
            operation = join
            ends = zip(halves, [20, 30] as [UInt64]).map { half, sequence in
                PartitionEnd(
                    partition: half.id, at: Position(epoch: half.epoch, run: sequence, sequence: sequence), checksum: 1,
                    expecting: half.epoch)
            }
        }

        /// Whether the merge was taken that `count` members hold the records of.
        mutating func commit(heldBy count: Int) throws(Violation) -> Bool {
            let nodes = catalog.places.agents
            return try catalog.propose(
                .commitMerge(operation, left: ends[0], right: ends[1], inSync: Array(nodes.prefix(count))), from: nodes[0])
        }
    }

    /// A merge is proposed of which one member has no records.
    static func unheldMerge(_ bug: ClusterBug?) throws(Violation) {
        var merging = try Merging(bug)
        if try merging.commit(heldBy: 1) {
            throw Violation("a merge is committed whose records one in-sync member does not hold")
        }
    }

    /// The right half has acknowledged more than the left one.
    static func behindBothHalves(_ bug: ClusterBug?) throws(Violation) {
        var merging = try Merging(bug)
        guard try merging.commit(heldBy: 2) else { throw Violation("two halves cannot be merged") }
        let origin = try merging.catalog.partition.origin
        if let end = merging.ends.first(where: { origin < $0.at }) {
            throw Violation("what two halves have become starts at \(origin), and one of them acknowledged up to \(end.at)")
        }
    }

    /// An operator ends a merge before its commit.
    static func undoneMerge(_ bug: ClusterBug?) throws(Violation) {
        var merging = try Merging(bug)
        try merging.catalog.must(.abortOperation(merging.operation, reason: "an operator's wish"))
        for half in merging.halves {
            let left = merging.catalog.topology.partitions[half.id]
            guard let left, left.operation == nil, left.epoch > half.epoch else {
                throw Violation("a merge is undone, and partition \(half.id) is still fenced for it")
            }
        }
    }
}
