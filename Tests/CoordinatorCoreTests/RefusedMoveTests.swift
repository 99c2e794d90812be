import Catalog
import Consensus
import CoordinatorCore
import Model
import Planning
import Testing

/// Moves that the leader plans by itself, and that come to stand in the log behind something that it did not know when it planned.
@Suite struct RefusedMoveTests {
    private let nodes: [NodeID]

    init() throws { nodes = try (1...4).map { try NodeID("n\($0)") } }

    /// An active table of two partitions on n1, n2 and n3; n4 holds nothing. A node takes part in one operation at a time.
    private func group() throws -> (group: CoordinatorGroup, leader: MemberID, partitions: [PartitionDescriptor]) {
        var group = try CoordinatorGroup(settings: CoordinatorSettings(repairs: RepairLimits(delay: .zero)))
        let leader = try #require(group.leader)
        for (node, zone) in zip(nodes, ["a", "b", "c", "c"]) {
            _ = try group.commit(
                .registerNode(try CoordinatorGroup.registration(node.name, zone: zone)), as: "r-\(node)", at: leader)
        }
        let one = ConfigurationWrite(key: "operations_per_node", value: "1")
        _ = try group.commit(.configure(.global, [one]), as: "limit", at: leader)
        let holders = nodes.prefix(3).map { NodeSession(node: $0, session: session($0, group)) }
        let id = try RelationName("id")
        let placement = Placement(primary: nodes[0], nodes: Array(nodes.prefix(3)))
        _ = try group.commit(
            .createTable(
                TableCreation(
                    name: try RelationName("t"), columns: [Column(name: id, type: .integer)], partitionKey: id, sortKey: nil,
                    replicationFactor: 3, minInSync: 1, capacity: Capacity(mode: .onDemand), splitKeys: [Key([1])],
                    placements: [placement, placement], sessions: holders)), as: "table", at: leader)
        let made = group.topology(of: leader).partitions.values.sorted { $0.id < $1.id }
        for partition in made {
            for holder in holders {
                _ = try group.commit(
                    .partition(
                        .replicaReady(partition.id, expecting: partition.epoch), from: holder.node, session: holder.session),
                    as: "ready-\(partition.id)-\(holder.node)", at: leader)
            }
        }
        #expect(group.topology(of: leader).partitions.values.allSatisfy { $0.status == .active })
        return (group, leader, made)
    }

    private func session(_ node: NodeID, _ group: CoordinatorGroup) -> SessionID {
        group.leader.flatMap { group.topology(of: $0).nodes[node]?.session } ?? .none
    }

    private func proposed(_ command: Command, as request: String) throws -> Coordinator.Input {
        .propose(
            ProposedCommand(command: command, actor: try Principal("tester"), requestID: try RequestID(request)), caller: 1_000)
    }

    /// The leader applies `first` and hands `second` in; before it hears what became of that, it plans.
    private func race(_ first: Command, _ second: Command, in group: inout CoordinatorGroup, at leader: MemberID) throws {
        group.step(try proposed(first, as: "first"), at: leader)
        group.deliver()
        group.step(try proposed(second, as: "second"), at: leader)
        // Its plans are a tenth of a second apart, or half of that where it is awake anyway.
        for _ in 0..<12 {
            group.now = group.now + .milliseconds(5)
            group.step(.tick, at: leader)
        }
        group.deliver()
        #expect(group.leader == leader)
    }

    /// What became of the leader's own proposals of this kind.
    private func answers(_ kind: String, _ group: CoordinatorGroup, at leader: MemberID) -> [CatalogRejection.Code?] {
        let records = group.members[leader]?.catalog.snapshot.requests.records ?? []
        return records.filter { $0.id.text.hasPrefix("coordinator-\(kind)-") }.map { record in
            guard case .refused(let rejection) = record.result else { return nil }
            return rejection.code
        }
    }

    @Test("a repair that is refused because its target has just started again is asked for again in the new session (M7)")
    func repairOfNewSession() throws {
        var (group, leader, _) = try group()
        let witnesses = try ["c1", "c2"].map { Witness(id: try NodeID($0), zone: try ZoneName("z\($0.dropFirst())")) }
        let start = try CoordinatorGroup.registration("n4", zone: "c", generation: 2)
        try race(
            .nodeFailed(nodes[2], session: session(nodes[2], group), witnesses: witnesses), .registerNode(start), in: &group,
            at: leader)
        #expect(answers("repair", group, at: leader) == [.stalePlan])
        group.run(.milliseconds(300))
        #expect(answers("repair", group, at: leader) == [.stalePlan, nil])
        let kinds = group.topology(of: leader).operations.values.filter { $0.phase == .running }.map(\.kind.name)
        #expect(kinds == ["repair"])
    }

    @Test("what a split has just made is drained ten seconds later, everything else at once")
    func drainAfterSplit() throws {
        var (group, leader, partitions) = try group()
        let four = ConfigurationWrite(key: "operations_per_node", value: "4")
        _ = try group.commit(.configure(.global, [four]), as: "wider", at: leader)
        let parent = partitions[0]
        _ = try group.commit(.beginSplit(parent.id, at: Key([0]), expecting: parent.epoch), as: "split", at: leader)
        let operation = try #require(group.topology(of: leader).partitions[parent.id]?.operation)
        let end = Position(epoch: parent.epoch, run: 1, sequence: 1)
        _ = try group.commit(
            .partition(
                .commitSplit(
                    parent.id, operation: operation, at: end, checksum: 0, inSync: Array(nodes.prefix(3)),
                    expecting: parent.epoch), from: nodes[0], session: session(nodes[0], group)), as: "halves", at: leader)
        let children = try #require(group.topology(of: leader).retired[parent.id]?.children)
        _ = try group.commit(.drain(nodes[2]), as: "drain", at: leader)
        func moving() -> [PartitionID] {
            (children + [partitions[1].id]).filter { group.topology(of: leader).partitions[$0]?.learners == [nodes[3]] }
        }
        group.run(.seconds(9))
        #expect(moving() == [partitions[1].id])
        group.run(.seconds(2))
        #expect(moving() == children + [partitions[1].id])
    }

    @Test("a drained node gives away what it leads before its copies move, and one that is taken back keeps what it has left")
    func primariesFirst() throws {
        var (group, leader, partitions) = try group()
        func now(_ id: PartitionID) throws -> PartitionDescriptor {
            try #require(group.topology(of: leader).partitions[id])
        }
        func running() -> [String] {
            let all = group.topology(of: leader).operations.values.filter { $0.phase == .running }
            return all.sorted { $0.id < $1.id }.map(\.kind.name)
        }
        _ = try group.commit(.drain(nodes[0]), as: "drain", at: leader)
        // Its nodes take part in one operation at a time.
        for partition in partitions {
            group.run(.milliseconds(500))
            #expect(running() == ["transfer-primary"])
            let current = try now(partition.id)
            let operation = try #require(current.operation)
            guard case .transferPrimary(_, let heir)? = group.topology(of: leader).operations[operation]?.kind else { continue }
            let store = try #require(group.topology(of: leader).nodes[heir]?.store)
            _ = try group.commit(
                .partition(
                    .switchPrimary(partition.id, to: heir, store: store, operation: operation, expecting: current.epoch),
                    from: nodes[0], session: session(nodes[0], group)), as: "switch-\(partition.id)", at: leader)
        }
        #expect(Set(try partitions.map { try now($0.id).primary }) == [nodes[1], nodes[2]])
        group.run(.milliseconds(500))
        #expect(running() == ["move"])
        _ = try group.commit(.undrain(nodes[0]), as: "undrain", at: leader)
        let operation = try #require(try now(partitions[0].id).operation)
        _ = try group.commit(.abortOperation(operation, reason: "no more"), as: "abort", at: leader)
        group.run(.seconds(2))
        #expect(running() == [])
        #expect(try partitions.allSatisfy { try now($0.id).replica(on: nodes[0]) != nil })
    }

    @Test("a drain that is refused for want of room is not asked for again while nothing changes, and is when there is room")
    func drainWithoutRoom() throws {
        var (group, leader, partitions) = try group()
        let moved = MovePlan(
            partition: partitions[1].id, source: nodes[0],
            target: NodeSession(node: nodes[3], session: session(nodes[3], group)), epoch: partitions[1].epoch)
        try race(.drain(nodes[2]), .beginMove(moved), in: &group, at: leader)
        #expect(answers("drain", group, at: leader) == [.nodeBusy])
        group.run(.seconds(2))
        #expect(answers("drain", group, at: leader) == [.nodeBusy])
        let operation = try #require(group.topology(of: leader).partitions[partitions[1].id]?.operation)
        _ = try group.commit(.abortOperation(operation, reason: "no more"), as: "abort", at: leader)
        group.run(.milliseconds(300))
        #expect(answers("drain", group, at: leader) == [.nodeBusy, nil])
        #expect(group.topology(of: leader).partitions[partitions[0].id]?.learners == [nodes[3]])
    }
}
