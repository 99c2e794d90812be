// Whole agents' cores in a small world: links that lose, double and break, clocks that drift, disks, engines and mirrors of the
// topology that forget what was not synced, disks that lie, copies that come late, and the coordinators' own catalog. One seed,
// one history.

import Model
import Movement
import Replication
import Testing

@testable import AgentCore

final class World {
    struct Held {
        var storage: StorageID
        var range: KeyRange
        var rows: Set<UInt64> = []
        /// Of the rows whose writes have a key, where they were written (rule R8).
        var writes: [UInt64: Position] = [:]
        var applied = Position.zero
    }

    /// What a disk holds: all that a start reads.
    struct Disk {
        var log: [(ticket: UInt64, record: PartitionRecord)] = []
        var engine: [PartitionID: Held] = [:]
        var importing: [PartitionID: LogPoint] = [:]
        var topology = Topology()
    }

    final class Machine {
        let id: NodeID
        var store: StoreID
        var core: AgentCore
        var isUp = true
        var life: UInt64 = 1
        /// Starts of any data folder of this machine; what tells one life's events from another's.
        var start: UInt64 = 1
        var session = SessionID.none
        var isRegistering = false
        /// Parts in ten thousand by which its clock is fast.
        var drift: Int64 = 0
        var isSaving = false
        var disk: [(ticket: UInt64, record: PartitionRecord)] = []
        var persisted = 0
        var engine: [PartitionID: Held] = [:]
        var synced: [PartitionID: Held] = [:]
        var engineFreeAt = LogicalInstant.origin
        /// While its engine makes nothing, and how often it was asked to all the same; while it removes nothing.
        var makesNothing = false
        var refusedCreations = 0
        var removals = 0
        var removesNothing = false
        /// While its engine finds no room for entries: what waits, in order.
        var lacksRoom = false
        /// While nothing in its engine is made durable anew, as where nothing is written.
        var syncsNothing = false
        var waiting: [AgentAction] = []
        /// While it gets to no splits and merges, or to no removals; they wait behind the others.
        var holdsInstallations = false
        var holdsRemovals = false
        var savedTopology = Topology()
        /// What its last start found damaged.
        var damaged: [PartitionID] = []
        /// Partitions of which the engine holds part of a snapshot.
        var importing: [PartitionID: LogPoint] = [:]
        /// Storages that its engine could not open, and that are still there.
        var unreadable: Set<StorageID> = []

        init(_ id: NodeID, store: StoreID, core: AgentCore) {
            self.id = id
            self.store = store
            self.core = core
        }
    }

    enum Event {
        case input(AgentInput, to: NodeID, life: UInt64?)
        case engine(NodeID, life: UInt64, AgentAction)
        case proposal(PartitionProposal, RequestID, from: NodeID, SessionID)
        case registration(NodeID, life: UInt64)
        case registered(NodeID, life: UInt64, SessionID)
        case topologySaved(NodeID, life: UInt64, Topology)
        case readRows(CallerID, at: NodeID, life: UInt64)
        case readEnds(CallerID, Set<UInt64>, at: NodeID, life: UInt64)
        case snapshot(PartitionID, StorageID, to: NodeID, Held, LogPoint, Epoch, Term, from: NodeID)
        case importBegins(PartitionID, StorageID, LogPoint, at: NodeID, life: UInt64)
        case imported(PartitionID, Held, LogPoint, to: NodeID, life: UInt64, from: NodeID, copy: UInt64)
    }

    var random: SeededGenerator
    var now = LogicalInstant(microseconds: 1_000_000)
    var loss = 0.01
    var machines: [NodeID: Machine] = [:]
    var order: [NodeID] = []
    var queue: [(at: LogicalInstant, number: UInt64, event: Event)] = []
    var number: UInt64 = 0
    var catalog: TestCatalog
    var coordinatorsUp = true
    /// Pairs that do not hear each other; a node paired with itself does not hear the coordinators.
    var cut: Set<[NodeID]> = []
    /// Machines whose disks take no mirror of the topology.
    var lateMirrors: Set<NodeID> = []
    /// What engines find that would halve a partition; and how often they were asked.
    var splitKey: Key?
    var splitKeysAsked = 0
    /// Whether machines shorten their logs now and then.
    var truncates = false

    struct Read {
        let partition: PartitionID
        let epoch: Epoch
        let range: KeyRange
        /// How many writes had been acknowledged when it was asked.
        let after: Int
    }

    var nextCaller: UInt64 = 0
    var acknowledged: Set<UInt64> = []
    /// In the order of their acknowledgements.
    var history: [UInt64] = []
    var positions: [PartitionID: [Position: UInt64]] = [:]
    var written: [UInt64: PartitionID] = [:]
    /// Calls that ask for a write once more, by the row.
    var repeats: [UInt64: UInt64] = [:]
    var goodRepeats = 0
    var reads: [CallerID: Read] = [:]
    var goodReads = 0
    var refused: [UInt64: RequestRefusal] = [:]
    /// Snapshots that primaries have ordered.
    var copies = 0
    var copiesFail = false
    var stoppedCopies = 0
    var damages: [String] = []
    /// Damage that the world itself did is no defect.
    var mayDamage = false
    var violations: [String] = []
    /// Rows that engines kept when they cut a partition in two, and that are in neither half.
    var abandonedRows = 0

    init(seed: UInt64, nodes count: Int) throws {
        random = SeededGenerator(seed: seed)
        order = try (1...count).map { try NodeID("n\($0)") }
        catalog = try TestCatalog()
        for (index, id) in order.enumerated() {
            let store = StoreID(UInt64(index + 1))
            let identity = AgentIdentity(node: id, store: store, generation: Generation(1))
            let core = AgentCore(
                identity: identity, topology: Topology(), recovered: [:], engine: [],
                startedAt: LogicalInstant(microseconds: -5_000_000))
            let machine = Machine(id, store: store, core: core)
            machine.session = try catalog.register(id, store: store, generation: 1)
            machines[id] = machine
        }
    }

    /// A world with one table of one partition, on the first of its nodes, that is served.
    static func active(seed: UInt64, nodes: Int, copies: Int = 3, loss: Double? = nil) throws -> World {
        let world = try World(seed: seed, nodes: nodes)
        if let loss { world.loss = loss }
        try world.catalog.createTable(on: Array(world.order.prefix(copies)))
        #expect(world.run(until: { world.partitions.allSatisfy { $0.status == .active } }))
        return world
    }

    // MARK: - Time

    func push(_ event: Event, after delay: Span) {
        number += 1
        let item = (at: now + delay, number: number, event: event)
        let index = queue.firstIndex { ($0.at, $0.number) > (item.at, item.number) } ?? queue.count
        queue.insert(item, at: index)
    }

    func chance(_ p: Double) -> Bool { Double.random(in: 0..<1, using: &random) < p }
    func delay(_ most: Int64) -> Span { .microseconds(Int64.random(in: 50...most, using: &random)) }

    func run(_ span: Span) {
        let end = now + span
        while now < end {
            let next = min(end, now + .milliseconds(10))
            while let first = queue.first, first.at <= next {
                queue.removeFirst()
                now = max(now, first.at)
                handle(first.event)
            }
            now = next
            for id in order {
                guard let machine = machines[id], machine.isUp else { continue }
                attend(machine)
                give(machine, [.tick])
                if chance(0.1), !machine.syncsNothing { sync(machine) }
                if truncates, chance(0.01) { truncate(machine, keeping: Double.random(in: 0..<1, using: &random)) }
            }
        }
    }

    func hears(_ a: NodeID, _ b: NodeID) -> Bool { !cut.contains([a, b].sorted()) }
    /// Whether the coordinators and the node hear each other.
    func isInReach(_ id: NodeID) -> Bool { coordinatorsUp && hears(id, id) }
    /// The machine's own clock.
    func clock(_ machine: Machine) -> LogicalInstant {
        LogicalInstant(microseconds: now.microseconds * (10_000 + machine.drift) / 10_000)
    }

    /// The coordinators' dealings with one agent.
    func attend(_ machine: Machine) {
        guard isInReach(machine.id) else { return }
        if machine.session == .none, !machine.isRegistering {
            machine.isRegistering = true
            push(.registration(machine.id, life: machine.start), after: delay(5_000))
        }
        let known = catalog.topology.nodes[machine.id]
        if known?.status == .failed, known?.session == machine.session, chance(0.05) {
            catalog.nodeReturned(machine.id, session: machine.session)
        }
        if machine.core.topology.revision < catalog.topology.revision, chance(0.5) {
            push(.input(.topology(catalog.topology), to: machine.id, life: machine.start), after: delay(2_000))
        }
    }

    func run(until condition: () -> Bool, atMost span: Span = .seconds(20), step: Span = .milliseconds(10)) -> Bool {
        let end = now + span
        while now < end, !condition() { run(step) }
        return condition()
    }
}
