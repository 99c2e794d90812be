// A catalog that is told commands by hand, one by one, with the checks of the simulation after each.

import Catalog
import Model
import SimulationKit

struct HandDrivenCatalog {
    let places: ClusterPlaces
    private var state: CatalogState
    private var checks: ClusterChecks
    private var index: UInt64 = 0
    /// What the last command that changed the topology has changed.
    private(set) var lastDelta: TopologyDelta?

    /// Four agents, all of them registered.
    init(_ bug: ClusterBug?) throws(Violation) {
        places = try ClusterPlaces.ofStories()
        checks = ClusterChecks(places)
        state = CatalogState(digest: { _ in [1] })
        #if MUTANTS
            if case .rule(let mutant)? = bug { state.mutant = mutant }
        #endif
        for host in places.agentHosts { try start(host, store: places.store(host), generation: 1) }
    }

    var topology: Topology { state.topology }

    /// The only partition.
    var partition: PartitionDescriptor {
        get throws(Violation) {
            guard let first = topology.partitions.values.min(by: { $0.id < $1.id }) else {
                throw Violation("there is no partition")
            }
            return first
        }
    }

    func session(_ node: NodeID) -> SessionID { topology.nodes[node]?.session ?? .none }

    /// Whether it was taken.
    mutating func run(_ command: Command) throws(Violation) -> Bool {
        index += 1
        guard let actor = try? Principal("operator"), let request = try? RequestID("story-\(index)") else {
            throw Violation("a story has no name")
        }
        let entry = CatalogEntry(
            command: command, actor: actor, requestID: request, time: WallTime(milliseconds: Int64(index)))
        let applied = state.apply(entry, at: index)
        if let delta = applied.delta {
            try checks.committed(delta)
            lastDelta = delta
        }
        return if case .accepted = applied.result { true } else { false }
    }

    /// What the story needs.
    mutating func must(_ command: Command) throws(Violation) {
        guard try run(command) else { throw Violation("the story does not come as far as \(command)") }
    }

    /// Whether a proposal of the node's process, by the session that it has now or another, was taken.
    mutating func propose(
        _ proposal: PartitionProposal, from node: NodeID, in session: SessionID? = nil
    ) throws(Violation) -> Bool {
        try run(.partition(proposal, from: node, session: session ?? self.session(node)))
    }

    mutating func start(
        _ host: Int, store: StoreID, generation: UInt64, without lost: [PartitionID] = []
    ) throws(Violation) {
        guard try register(host, store: store, generation: generation, without: lost) else {
            throw Violation("the story does not come as far as start \(generation) of \(host)")
        }
    }

    /// Whether the start was taken.
    mutating func register(
        _ host: Int, store: StoreID, generation: UInt64, without lost: [PartitionID] = []
    ) throws(Violation) -> Bool {
        let registration = NodeRegistration(
            node: places.node(host), store: store, generation: Generation(generation), zone: places.zones[host],
            addresses: places.addresses(host), isLogIntact: lost.isEmpty, damaged: lost)
        return try run(.registerNode(registration))
    }

    /// A table of one partition, which the first of them leads; its copies are yet to be made.
    mutating func createTable(on hosts: [Int]) throws(Violation) {
        let nodes = hosts.map(places.node)
        guard let name = try? RelationName("registers"), let key = try? RelationName("key") else {
            throw Violation("a table has no name")
        }
        try must(
            .createTable(
                TableCreation(
                    name: name, columns: [Column(name: key, type: .integer)], partitionKey: key, sortKey: nil,
                    replicationFactor: nodes.count, minInSync: 1, capacity: Capacity(mode: .onDemand), splitKeys: [],
                    placements: [Placement(primary: nodes[0], nodes: nodes)],
                    sessions: nodes.map { NodeSession(node: $0, session: session($0)) })))
    }

    /// All its copies are made.
    mutating func finishTable() throws(Violation) {
        let made = try partition
        for node in made.inSync {
            guard try propose(.replicaReady(made.id, expecting: made.epoch), from: node) else {
                throw Violation("\(node) is not ready")
            }
        }
    }

    /// Whether the death of `node` in `session` was believed.
    mutating func fail(_ node: NodeID, in session: SessionID? = nil, witnesses count: Int = 2) throws(Violation) -> Bool {
        let witnesses = (0..<count).map { Witness(id: places.node($0), zone: places.zones[$0]) }
        return try run(.nodeFailed(node, session: session ?? self.session(node), witnesses: witnesses))
    }

    /// Whether an operator's order to go on from the copy on `node` was taken.
    mutating func force(to node: NodeID) throws(Violation) -> Bool {
        let partition = try partition
        return try run(
            .forcePromotion(
                ForcedPromotion(
                    partition: partition.id, target: NodeSession(node: node, session: session(node)), lost: partition.inSync,
                    epoch: partition.epoch)))
    }

    mutating func beginMove(from source: NodeID?, to target: NodeID) throws(Violation) -> OperationID {
        let partition = try partition
        try must(
            .beginMove(
                MovePlan(
                    partition: partition.id, source: source,
                    target: NodeSession(node: target, session: session(target)), epoch: partition.epoch)))
        guard let operation = try self.partition.operation else { throw Violation("a move is not under way") }
        return operation
    }
}

extension ClusterPlaces {
    /// Of every story by hand: three coordinators and four agents in one zone.
    static func ofStories() throws(Violation) -> ClusterPlaces {
        guard let places = try? ClusterPlaces(.ofStories()) else { throw Violation("a story has no places") }
        return places
    }

    var agentHosts: Range<Int> { members.count..<zones.count }
}

extension ClusterOptions {
    static func ofStories() -> ClusterOptions {
        var options = ClusterOptions(seed: 1)
        (options.agents, options.zones) = (4, 1)
        return options
    }
}
