// A small world for replicas: a network that loses, doubles and reorders, disks that forget what was not synced, a catalog that
// compares and sets, and clients that remember every answer. One seed, one history.

import Model
import Replication

struct LinkFaults: Sendable {
    var loss = 0.02
    var duplication = 0.02
    var maxDelay = Span.milliseconds(4)
    static let none = LinkFaults(loss: 0, duplication: 0, maxDelay: .milliseconds(1))
}

final class ReplicaGroup {
    final class Node {
        let id: NodeID
        let store: StoreID
        var replica: Replica
        var leases: LeaseBook
        var isUp = true
        var generation: UInt64 = 1
        // The disk: records with the ticket of their append; what is past `persisted` may be lost.
        var disk: [(ticket: UInt64, record: PartitionRecord)] = []
        var persistedRecords = 0
        /// While its disk takes what is written and does not say that it is there.
        var diskStands = false
        /// How long each flush of its disk takes, one after the other; nil: as long as disks do.
        var flushTakes: Span?
        // The engine: rows, how far they stand, and the same as of the last sync.
        var rows: Set<UInt64> = []
        var applied = Position.zero
        var syncedRows: Set<UInt64> = []
        var synced = Position.zero
        var knownEpoch = Epoch(0)
        /// The engine works on one batch after the other.
        var engineFreeAt = LogicalInstant.origin
        var checkedAsOf: LogicalInstant?

        init(_ id: NodeID, _ replica: Replica, leases: LeaseBook) {
            self.id = id
            self.store = StoreID(UInt64(id.name.utf8.last ?? 0))
            self.replica = replica
            self.leases = leases
        }

        /// Whether no crash can take the entry there: the engine has it on disk, or the log has and has not taken it back.
        func holds(_ position: Position) -> Bool {
            if position <= synced { return true }
            for (_, record) in disk.prefix(persistedRecords).reversed() {
                switch record {
                case .entry(_, let entry): if entry.position == position { return true }
                case .cut(_, let through): if through < position.sequence { return false }
                case .reset, .dropped: return false
                case .hardState, .checkpoint, .beat: break
                }
            }
            return false
        }
    }

    enum Event {
        case message(ReplicationMessage, from: NodeID, to: NodeID)
        case leaseRequest(LeaseRequest, from: NodeID, to: NodeID)
        case leaseGrant(LeaseGrant, from: NodeID, to: NodeID)
        case persisted(NodeID, generation: UInt64, ticket: UInt64)
        case applied(NodeID, generation: UInt64, [Entry])
        case engineSync(NodeID, generation: UInt64)
        case topology(PartitionDescriptor, to: NodeID)
        case proposal(PartitionProposal, RequestID, from: NodeID)
        case answer(PartitionProposal, ProposalOutcome, to: NodeID)
        case snapshot(LogPoint, Set<UInt64>, to: NodeID, from: NodeID)
        case checkRead(CallerID, at: NodeID, generation: UInt64)
    }

    let partition = PartitionID(7)
    let settings: ReplicationSettings
    private let leaseSettings: LeaseSettings
    let minInSync: Int
    var random: SeededGenerator
    var now = LogicalInstant(microseconds: 1_000_000)
    var fault: LinkFaults
    var nodes: [NodeID: Node] = [:]
    var order: [NodeID] = []
    var queue: [(at: LogicalInstant, number: UInt64, event: Event)] = []
    var eventNumber: UInt64 = 0
    var cut: Set<[NodeID]> = []

    // The catalog.
    var descriptor: PartitionDescriptor
    var answers: [RequestID: ProposalOutcome] = [:]
    var coordinatorsUp = true

    // The ledger.
    var nextCaller: UInt64 = 0
    var acknowledged: [UInt64: Position] = [:]
    var acknowledgedUntil = AcknowledgedUntil()
    /// How often a follower said anew how old its rows may be.
    var vouched = 0
    var refusals: [CallerID: Replica.Refusal] = [:]
    var pendingReads: [UInt64: Set<UInt64>] = [:]
    var goodReads = 0
    var ordered: [Position: Entry] = [:]
    var committedAt: [UInt64: LogPoint] = [:]
    /// Most entries that an engine was given at a time.
    var largestBatch = 0
    var violations: [String] = []
    var halts: [String] = []
    var proposalsSeen: [PartitionProposal] = []
    /// Why members were asked to leave, as the nodes' logs would tell.
    var evictionsAsked: [NodeID: [EvictionCause]] = [:]

    init(
        seed: UInt64, nodes count: Int, inSync: Int? = nil, minInSync: Int = 2, fault: LinkFaults = LinkFaults(),
        settings: ReplicationSettings = ReplicationSettings(), mutant: RuleMutant? = nil
    ) throws {
        random = SeededGenerator(seed: seed)
        self.fault = fault
        self.settings = settings.with(mutant)
        leaseSettings = LeaseSettings().with(mutant)
        self.minInSync = minInSync
        order = try (1...count).map { try NodeID("n\($0)") }
        let members = order.prefix(inSync ?? count)
        descriptor = PartitionDescriptor(
            id: partition, table: TableID(1), range: .all, epoch: Epoch(1), primary: order[0],
            replicas: members.map {
                ReplicaDescriptor(
                    node: $0, store: StoreID(UInt64($0.name.utf8.last ?? 0)), storage: StorageID(7), role: .inSync)
            }, status: .active)
        for id in order {
            let replica = Replica(id: partition, node: id, incarnation: 1 << 20, settings: self.settings)
            // The nodes have been up for long: no lease of an earlier life is left.
            let longAgo = LogicalInstant(microseconds: -10_000_000)
            let leases = LeaseBook(startedAt: longAgo, generation: Generation(1), settings: leaseSettings)
            nodes[id] = Node(id, replica, leases: leases)
        }
        for id in order { push(.topology(descriptor, to: id), after: .zero) }
    }

    func node(_ index: Int) -> Node { nodes[order[index]]! }
    var primaryNode: Node? { descriptor.primary.flatMap { nodes[$0] } }

    // MARK: - Time

    func push(_ event: Event, after delay: Span) {
        eventNumber += 1
        let item = (at: now + delay, number: eventNumber, event: event)
        var low = 0
        var high = queue.count
        while low < high {
            let middle = (low + high) / 2
            if queue[middle].at < item.at || (queue[middle].at == item.at && queue[middle].number < item.number) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        queue.insert(item, at: low)
    }

    func chance(_ p: Double) -> Bool { Double.random(in: 0..<1, using: &random) < p }
    func delay(_ most: Span) -> Span { .microseconds(Int64.random(in: 50...max(51, most.microseconds), using: &random)) }

    /// Runs for a while, ticking every 10 ms; `also` runs at each tick.
    func run(_ span: Span, also: (ReplicaGroup) -> Void = { _ in }) {
        let end = now + span
        while now < end {
            let next = min(end, now + .milliseconds(10))
            while let first = queue.first, first.at <= next {
                queue.removeFirst()
                now = max(now, first.at)
                handle(first.event)
            }
            now = next
            for id in order { tick(id) }
            also(self)
        }
    }

    /// Runs until it holds, at most for `span`; `also` runs at each tick.
    func run(
        until condition: (ReplicaGroup) -> Bool, atMost span: Span = .seconds(20), also: (ReplicaGroup) -> Void = { _ in }
    ) -> Bool {
        let end = now + span
        while now < end {
            if condition(self) { return true }
            run(.milliseconds(10), also: also)
        }
        return condition(self)
    }

    private func tick(_ id: NodeID) {
        guard let node = nodes[id], node.isUp else { return }
        if !node.diskStands { node.leases.ownLogSynced(at: now) }
        let peers = order.filter { $0 != id }
        for (peer, request) in node.leases.requests(
            to: peers, knowing: Revision(history: 1, index: node.knownEpoch.number), at: now)
        {
            transmit(.leaseRequest(request, from: id, to: peer), id, peer)
        }
        if chance(0.1) { push(.engineSync(id, generation: node.generation), after: delay(.milliseconds(2))) }
        // A watch that brings the newest descriptor again and again.
        if coordinatorsUp, node.knownEpoch < descriptor.epoch, chance(0.3) {
            push(.topology(descriptor, to: id), after: delay(fault.maxDelay))
        }
        if coordinatorsUp, descriptor.primary == nil, descriptor.inSync == [id], chance(0.05) { commit { $0.primary = id } }
        give(id, [.tick])
    }

    // MARK: - What nodes do

    func give(_ id: NodeID, _ inputs: [Replica.Input]) {
        guard let node = nodes[id], node.isUp else { return }
        perform(node.replica.step(inputs, at: now, leases: node.leases), by: node)
        checkFreshness(of: node)
    }

    private func transmit(_ event: Event, _ from: NodeID, _ to: NodeID) {
        if cut.contains([from, to].sorted()) || chance(fault.loss) { return }
        push(event, after: delay(fault.maxDelay))
        if chance(fault.duplication) { push(event, after: delay(fault.maxDelay * 4)) }
    }

    private func perform(_ actions: [Replica.Action], by node: Node) {
        for action in actions {
            switch action {
            case .append(let records, let ticket):
                for record in records {
                    node.disk.append((ticket, record))
                    if case .entry(_, let entry) = record { noteOrdered(entry, at: node) }
                }
                let pause = node.flushTakes.map(untilNextFlush) ?? delay(.milliseconds(3))
                if !node.diskStands { push(.persisted(node.id, generation: node.generation, ticket: ticket), after: pause) }
            case .send(let message, let peer): transmit(.message(message, from: node.id, to: peer), node.id, peer)
            case .apply(let entries):
                largestBatch = max(largestBatch, entries.count)
                for entry in entries {
                    if let before = committedAt[entry.sequence], before != entry.point {
                        violations.append("\(node.id) applies \(entry.point) where \(before) was applied")
                    }
                    committedAt[entry.sequence] = entry.point
                }
                node.engineFreeAt = max(node.engineFreeAt, now) + delay(.milliseconds(1))
                push(.applied(node.id, generation: node.generation, entries), after: node.engineFreeAt - now)
            case .checksum: break
            case .acknowledge(let caller, let position):
                checkCopies(of: position, acknowledgedBy: node)
                acknowledged[caller.number] = position
                acknowledgedUntil.note(position.sequence, at: now)
            case .readable(let caller):
                checkRead(caller, at: node)
            case .refuse(let caller, let refusal):
                refusals[caller] = refusal
                pendingReads[caller.number] = nil
            case .propose(let proposal, let request):
                proposalsSeen.append(proposal)
                if coordinatorsUp { push(.proposal(proposal, request, from: node.id), after: delay(fault.maxDelay)) }
            case .evicting(let member, let cause): evictionsAsked[member, default: []].append(cause)
            case .askTopology:
                if coordinatorsUp { push(.topology(descriptor, to: node.id), after: delay(fault.maxDelay)) }
            case .halted(let reason): halts.append("\(node.id) \(reason)")
            }
        }
    }

    /// What is written while one flush is under way is on disk at the end of the next.
    private func untilNextFlush(taking span: Span) -> Span {
        .microseconds(2 * span.microseconds - now.microseconds % span.microseconds)
    }

    /// Whoever counts in sync, and whoever the primary counts on, has on its disk what is acknowledged (rules R1, R4).
    private func checkCopies(of position: Position, acknowledgedBy primary: Node) {
        let own = primary.replica
        let counted = (own.descriptor?.inSync ?? []) + (own.hard.pendingJoin.map { [$0.node] } ?? []) + descriptor.inSync
        for id in Set(counted).sorted() where nodes[id]?.holds(position) != true {
            violations.append("\(primary.id) acknowledges \(position), which is not on the disk of \(id)")
        }
        if let known = own.descriptor, known.inSync.count < minInSync {
            violations.append("\(primary.id) acknowledges \(position) with \(known.inSync.count) of \(minInSync) copies")
        }
    }

    private func noteOrdered(_ entry: Entry, at node: Node) {
        if let before = ordered[entry.position], before != entry {
            violations.append("two entries at \(entry.position)")
        }
        ordered[entry.position] = entry
    }

    private func handle(_ event: Event) {
        switch event {
        case .message(let message, let from, let to): give(to, [.received(message, from: from)])
        case .leaseRequest(let request, let from, let to):
            guard let node = nodes[to], node.isUp else { return }
            let isBehind = request.revision.index < node.knownEpoch.number
            let exclusions = isBehind ? [LeaseExclusion(partition: partition, epoch: node.knownEpoch)] : []
            let grant = node.leases.grant(request, to: from, excluding: exclusions, at: now)
            transmit(.leaseGrant(grant, from: to, to: from), to, from)
        case .leaseGrant(let grant, let from, let to):
            if let node = nodes[to], node.isUp { node.leases.granted(grant, by: from, at: now) }
        case .persisted(let id, let generation, let ticket):
            guard let node = nodes[id], node.isUp, node.generation == generation else { return }
            node.persistedRecords = max(node.persistedRecords, (node.disk.lastIndex { $0.ticket <= ticket } ?? -1) + 1)
            give(id, [.persisted(ticket: ticket)])
        case .applied(let id, let generation, let entries):
            guard let node = nodes[id], node.isUp, node.generation == generation else { return }
            for entry in entries where entry.sequence > node.applied.sequence {
                if case .write(let payload, _) = entry.body { node.rows.insert(Self.number(payload)) }
                node.applied = entry.position
            }
            give(id, [.applied(node.applied.sequence)])
        case .engineSync(let id, let generation):
            guard let node = nodes[id], node.isUp, node.generation == generation else { return }
            (node.syncedRows, node.synced) = (node.rows, node.applied)
            give(id, [.synced(node.synced.sequence)])
            if chance(0.2) { truncateDisk(node) }
        case .topology(let descriptor, let id):
            guard let node = nodes[id], node.isUp, descriptor.epoch > node.knownEpoch else { return }
            node.knownEpoch = descriptor.epoch
            var grants: [NodeID: LogicalInstant] = [:]
            for peer in order where peer != id { grants[peer] = node.leases.lastGrantEnds(for: peer) }
            give(id, [.learned(descriptor, minInSync: minInSync, grants: grants)])
        case .proposal(let proposal, let request, let from):
            guard coordinatorsUp else { return }
            let outcome = answers[request] ?? decide(proposal)
            answers[request] = outcome
            push(.answer(proposal, outcome, to: from), after: delay(fault.maxDelay))
        case .answer(let proposal, let outcome, let id): give(id, [.answered(proposal, outcome)])
        case .snapshot(let point, let rows, let to, let from):
            guard let node = nodes[to], node.isUp, node.applied.sequence < point.sequence else { return }
            (node.rows, node.syncedRows, node.applied, node.synced) = (rows, rows, point.position, point.position)
            give(to, [.snapshotBegun(copy: eventNumber), .snapshotInstalled(point, copy: eventNumber)])
            give(from, [.snapshotSending(to: to, at: nil)])
        case .checkRead: break
        }
    }

    /// Writes a checkpoint and drops the records that it makes needless, as the node's log does when it frees a segment.
    private func truncateDisk(_ node: Node) {
        guard node.persistedRecords == node.disk.count else { return }
        if chance(0.5) { node.replica.forgetOnDisk() }
        let base = node.replica.baseOnDisk.sequence
        let needed = node.disk.firstIndex { if case .entry(_, let entry) = $0.record { entry.sequence > base } else { false } }
        let ticket = node.disk.last?.ticket ?? 0
        node.disk.append((ticket, node.replica.checkpoint))
        node.disk.removeFirst(needed ?? node.disk.count - 1)
        node.persistedRecords = node.disk.count
    }

    // MARK: - Faults

    func crash(_ id: NodeID) {
        guard let node = nodes[id], node.isUp else { return }
        node.isUp = false
        // Of what was not synced, a prefix may have reached the disk all the same.
        let unsure = node.disk.count - node.persistedRecords
        let kept = node.persistedRecords + (unsure > 0 ? Int.random(in: 0...unsure, using: &random) : 0)
        node.disk.removeLast(node.disk.count - kept)
        node.persistedRecords = kept
        (node.rows, node.applied) = (node.syncedRows, node.synced)
    }

    func restart(_ id: NodeID, knowing topology: PartitionDescriptor? = nil) {
        guard let node = nodes[id], !node.isUp else { return }
        var recovered = RecoveredPartition()
        for (_, record) in node.disk {
            guard let again = PartitionRecord.decoding(record.encoded()[...]), again == record else {
                violations.append("\(record) does not survive its encoding")
                return
            }
            recovered.add(record)
        }
        do {
            let log = try recovered.log(origin: .start, applied: node.applied)
            node.replica = Replica(
                id: partition, node: id, incarnation: (node.generation + 1) << 20, log: log, hard: recovered.hard,
                applied: node.applied.sequence, settings: settings)
        } catch {
            violations.append("\(id) cannot recover: \(error)")
            return
        }
        node.generation += 1
        node.engineFreeAt = now
        node.leases = LeaseBook(startedAt: now, generation: Generation(node.generation), settings: leaseSettings)
        node.isUp = true
        node.disk = node.disk.map { (0, $0.record) }
        node.persistedRecords = node.disk.count
        node.knownEpoch = Epoch(0)
        push(.topology(topology ?? descriptor, to: id), after: delay(.milliseconds(5)))
    }
}
