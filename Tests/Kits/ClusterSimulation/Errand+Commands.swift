// What an operator's errand comes to, in the cluster as its leader knows it.

import Catalog
import Model

extension Errand {
    func commands(in topology: Topology, _ places: ClusterPlaces) -> [Command] {
        switch self {
        case .createTable(let copies, let splitKeys): Self.creation(topology, copies, splitKeys)
        case .resumeAll:
            topology.operations.values.filter { $0.pause != nil }.map(\.id).sorted().map { .resumeOperation($0) }
        case .move(let seed): Self.move(topology, seed)
        case .transfer(let seed): Self.transfer(topology, seed)
        case .split(let seed): Self.split(topology, seed)
        case .merge(let seed): Self.merge(topology, seed)
        case .drain(let seed): Self.drain(topology, seed)
        case .decommission(let seed): Self.decommission(topology, seed)
        case .rotateGossipKey(let seed): [.rotateGossipKey(GossipRing.secret(seed))]
        case .cancelGossipRotation: topology.gossipKeys?.rotation.map { [.cancelGossipRotation($0.key)] } ?? []
        case .abdicate, .exchangeTokenKey: []
        case .addCoordinator, .promoteCoordinator, .demoteCoordinator, .removeCoordinator, .settleGroup: []
        case .exactly(let command): [command]
        case .pause(let seed): Self.pick(Self.running(topology), seed).map { [.pauseOperation($0)] } ?? []
        case .cancel(let seed):
            Self.pick(Self.running(topology), seed).map { [.abortOperation($0, reason: "simulated")] } ?? []
        }
    }

    static func pick<Element>(_ some: [Element], _ seed: UInt64) -> Element? {
        some.isEmpty ? nil : some[Int(seed % UInt64(some.count))]
    }

    private static func running(_ topology: Topology) -> [OperationID] {
        topology.operations.values.filter { $0.phase == .running }.map(\.id).sorted()
    }

    private static func nodes(_ topology: Topology) -> [NodeDescriptor] {
        topology.nodes.values.filter { $0.status == .healthy && $0.session != .none }.sorted { $0.id < $1.id }
    }

    private static func partition(_ topology: Topology, _ seed: UInt64) -> PartitionDescriptor? {
        pick(topology.partitions.values.sorted { $0.id < $1.id }, seed >> 40)
    }

    private static func move(_ topology: Topology, _ seed: UInt64) -> [Command] {
        guard let partition = partition(topology, seed) else { return [] }
        let others = nodes(topology).filter { partition.replica(on: $0.id) == nil }
        guard let target = pick(others, seed >> 20), let source = pick(partition.replicas, seed)?.node else { return [] }
        let plan = MovePlan(
            partition: partition.id, source: source, target: NodeSession(node: target.id, session: target.session),
            epoch: partition.epoch)
        return [.beginMove(plan)]
    }

    private static func transfer(_ topology: Topology, _ seed: UInt64) -> [Command] {
        guard let partition = partition(topology, seed),
            let target = pick(partition.inSync.filter { $0 != partition.primary }, seed),
            let session = topology.nodes[target]?.session
        else { return [] }
        return [.beginTransfer(partition.id, to: target, session: session, expecting: partition.epoch)]
    }

    private static func split(_ topology: Topology, _ seed: UInt64) -> [Command] {
        guard topology.partitions.count < 8, let partition = partition(topology, seed) else { return [] }
        // Between two registers, so that both halves may have some.
        let key = Key([UInt8(seed % UInt64(ClusterOptions.keys)) * 10 + 5])
        guard partition.range.split(at: key) != nil else { return [] }
        return [.beginSplit(partition.id, at: key, expecting: partition.epoch)]
    }

    /// Two that can become one, as far as is known here; without any, what brings two nearer to it, or the attempt.
    private static func merge(_ topology: Topology, _ seed: UInt64) -> [Command] {
        let partitions = topology.partitions.values.sorted { $0.range.low < $1.range.low }
        let pairs = Array(zip(partitions, partitions.dropFirst()))
        let able = pairs.filter { MergeObstacle(left: $0, right: $1) == nil }
        if let (left, right) = pick(able, seed) {
            return [.beginMerge(left.id, expecting: left.epoch, with: right.id, at: right.epoch)]
        }
        let apart = pairs.first { if case .primariesDiffer? = MergeObstacle(left: $0, right: $1) { true } else { false } }
        if let (left, right) = apart, let target = left.primary, let session = topology.nodes[target]?.session {
            return [.beginTransfer(right.id, to: target, session: session, expecting: right.epoch)]
        }
        guard let (left, right) = pick(pairs, seed) else { return [] }
        return [.beginMerge(left.id, expecting: left.epoch, with: right.id, at: right.epoch)]
    }

    /// One at most, and only where the others can hold all copies, which a table that is to come may need. One that is drained may be
    /// taken back.
    private static func drain(_ topology: Topology, _ seed: UInt64) -> [Command] {
        let drained = topology.nodes.values.filter { $0.status == .draining }.map(\.id).min()
        if let drained { return seed % 2 == 0 ? [.undrain(drained)] : [] }
        guard let copies = topology.tables.values.map(\.replicationFactor).max() else { return [] }
        let able = nodes(topology)
        guard able.count > copies, let node = pick(able, seed) else { return [] }
        return [.drain(node.id)]
    }

    private static func decommission(_ topology: Topology, _ seed: UInt64) -> [Command] {
        let leavers = topology.nodes.values.filter(\.isDrainWanted).map(\.id).sorted()
        guard let node = pick(leavers, seed) else { return drain(topology, seed) }
        // Two may be leaving, as two errands of one moment drain them: the second cannot be spared when the first has gone.
        let copies = topology.tables.values.map(\.replicationFactor).max() ?? 0
        guard nodes(topology).count >= copies else { return [.undrain(node)] }
        let isHeld = topology.partitions.values.contains {
            $0.inSync.contains(node) || $0.replica(on: node) != nil && $0.operation != nil
        }
        return [isHeld ? .drain(node) : .decommission(node)]
    }

    private static func creation(_ topology: Topology, _ copies: Int, _ splitKeys: [Key]) -> [Command] {
        let able = nodes(topology)
        guard topology.tables.isEmpty, able.count >= copies, let name = try? RelationName("registers"),
            let key = try? RelationName("key")
        else { return [] }
        let placements = (0...splitKeys.count).map { part in
            let nodes = (0..<copies).map { able[(part + $0) % able.count].id }
            return Placement(primary: nodes[0], nodes: nodes)
        }
        return [
            .createTable(
                TableCreation(
                    name: name, columns: [Column(name: key, type: .integer)], partitionKey: key, sortKey: nil,
                    replicationFactor: copies, minInSync: copies > 2 ? 2 : 1, capacity: Capacity(mode: .onDemand),
                    splitKeys: splitKeys, placements: placements,
                    sessions: able.map { NodeSession(node: $0.id, session: $0.session) }))
        ]
    }
}
