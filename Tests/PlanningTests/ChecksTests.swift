import Model
import Planning
import Testing

@Suite struct ChecksTests {
    private let range = KeyRange(low: Key([2]), high: Key([8]))

    private func quiet() throws -> Topology {
        try topology(nodes: 4, zones: 3, partitions: [try partition(7, on: [1, 2, 3], range: range)])
    }

    @Test("a move is refused for each thing that stands in its way, by name")
    func moves() throws {
        let topology = try quiet()
        let (n1, n4) = (try NodeID("n1"), try NodeID("n4"))
        #expect(try checkMove(of: PartitionID(7), from: n1, to: n4, in: topology).epoch == Epoch(4))
        #expect(throws: PlanRefusal.targetHoldsReplica(n1)) {
            try checkMove(of: PartitionID(7), from: nil, to: n1, in: topology)
        }
        #expect(throws: PlanRefusal.sourceHoldsNoReplica(n4)) {
            try checkMove(of: PartitionID(7), from: n4, to: n4, in: topology)
        }
        #expect(throws: PlanRefusal.unknownNode(try NodeID("n9"))) {
            try checkMove(of: PartitionID(7), from: n1, to: try NodeID("n9"), in: topology)
        }
        #expect(throws: PlanRefusal.unknownPartition(PartitionID(8))) {
            try checkMove(of: PartitionID(8), from: n1, to: n4, in: topology)
        }
    }

    @Test(
        "a split key must lie strictly inside the range",
        arguments: [([UInt8(2)], false), ([3], true), ([8], false), ([9], false)])
    func splits(key: [UInt8], holds: Bool) throws {
        let topology = try quiet()
        if holds {
            #expect(try checkSplit(of: PartitionID(7), at: Key(key), in: topology).id == PartitionID(7))
        } else {
            #expect(throws: PlanRefusal.splitKeyOutsideRange(PartitionID(7), range)) {
                try checkSplit(of: PartitionID(7), at: Key(key), in: topology)
            }
        }
    }

    @Test("a primary role goes only to another member of the in-sync set")
    func transfers() throws {
        let topology = try quiet()
        #expect(try checkTransfer(of: PartitionID(7), to: try NodeID("n2"), in: topology).primary == NodeID("n1"))
        #expect(throws: PlanRefusal.alreadyPrimary(try NodeID("n1"))) {
            try checkTransfer(of: PartitionID(7), to: try NodeID("n1"), in: topology)
        }
        #expect(throws: PlanRefusal.targetNotInSync(try NodeID("n4"))) {
            try checkTransfer(of: PartitionID(7), to: try NodeID("n4"), in: topology)
        }
    }

    @Test("a partition with an operation under way takes no other")
    func busy() throws {
        var partition = try partition(7, on: [1, 2, 3], range: range)
        partition.operation = OperationID(55)
        let topology = try topology(nodes: 4, zones: 3, partitions: [partition])
        #expect(throws: PlanRefusal.partitionBusy(PartitionID(7), OperationID(55))) {
            try checkSplit(of: PartitionID(7), at: Key([3]), in: topology)
        }
    }
}
