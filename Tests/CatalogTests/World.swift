import Catalog
import Model

/// A catalog under test, with short ways to make commands.
struct World {
    var state = CatalogState(digest: World.digest)
    private var index: UInt64 = 0
    private var requests = 0
    var time = WallTime(milliseconds: 1_000_000)

    /// FNV-1a: enough to chain by, in a test.
    static let digest: AuditDigest = { bytes in
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return (0..<8).map { UInt8(truncatingIfNeeded: hash >> (8 * UInt64($0))) }
    }

    init() {}

    var topology: Topology { state.topology }
    var nextIndex: UInt64 { index + 1 }

    mutating func entry(_ command: Command, as request: String? = nil, fingerprint: [UInt8] = []) throws -> CatalogEntry {
        requests += 1
        return CatalogEntry(
            command: command, actor: try Principal("operator/ada"), reason: "a test",
            requestID: try RequestID(request ?? "request-\(requests)"), fingerprint: fingerprint, time: time)
    }

    @discardableResult
    mutating func apply(_ entry: CatalogEntry) -> AppliedEntry {
        index += 1
        return state.apply(entry, at: index)
    }

    @discardableResult
    mutating func run(_ command: Command) throws -> CommandResult { apply(try entry(command)).result }

    /// Nodes n1... in zones a, b, c by turns.
    mutating func start(nodes count: Int) throws {
        for number in 1...count { try start(node: number) }
    }

    @discardableResult
    mutating func start(
        node number: Int, store: UInt64? = nil, generation: UInt64 = 1, intact: Bool = true, damaged: [PartitionID] = []
    ) throws -> CommandResult {
        let zones = ["a", "b", "c"]
        return try run(
            .registerNode(
                NodeRegistration(
                    node: try NodeID("n\(number)"), store: StoreID(store ?? UInt64(number) * 100),
                    generation: Generation(generation), zone: try ZoneName(zones[(number - 1) % 3]),
                    addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"), isLogIntact: intact,
                    damaged: damaged)))
    }

    func session(_ node: NodeID) -> SessionID { topology.nodes[node]?.session ?? .none }

    func creation(_ name: String, splitAt keys: [UInt8] = [], on placements: [[NodeID]]) throws -> TableCreation {
        let id = try RelationName("id")
        let used = Set(placements.flatMap { $0 }).sorted()
        return TableCreation(
            name: try RelationName(name), columns: [Column(name: id, type: .integer)], partitionKey: id, sortKey: nil,
            replicationFactor: placements[0].count, minInSync: 1, capacity: Capacity(mode: .onDemand),
            splitKeys: keys.map { Key([$0]) },
            placements: placements.map { Placement(primary: $0[0], nodes: $0) },
            sessions: used.map { NodeSession(node: $0, session: session($0)) })
    }

    /// An active table with one partition on n1, n2, n3, primary n1.
    mutating func makeTable(_ name: String = "t") throws -> PartitionDescriptor {
        let (n1, n2, n3) = (try NodeID("n1"), try NodeID("n2"), try NodeID("n3"))
        try run(.createTable(try creation(name, on: [[n1, n2, n3]])))
        let made = topology.partitions.values.filter { $0.status == .creating }
        for partition in made {
            for node in partition.inSync { try propose(.replicaReady(partition.id, expecting: partition.epoch), from: node) }
        }
        return topology.partitions[made[0].id] ?? made[0]
    }

    @discardableResult
    mutating func propose(_ proposal: PartitionProposal, from node: NodeID) throws -> CommandResult {
        try run(.partition(proposal, from: node, session: session(node)))
    }

    mutating func fail(_ node: NodeID) throws -> CommandResult {
        let witnesses = [
            Witness(id: try NodeID("c1"), zone: try ZoneName("a")), Witness(id: try NodeID("c2"), zone: try ZoneName("b")),
        ]
        return try run(.nodeFailed(node, session: session(node), witnesses: witnesses))
    }
}

extension CommandResult {
    var refusal: CatalogRejection.Code? {
        guard case .refused(let rejection) = self else { return nil }
        return rejection.code
    }
    var isAccepted: Bool { refusal == nil }
}
