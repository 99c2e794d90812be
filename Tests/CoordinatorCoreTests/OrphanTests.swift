import Catalog
import Consensus
import CoordinatorCore
import Model
import Testing

/// What the leader makes of the inventories that nodes report.
@Suite struct OrphanTests {
    /// A table on n1 and n2, and a node n3 without any of it; the grace is a minute.
    private func group() throws -> (group: CoordinatorGroup, leader: MemberID, partition: PartitionDescriptor) {
        var group = try CoordinatorGroup()
        let leader = try #require(group.leader)
        let nodes = try (1...3).map { try NodeID("n\($0)") }
        for (node, zone) in zip(nodes, ["a", "b", "c"]) {
            _ = try group.commit(
                .registerNode(try CoordinatorGroup.registration(node.name, zone: zone)), as: "r-\(node)", at: leader)
        }
        let holders = nodes.prefix(2).map {
            NodeSession(node: $0, session: group.topology(of: leader).nodes[$0]?.session ?? .none)
        }
        let id = try RelationName("id")
        _ = try group.commit(
            .createTable(
                TableCreation(
                    name: try RelationName("t"), columns: [Column(name: id, type: .integer)], partitionKey: id, sortKey: nil,
                    replicationFactor: 2, minInSync: 1, capacity: Capacity(mode: .onDemand), splitKeys: [],
                    placements: [Placement(primary: nodes[0], nodes: Array(nodes.prefix(2)))], sessions: holders)),
            as: "table", at: leader)
        let made = try #require(group.topology(of: leader).partitions.values.first)
        for holder in holders {
            _ = try group.commit(
                .partition(.replicaReady(made.id, expecting: made.epoch), from: holder.node, session: holder.session),
                as: "ready-\(holder.node)", at: leader)
        }
        let grace = ConfigurationWrite(key: "orphan_grace_seconds", value: "60")
        _ = try group.commit(.configure(.global, [grace]), as: "grace", at: leader)
        return (group, leader, try #require(group.topology(of: leader).partitions[made.id]))
    }

    /// The node tells every two seconds what it holds, for so long.
    private func report(
        _ strays: [StrayReplica], of name: String, at revision: Revision? = nil, for seconds: Int,
        in group: inout CoordinatorGroup
    ) throws {
        let node = try NodeID(name)
        for _ in 0..<(seconds / 2) {
            let leader = try #require(group.leader)
            let topology = group.topology(of: leader)
            let inventory = Inventory(
                revision: revision ?? topology.revision, replicas: strays.count + 3, strayCount: strays.count, strays: strays)
            group.step(
                .loadReported(
                    NodeReport(
                        node: node, session: topology.nodes[node]?.session ?? .none, revision: topology.revision,
                        machine: MachineLoad(), operationsPerSecond: 0, replicationLag: .zero, engine: .healthy,
                        partitions: [], operations: [], inventory: inventory)), at: try #require(group.follower))
            group.run(.seconds(2))
        }
    }

    private func removals(_ group: CoordinatorGroup) -> [OperationDescriptor] {
        guard let leader = group.leader else { return [] }
        return group.topology(of: leader).operations.values.filter { $0.kind.name == "remove-orphan" }
    }

    private func stray(
        _ id: PartitionID, in storage: UInt64 = 77, epoch: UInt64 = 1, isBeingRemoved: Bool = false
    ) -> StrayReplica {
        StrayReplica(partition: id, storage: StorageID(storage), epoch: Epoch(epoch), isBeingRemoved: isBeingRemoved)
    }

    @Test("a copy that nobody wants is shown at once by every member, and ordered away once, when the grace is over")
    func orders() throws {
        var (group, _, partition) = try group()
        try report([stray(partition.id)], of: "n3", for: 50, in: &group)
        #expect(removals(group).isEmpty)
        for name in group.names {
            let shown = group.members[name]?.orphans(at: group.now) ?? []
            #expect(shown.map(\.standing) == [.over] && shown.map(\.isConfirmed) == [false], "\(name)")
        }
        try report([stray(partition.id)], of: "n3", for: 14, in: &group)
        let made = removals(group)
        #expect(made.map(\.cleanups) == [[Cleanup(node: try NodeID("n3"), storage: StorageID(77), partition: partition.id)]])
        // It is recorded: no orphan any more, and not ordered again though the node still holds it.
        try report([stray(partition.id)], of: "n3", for: 100, in: &group)
        #expect(removals(group).count == 1)
        let leader = try #require(group.leader)
        #expect(group.members[leader]?.orphans(at: group.now) == [])
    }

    @Test("what is being removed, is in its place, goes away in time, or is told of by a silent node is not ordered away")
    func leaves() throws {
        var (group, _, partition) = try group()
        try report([stray(partition.id, isBeingRemoved: true)], of: "n3", for: 100, in: &group)
        try report([stray(partition.id)], of: "n1", for: 100, in: &group)
        // Seen for most of the grace, gone, seen again: it starts anew.
        try report([stray(partition.id)], of: "n3", for: 50, in: &group)
        try report([], of: "n3", for: 2, in: &group)
        try report([stray(partition.id)], of: "n3", for: 50, in: &group)
        group.run(.seconds(60))
        #expect(removals(group).isEmpty)
    }

    @Test("as long as the node does not know the topology by which nobody wants the copy, it may be right and the leader early")
    func waitsForRevision() throws {
        var (group, leader, partition) = try group()
        let before = Revision(history: group.topology(of: leader).revision.history, index: 1)
        try report([stray(partition.id)], of: "n3", at: before, for: 100, in: &group)
        #expect(removals(group).isEmpty)
        leader = try #require(group.leader)
        #expect(group.members[leader]?.orphans(at: group.now).count == 1)
        try report([stray(partition.id)], of: "n3", for: 4, in: &group)
        #expect(removals(group).count == 1)
    }

    @Test("what the catalog never knew of, or knows less of than the disk, is shown and never ordered away unasked")
    func keepsDoubtful() throws {
        var (group, _, partition) = try group()
        let held = [stray(PartitionID(madeAt: 1, ordinal: 9)), stray(partition.id, epoch: 50)].sorted()
        try report(held, of: "n3", for: 100, in: &group)
        #expect(removals(group).isEmpty)
        let leader = try #require(group.leader)
        let shown = group.members[leader]?.orphans(at: group.now) ?? []
        #expect(shown.map(\.standing) == [.unknown, .ahead] && shown.allSatisfy(\.isConfirmed))
    }

    @Test("of many removals a few are ordered at a time; those that were refused stand in nobody's way")
    func ordersAFewAtATime() throws {
        var (group, leader, partition) = try group()
        let strays = (100..<150).map { stray(partition.id, in: $0) }
        // The first of them have been asked for and refused, under the name that this occasion has.
        let seen = group.topology(of: leader).revision.index
        for stray in strays.prefix(20) {
            let name = "coordinator-orphan-n3-\(stray.partition)-\(stray.storage)-\(seen)"
            _ = try group.commit(.drain(try NodeID("n9")), as: name, at: leader)
        }
        #expect(group.topology(of: leader).revision.index == seen)
        try report(strays, of: "n3", for: 58, in: &group)
        leader = try #require(group.leader)
        var steps = 0
        while removals(group).isEmpty, steps < 2_000 {
            steps += 1
            group.run(.milliseconds(5))
        }
        #expect(removals(group).count == 16)
        group.run(.milliseconds(500))
        let cleaned = removals(group).flatMap(\.cleanups).map(\.storage.number).sorted()
        #expect(cleaned == Array(120..<150))
    }

    @Test("what a node tells after a new start is an occasion of its own, though the copy was told of before (E6)")
    func newSession() throws {
        var (group, leader, partition) = try group()
        try report([stray(partition.id)], of: "n3", for: 58, in: &group)
        let start = try CoordinatorGroup.registration("n3", zone: "c", generation: 2)
        _ = try group.commit(.registerNode(start), as: "again", at: leader)
        try report([stray(partition.id)], of: "n3", for: 50, in: &group)
        #expect(removals(group).isEmpty)
        leader = try #require(group.leader)
        let shown = try #require(group.members[leader]?.orphans(at: group.now).first)
        #expect(shown.session == group.topology(of: leader).nodes[try NodeID("n3")]?.session)
        try report([stray(partition.id)], of: "n3", for: 14, in: &group)
        #expect(removals(group).count == 1)
    }

    @Test("a new leader finds the same orphan, and one removal is made of it")
    func survivesLeader() throws {
        var (group, leader, partition) = try group()
        try report([stray(partition.id)], of: "n3", for: 40, in: &group)
        group.down.insert(leader)
        group.run(.seconds(1))
        try report([stray(partition.id)], of: "n3", for: 30, in: &group)
        #expect(removals(group).count == 1)
    }
}
