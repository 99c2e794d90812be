// The coordinators' side of the small world: the very catalog that they run, without the consensus before it.

import Catalog
import Model

struct TestCatalog {
    private var state = CatalogState(digest: { _ in [] })
    private var index: UInt64 = 100
    private var requests = 0
    private let operators: Principal
    private let witnesses: [Witness]

    init() throws {
        operators = try Principal("test")
        witnesses = [
            Witness(id: try NodeID("c1"), zone: try ZoneName("a")), Witness(id: try NodeID("c2"), zone: try ZoneName("b")),
        ]
    }

    var topology: Topology { state.topology }

    @discardableResult
    private mutating func run(
        _ command: Command, as request: RequestID? = nil, by actor: Principal? = nil
    ) -> CommandResult? {
        requests += 1
        guard let id = request ?? (try? RequestID("world-\(requests)")) else { return nil }
        index += 1
        let time = WallTime(milliseconds: Int64(index))
        return state.apply(
            CatalogEntry(command: command, actor: actor ?? operators, reason: "a test", requestID: id, time: time), at: index
        )
        .result
    }

    /// An agent's start (rules E4, E6). One whose disk went back, and is told so, registers later and vouches for nothing.
    mutating func register(
        _ node: NodeID, store: StoreID, generation: UInt64, isIntact: Bool = true, damaged: [PartitionID] = []
    ) throws -> SessionID {
        let zone = try ZoneName(["a", "b", "c"][Int(node.name.utf8.last ?? 0) % 3])
        let registration = NodeRegistration(
            node: node, store: store, generation: Generation(generation), zone: zone,
            addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"), isLogIntact: isIntact && damaged.isEmpty,
            damaged: damaged
        )
        switch run(.registerNode(registration)) {
        case .accepted(.session(let session)): return session
        case .refused(let rejection) where rejection.code == .superseded:
            guard let known = topology.nodes[node]?.generation.number else { return .none }
            return try register(node, store: store, generation: known + 1, isIntact: false)
        default: return .none
        }
    }

    private func seen(_ node: NodeID) -> NodeSession {
        NodeSession(node: node, session: topology.nodes[node]?.session ?? .none)
    }

    mutating func createTable(on nodes: [NodeID]) throws {
        let key = try RelationName("k")
        run(
            .createTable(
                TableCreation(
                    name: try RelationName("t"), columns: [Column(name: key, type: .integer)], partitionKey: key, sortKey: nil,
                    replicationFactor: nodes.count, minInSync: nodes.count > 2 ? 2 : 1, capacity: Capacity(mode: .onDemand),
                    splitKeys: [], placements: [Placement(primary: nodes[0], nodes: nodes)], sessions: nodes.map(seen))))
    }

    mutating func move(_ id: PartitionID, from source: NodeID?, to target: NodeID) {
        guard let partition = topology.partitions[id] else { return }
        run(.beginMove(MovePlan(partition: id, source: source, target: seen(target), epoch: partition.epoch)))
    }

    mutating func transfer(_ id: PartitionID, to target: NodeID) {
        guard let partition = topology.partitions[id] else { return }
        run(.beginTransfer(id, to: target, session: seen(target).session, expecting: partition.epoch))
    }

    mutating func split(_ id: PartitionID, at key: Key) {
        guard let partition = topology.partitions[id] else { return }
        run(.beginSplit(id, at: key, expecting: partition.epoch))
    }

    /// With its right neighbour, whatever the catalog says to that.
    mutating func merge(_ id: PartitionID) {
        guard let left = topology.partitions[id],
            let right = topology.partitions.values.first(where: { $0.table == left.table && $0.range.low == left.range.high })
        else { return }
        run(.beginMerge(id, expecting: left.epoch, with: right.id, at: right.epoch))
    }

    mutating func configure(_ key: String, _ value: String) {
        run(.configure(.global, [ConfigurationWrite(key: key, value: value)]))
    }

    mutating func dropTables() {
        for table in topology.tables.values.sorted(by: { $0.id < $1.id }) { run(.dropTable(table.name)) }
    }

    /// An operator ends whatever is under way.
    mutating func cancel(_ operation: OperationID) { run(.abortOperation(operation, reason: "a test")) }

    @discardableResult
    mutating func pause(_ operation: OperationID) -> CommandResult? { run(.pauseOperation(operation)) }
    @discardableResult
    mutating func resume(_ operation: OperationID) -> CommandResult? { run(.resumeOperation(operation)) }

    /// What the leader makes of a stray, when it has been told of it for long enough.
    mutating func removeOrphan(_ held: StrayReplica, on node: NodeID) {
        run(.removeOrphan(OrphanRemoval(node: seen(node), held: held)))
    }

    /// As its primary would propose it (rule R3).
    mutating func evict(_ id: PartitionID, _ node: NodeID) {
        guard let partition = topology.partitions[id], let primary = partition.primary,
            let request = try? RequestID("evict-\(id)-\(node)")
        else { return }
        _ = decide(
            .evict(id, node: node, expecting: partition.epoch), request, from: primary, session: seen(primary).session)
    }

    /// As its primary would propose it (rule R4).
    mutating func join(_ id: PartitionID, _ node: NodeID) {
        guard let partition = topology.partitions[id], let primary = partition.primary,
            let replica = partition.replica(on: node), let request = try? RequestID("join-\(id)-\(node)")
        else { return }
        let proposal = PartitionProposal.joinInSync(id, node: node, store: replica.store, expecting: partition.epoch)
        _ = decide(proposal, request, from: primary, session: seen(primary).session)
    }

    /// Rule F2.
    mutating func nodeFailed(_ node: NodeID) {
        run(.nodeFailed(node, session: topology.nodes[node]?.session ?? .none, witnesses: witnesses))
    }

    /// An operator's last resort (rule R6).
    @discardableResult
    mutating func force(_ id: PartitionID, to node: NodeID) -> CommandResult? {
        guard let partition = topology.partitions[id] else { return nil }
        return run(
            .forcePromotion(
                ForcedPromotion(partition: id, target: seen(node), lost: partition.inSync, epoch: partition.epoch)))
    }

    /// A node that was declared dead answers, and never stopped.
    mutating func nodeReturned(_ node: NodeID, session: SessionID) { run(.nodeReturned(node, session: session)) }

    mutating func decide(
        _ proposal: PartitionProposal, _ request: RequestID, from node: NodeID, session: SessionID
    ) -> ProposalOutcome {
        switch run(.partition(proposal, from: node, session: session), as: request, by: try? Principal(node: node)) {
        case .accepted?: .accepted(topology.revision)
        case .refused(let rejection)?: .refused(code: "\(rejection.code)", detail: "\(rejection)")
        case nil: .unavailable
        }
    }
}
