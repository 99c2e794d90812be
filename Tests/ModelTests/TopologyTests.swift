import Model
import Testing

@Suite struct TopologyTests {
    private func revision(_ index: UInt64, history: UInt64 = 1) -> Revision { Revision(history: history, index: index) }

    private func partition(_ number: UInt64, epoch: UInt64 = 1) throws -> PartitionDescriptor {
        PartitionDescriptor(
            id: PartitionID(number), table: TableID(1), range: .all, epoch: Epoch(epoch), primary: try NodeID("n1"),
            replicas: [
                ReplicaDescriptor(node: try NodeID("n2"), store: StoreID(2), storage: StorageID(number), role: .learner),
                ReplicaDescriptor(node: try NodeID("n1"), store: StoreID(1), storage: StorageID(number), role: .inSync),
            ], status: .active)
    }

    @Test("deltas applied in order give the value that the snapshot gives")
    func deltasEqualSnapshot() throws {
        var followed = Topology(revision: revision(1))
        try followed.apply(TopologyDelta(from: revision(1), to: revision(2), changes: [.partition(try partition(7))]))
        try followed.apply(
            TopologyDelta(
                from: revision(2), to: revision(5),
                changes: [
                    .partitionRetired(PartitionID(7), epoch: Epoch(2), children: [PartitionID(8), PartitionID(9)]),
                    .partition(try partition(9)), .partition(try partition(8)),
                ]))
        #expect(Topology(revision: revision(5), changes: followed.changes) == followed)
        #expect(followed.retired[PartitionID(7)]?.children == [PartitionID(8), PartitionID(9)])
    }

    @Test("T3: a delta that leaves a gap, leads back or belongs to another history changes nothing")
    func refusals() throws {
        var topology = Topology(revision: revision(5))
        let before = topology
        #expect(throws: Topology.Rejection.gap(have: revision(5), from: revision(6))) {
            try topology.apply(TopologyDelta(from: revision(6), to: revision(7), changes: [.partition(try partition(7))]))
        }
        #expect(throws: Topology.Rejection.notForward(have: revision(5), to: revision(5))) {
            try topology.apply(TopologyDelta(from: revision(5), to: revision(5), changes: []))
        }
        #expect(throws: Topology.Rejection.notForward(have: revision(5), to: revision(9, history: 2))) {
            try topology.apply(TopologyDelta(from: revision(5), to: revision(9, history: 2), changes: []))
        }
        #expect(topology == before)
    }

    @Test("what came out of a partition is found at once, however often it was split and merged since", .timeLimit(.minutes(1)))
    func descendants() throws {
        var topology = Topology(revision: revision(1))
        // Each is split in two, and the two are merged into the next: 2^60 ways lead from the first to the last.
        let changes = (0..<60).flatMap { cycle -> [TopologyChange] in
            let first = UInt64(cycle * 3 + 1)
            let (whole, lower, upper) = (PartitionID(first), PartitionID(first + 1), PartitionID(first + 2))
            let next = [PartitionID(first + 3)]
            return [
                .partitionRetired(whole, epoch: Epoch(2), children: [lower, upper]),
                .partitionRetired(lower, epoch: Epoch(2), children: next),
                .partitionRetired(upper, epoch: Epoch(2), children: next),
            ]
        }
        try topology.apply(
            TopologyDelta(from: revision(1), to: revision(2), changes: changes + [.partition(try partition(181))]))
        let parent = try #require(topology.retired[PartitionID(1)])
        #expect(topology.hasDescendant(of: parent, in: StorageID(181), on: try NodeID("n1")))
        #expect(!topology.hasDescendant(of: parent, in: StorageID(1), on: try NodeID("n1")))
    }

    @Test("replicas stay sorted by node, however they are given")
    func replicasSorted() throws {
        var descriptor = try partition(7)
        #expect(descriptor.replicas.map(\.node.name) == ["n1", "n2"])
        descriptor.replicas.insert(
            ReplicaDescriptor(node: try NodeID("n0"), store: StoreID(3), storage: StorageID(1), role: .learner), at: 2)
        #expect(descriptor.replicas.map(\.node.name) == ["n0", "n1", "n2"])
        #expect(descriptor.inSync.map(\.name) == ["n1"])
        #expect(descriptor.learners.map(\.name) == ["n0", "n2"])
    }

    @Test("positions order by epoch, then run, then sequence")
    func positions() {
        let ordered = [
            Position.zero, Position(epoch: Epoch(1), run: 1, sequence: 9), Position(epoch: Epoch(1), run: 2, sequence: 3),
            Position(epoch: Epoch(2), run: 1, sequence: 1),
        ]
        #expect(ordered.sorted() == ordered)
    }
}
