import Model

/// A topology of healthy nodes spread over zones in turn, with partitions as given.
func topology(nodes: Int, zones: Int, partitions: [PartitionDescriptor] = [], replicationFactor: Int = 3) throws -> Topology {
    var changes: [TopologyChange] = []
    for index in 1...nodes {
        changes.append(.node(try node(index, zone: (index - 1) % zones)))
    }
    if !partitions.isEmpty {
        changes.append(
            .table(
                TableDescriptor(
                    id: TableID(1), name: try RelationName("t"), columns: [Column(name: try RelationName("k"), type: .text)],
                    partitionKey: try RelationName("k"), sortKey: nil, replicationFactor: replicationFactor, minInSync: 2,
                    status: .active, capacity: Capacity(mode: .onDemand), createdAt: WallTime(milliseconds: 0))))
    }
    changes += partitions.map { .partition($0) }
    return Topology(revision: Revision(history: 1, index: 9), changes: changes)
}

func node(_ index: Int, zone: Int, status: NodeStatus = .healthy) throws -> NodeDescriptor {
    NodeDescriptor(
        id: try NodeID("n\(index)"), store: StoreID(UInt64(index)), session: SessionID(UInt64(index)),
        generation: Generation(1), zone: try ZoneName("z\(zone)"),
        addresses: NodeAddresses(gossip: "", link: "", service: ""), status: status)
}

func partition(_ number: UInt64, on nodes: [Int], range: KeyRange = .all, epoch: UInt64 = 4) throws -> PartitionDescriptor {
    PartitionDescriptor(
        id: PartitionID(number), table: TableID(1), range: range, epoch: Epoch(epoch),
        primary: try nodes.first.map { try NodeID("n\($0)") },
        replicas: try nodes.map {
            ReplicaDescriptor(
                node: try NodeID("n\($0)"), store: StoreID(UInt64($0)), storage: StorageID(number), role: .inSync)
        }, status: .active)
}
