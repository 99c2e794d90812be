import Model
import Testing

@Suite struct PartitionTallyTests {
    private func partition(_ nodes: [String], _ edit: (inout PartitionDescriptor) -> Void = { _ in }) throws
        -> PartitionDescriptor
    {
        var partition = PartitionDescriptor(
            id: PartitionID(7), table: TableID(1), range: .all, epoch: Epoch(1),
            primary: try nodes.first.map { try NodeID($0) },
            replicas: try nodes.map {
                ReplicaDescriptor(node: try NodeID($0), store: StoreID(1), storage: StorageID(7), role: .inSync)
            }, status: .active)
        edit(&partition)
        return partition
    }

    private func table(copies: Int) throws -> TopologyChange {
        let key = try RelationName("k")
        return .table(
            TableDescriptor(
                id: TableID(1), name: try RelationName("t"), columns: [Column(name: key, type: .text)], partitionKey: key,
                sortKey: nil, replicationFactor: copies, minInSync: 1, status: .active, capacity: Capacity(mode: .onDemand),
                createdAt: WallTime(milliseconds: 0)))
    }

    private func isSettled(_ changes: [TopologyChange]) -> Bool {
        Topology(revision: Revision(history: 1, index: 1), changes: changes).tally.unsettled.isEmpty
    }

    @Test("a partition is settled when it is active, led, left alone, and in sync on as many nodes as its table asks for")
    func settled() throws {
        let two = try table(copies: 2)
        #expect(isSettled([two, .partition(try partition(["a", "b"]))]))
        #expect(isSettled([two, .partition(try partition(["a", "b", "c"]))]))
        #expect(!isSettled([two, .partition(try partition(["a"]))]))
        #expect(!isSettled([two, .partition(try partition(["a", "b"]) { $0.primary = nil })]))
        #expect(!isSettled([two, .partition(try partition(["a", "b"]) { $0.operation = OperationID(1) })]))
        #expect(!isSettled([two, .partition(try partition(["a", "b"]) { $0.status = .creating })]))
        #expect(!isSettled([two, .partition(try partition(["a", "b"]) { $0.replicas[1].role = .learner })]))
    }

    @Test("a table that comes after its partitions, or asks for more copies later, has them looked at again")
    func tables() throws {
        let whole = TopologyChange.partition(try partition(["a", "b"]))
        #expect(!isSettled([whole]))
        #expect(isSettled([whole, try table(copies: 2)]))
        #expect(!isSettled([whole, try table(copies: 2), try table(copies: 3)]))
    }

    @Test("copies and primaries are counted on each node, and a node that holds none any more has no entry")
    func counts() throws {
        var topology = Topology(
            revision: Revision(history: 1, index: 1), changes: [try table(copies: 2), .partition(try partition(["a", "b"]))])
        let (a, b, c) = (try NodeID("a"), try NodeID("b"), try NodeID("c"))
        #expect(topology.tally.replicas == [a: 1, b: 1] && topology.tally.primaries == [a: 1])
        topology.commit([.partition(try partition(["b", "c"]))], at: Revision(history: 1, index: 2))
        #expect(topology.tally.replicas == [b: 1, c: 1] && topology.tally.primaries == [b: 1])
        topology.commit(
            [.partitionRetired(PartitionID(7), epoch: Epoch(2), children: [])], at: Revision(history: 1, index: 3))
        #expect(topology.tally.replicas.isEmpty && topology.tally.primaries.isEmpty && topology.tally.unsettled.isEmpty)
    }
}
