// The shell of a simulated agent, in miniature: it steps the core in a loop, writes what it orders to the disk before it says so, works
// the engine one thing after another, keeps one session with one coordinator, and answers clients as a gateway does: the key's
// partition, the epoch, the core's word, and after the engine has read the core's word once more. What is left out: codecs, tokens and
// threads.

import AgentCore
import DurableLog
import Membership
import Model
import Replication
import SimulationKit

struct AgentProcess: Sendable {
    typealias Sending = Effects<ClusterMessage>

    enum DiskWork: Sendable {
        case log([PartitionRecord], ticket: UInt64)
        /// The records that stand for older ones: once they are on disk, those before `needed` may go (rule R9).
        case checkpoint([PartitionRecord], needed: RecordNumber)
        case dropSegments(below: RecordNumber)
        /// The engine as it is now, and who waits for that to be durable.
        case engine([PartitionID: EnginePartition], [Afterwards])
        case mirror(Topology)
        /// The count of starts.
        case identity(Generation)

        /// What of it goes into the log.
        var records: [PartitionRecord]? {
            switch self {
            case .log(let records, _), .checkpoint(let records, _): records
            case .dropSegments, .engine, .mirror, .identity: nil
            }
        }
    }

    /// What follows when the engine's state is on disk.
    enum Afterwards: Sendable {
        case tell(AgentInput)
        case importBegan(SnapshotParcel, copy: UInt64, host: Int)
        case imported(SnapshotParcel, copy: UInt64, host: Int)
    }

    enum LaneWork: Sendable {
        case action(AgentAction)
        case recall(UInt64)
        case order(UInt64, WriteOnceRequest?)
        case read(UInt64)
        case answerRead(UInt64, UInt64)
        case readCopy(UInt64, StorageID)
        case answerCopy(UInt64, StorageID, UInt64)
        case beginImport(SnapshotParcel, copy: UInt64, host: Int)
        case endImport(SnapshotParcel, copy: UInt64, host: Int)
    }

    struct Caller: Sendable {
        let address: Int
        let request: ClusterRequest
    }

    /// A write of a register that the engine has applied.
    struct AppliedWrite: Sendable {
        let partition: PartitionID
        let position: Position
        let register: Int
        let value: UInt64
    }

    /// A write that a client is told of.
    struct AcknowledgedWrite: Sendable {
        let partition: PartitionID
        let position: Position
        let register: Int
        let value: UInt64
        /// It may have been ordered for an earlier request under its key: by another primary, or in a partition before this one.
        let isRepeated: Bool
    }

    static let tick = Span.milliseconds(10)
    static let engineSync = Span.milliseconds(150)

    let host: Int
    let node: NodeID
    let places: ClusterPlaces
    let mutant: ClusterMutant?
    private let isWatched: Bool
    let importTime: Span
    let spoilsSnapshots: Bool
    let writeKeyAge: Span
    let archive: ClusterArchive
    var core: AgentCore
    var swim: Swim
    var random: SeededGenerator
    var store: AgentStore
    var isOpen = false
    var ring: GossipRing
    let isSealed: Bool

    var line = DiskLine<DiskWork>()
    /// Inputs that follow from what is being carried out.
    var soon: [AgentInput] = []
    var nextTick: LogicalInstant
    var mirrored = Revision.none

    var engine: [PartitionID: EnginePartition]
    var lane: [(due: LogicalInstant, work: LaneWork)] = []
    var isEngineDirty = false
    var afterwards: [Afterwards] = []
    var engineSyncDue: LogicalInstant
    /// Partitions of which the log on disk holds something, and has not given it up.
    var onLog: Set<PartitionID> = []
    /// What was last written of each partition's hard state, as far as it is on disk.
    var hardOnLog: [PartitionID: HardState] = [:]
    var marks = EntryMarks()
    private let truncation: Span
    private var truncatedAt: LogicalInstant
    private var isTruncating = false
    var lastCopy: UInt64
    /// Snapshots that are in the engine on disk: where they came from, and under which number.
    var ended: [(host: Int, number: UInt64)] = []
    var copies: [UInt64: (partition: PartitionID, to: NodeID, until: LogicalInstant)] = [:]
    /// What was last written to the log of each register, for the mutant that reads it.
    private(set) var tails: [PartitionID: [Int: UInt64]] = [:]

    var session: SessionState
    var callers: [UInt64: Caller] = [:]
    var lastCaller: UInt64 = 0

    // What the checks look at after each step, and clear.
    /// Entries that were given to the log, whoever ordered them.
    var logged: [(partition: PartitionID, point: LogPoint)] = []
    /// What the log on disk says of a partition, by a record that is there now; nil: that it was given up.
    var stated: [(partition: PartitionID, state: HardState?)] = []
    var acknowledged: [AcknowledgedWrite] = []
    var applied: [AppliedWrite] = []
    var removed: [(partition: PartitionID, storage: StorageID)] = []
    var violations: [String] = []
    var acts: [(partition: PartitionID, act: AgentAct)] = []
    /// The log has been cut short on disk.
    var hasTruncated = false
    /// Segments that were removed, and snapshots taken in.
    var droppedSegments = 0
    var snapshots = 0
    /// Of tokens that were refused because of them.
    var unknownKeys: [String] = []

    /// - Parameters:
    ///   - making: what makes the disk into one that holds what was found.
    ///   - start: how often the node has started, on whichever disk.
    init(
        host: Int, places: ClusterPlaces, options: ClusterOptions, found: AgentStore.Found, making: [DiskStep],
        archive: ClusterArchive, start: UInt64, seed: UInt64, at now: LogicalInstant, _ effects: inout Sending
    ) {
        self.host = host
        self.places = places
        self.archive = archive
        node = places.node(host)
        mutant = options.mutant
        isWatched = options.isWatched
        importTime = options.importTime
        spoilsSnapshots = options.spoilsSnapshots
        writeKeyAge = options.writeKeyAge
        store = found.store
        ring = GossipRing(found.topology.gossipKeys)
        isSealed = options.exchangesKeys
        random = SeededGenerator(seed: seed)
        engine = found.engine
        swim = places.member(host, generation: found.generation, store: found.id, seed: seed ^ 0x5717, at: now)
        truncation = options.truncation
        truncatedAt = now
        let recovered = found.log.partitions
        marks = EntryMarks(end: found.log.records.first?.number ?? found.log.end)
        for (number, record) in found.log.records { marks.add(record, as: number) }
        core = AgentCore(
            identity: AgentIdentity(node: node, store: found.id, generation: found.generation), topology: found.topology,
            recovered: recovered, engine: AgentStore.replicas(of: found.engine), startedAt: now, settings: options.agent)
        onLog = Set(recovered.filter { !$0.value.isDropped }.keys)
        hardOnLog = recovered.filter { !$0.value.isDropped }.mapValues(\.hard)
        stated = hardOnLog.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        nextTick = now
        engineSyncDue = now
        lastCopy = start << 32
        session = SessionState(
            generation: found.generation, store: found.id, start: start, coordinator: Int(seed % 3), at: now)
        if !core.damagedPartitions.isEmpty { violations.append("\(node) starts damaged: \(core.damagedPartitions)") }
        effects.jobs.append(DiskJob(ticket: 0, steps: making + found.opening))
    }

    var wakeAt: LogicalInstant? {
        guard isOpen else { return nil }
        return [nextTick, swim.tickDue, lane.first?.due, line.retryAt].compactMap(\.self).min()
    }

    // MARK: - Steps

    mutating func step(_ input: ProcessInput<ClusterMessage>, at now: LogicalInstant, _ effects: inout Sending) {
        if case .diskFinished(let ticket, let failure) = input {
            diskFinished(ticket, failure, at: now, &effects)
        } else if isOpen {
            switch input {
            case .tick: passTime(at: now, &effects)
            case .received(let message, let from): receive(message, from: from, at: now, &effects)
            case .connectionLost(let gone): gossip([.linkRefused(places.node(gone))], at: now, &effects)
            case .diskFinished: break
            }
        }
        guard isOpen, effects.exit == nil else { return }
        while !soon.isEmpty {
            let inputs = soon
            soon = []
            perform(core.step(inputs, at: now), at: now, &effects)
        }
        beginDisk(at: now, &effects)
    }

    private mutating func passTime(at now: LogicalInstant, _ effects: inout Sending) {
        if let job = line.again(at: now) { effects.jobs.append(job) }
        if swim.tickDue <= now { gossip([.tick], at: now, &effects) }
        while let first = lane.first, first.due <= now {
            lane.removeFirst()
            work(first.work, at: now, &effects)
        }
        guard nextTick <= now else { return }
        nextTick = now + Self.tick
        soon.append(.tick)
        if now >= truncatedAt + truncation, !isTruncating, store.segmentCount > 1 { truncate(at: now) }
        converse(at: now, &effects)
        for (number, copy) in copies.sorted(by: { $0.key < $1.key }) where copy.until <= now {
            copies[number] = nil
            soon.append(.copyEnded(copy.partition, to: copy.to, isWhole: false))
        }
    }

    private mutating func receive(
        _ message: ClusterMessage, from sender: Int, at now: LogicalInstant, _ effects: inout Sending
    ) {
        switch message {
        case .agents(let message, let peer): soon.append(.received(message, from: peer))
        case .gossip(let message, let key):
            guard key.map(ring.opens) ?? true else { return }
            gossip([.received(message, from: places.addresses(sender).gossip)], at: now, &effects)
        case .linkPing(let number, _): effects.send(.linkPong(number, from: node), to: sender)
        case .linkPong(let number, let other): gossip([.streamAnswered(other, sequence: number)], at: now, &effects)
        case .answer(let answer, let link): if link == session.link { take(answer, at: now, &effects) }
        case .snapshot(let parcel): take(parcel, from: sender, at: now, &effects)
        case .snapshotEnded(let number, let isWhole):
            if let copy = copies.removeValue(forKey: number) {
                soon.append(.copyEnded(copy.partition, to: copy.to, isWhole: isWhole))
            }
        case .request(let request): take(request, from: sender, at: now, &effects)
        case .routesWanted:
            // Of the clients' table, which is the first.
            let routes = core.topology.tables.keys.min().map { core.topology.partitions(of: $0) } ?? []
            effects.send(.routes(routes), to: sender)
        case .coordinators, .question, .reply, .routes, .errand: break
        }
    }

    // MARK: - Clients

    private mutating func take(
        _ request: ClusterRequest, from address: Int, at now: LogicalInstant, _ effects: inout Sending
    ) {
        guard knowsKey(of: request), let partition = core.topology.partitions[request.partition],
            partition.range.contains(ClusterOptions.key(request.key))
        else { return reply(.refused, to: Caller(address: address, request: request), &effects) }
        lastCaller += 1
        callers[lastCaller] = Caller(address: address, request: request)
        let caller = CallerID(lastCaller)
        switch request.operation {
        case .read(.strong): soon.append(.read(caller, request.partition, request.epoch))
        case .read(.bounded), .read(.eventual): readCopy(for: caller.number, at: now, &effects)
        case .write(let value, nil):
            soon.append(.write(caller, request.partition, request.epoch, Self.payload(request.key, value)))
        case .write(_, _?): give(.recall(caller.number), at: now)
        }
    }

    func reply(_ outcome: ClusterReply.Outcome, to caller: Caller, _ effects: inout Sending) {
        let reply = ClusterReply(number: caller.request.number, attempt: caller.request.attempt, outcome: outcome)
        effects.send(.reply(reply), to: caller.address)
    }

    static func payload(_ key: Int, _ value: UInt64) -> [UInt8] {
        [UInt8(key)] + (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }
    static func register(in payload: [UInt8]) -> (key: Int, value: UInt64) {
        (Int(payload[0]), (0..<8).reduce(0) { $0 | UInt64(payload[1 + $1]) << UInt64(8 * $1) })
    }

    // MARK: - What the core orders

    mutating func perform(_ actions: [AgentAction], at now: LogicalInstant, _ effects: inout Sending) {
        for action in actions {
            if isWatched { for (id, act) in AgentAct.all(in: action) { note(act, for: id) } }
            switch action {
            case .append(let records, let ticket):
                for record in records { marks.add(record) }
                for case .entry(let id, let entry) in records { logged.append((id, entry.point)) }
                if mutant == .readsLog { noteTails(of: records) }
                line.add(.log(records, ticket: ticket))
                if mutant == .takesHandedOverForDurable { soon.append(.persisted(ticket: ticket)) }
            case .send(let message, let peer):
                if let to = places.host(of: peer) { effects.send(.agents(message, from: node), to: to) }
            case .apply, .checksum, .create, .installChildren, .drop, .copy: give(.action(action), at: now)
            case .stopCopy(let id, let peer):
                for (number, copy) in copies.sorted(by: { $0.key < $1.key }) where copy.partition == id && copy.to == peer {
                    copies[number] = nil
                    soon.append(.copyEnded(id, to: peer, isWhole: false))
                }
            case .acknowledge(let caller, let position):
                guard let known = callers.removeValue(forKey: caller.number) else { continue }
                note(known.request, at: position)
                reply(.written, to: known, &effects)
            case .readable(let caller): readable(caller.number, at: now, &effects)
            case .refuse(let caller, let refusal):
                guard let known = callers.removeValue(forKey: caller.number) else { continue }
                // Ours send the same under a key, always.
                if refusal == .replica(.keyReused) { violations.append("\(node) knows another write under \(known.request)") }
                reply(refusal == .replica(.outcomeUnknown) ? .unknown : .refused, to: known, &effects)
            case .propose(let proposal, let request): propose(proposal, request, at: now, &effects)
            case .topologyChanged: learned(at: now, &effects)
            case .confirmQuorum: confirmQuorum(at: now, &effects)
            case .askTopology: askTopology(at: now, &effects)
            case .evicting: break
            // Nothing is measured here: splits are an operator's.
            case .findSplitKey(let id, _, _, _): soon.append(.splitKeyFound(id, nil))
            case .damaged(let id, let what): violations.append("\(node) finds \(id) damaged: \(what)")
            }
        }
    }

    private mutating func noteTails(of records: [PartitionRecord]) {
        for case .entry(let id, let entry) in records {
            guard case .write(let payload, _) = entry.body else { continue }
            let (key, value) = Self.register(in: payload)
            tails[id, default: [:]][key] = value
        }
    }

    mutating func note(_ act: AgentAct, for partition: PartitionID) {
        if isWatched { acts.append((partition, act)) }
    }

    // MARK: - The disk

    private mutating func beginDisk(at now: LogicalInstant, _ effects: inout Sending) {
        guard line.isIdle else { return }
        if isEngineDirty, !afterwards.isEmpty || engineSyncDue <= now {
            line.add(.engine(engine, afterwards))
            (isEngineDirty, afterwards) = (false, [])
            engineSyncDue = now + Self.engineSync
        }
        if mirrored < core.topology.revision {
            mirrored = core.topology.revision
            line.add(.mirror(core.topology))
            if mutant == .speaksForMirrorEarly { soon.append(.topologySaved(core.topology.revision)) }
        }
        guard let first = line.waiting.first else { return }
        switch first {
        case .log, .checkpoint:
            // As many appends as there are in a row go in one sync.
            let batch = line.take(line.waiting.prefix { $0.records != nil }.count)
            effects.jobs.append(line.begin(batch, store.appending(batch.flatMap { $0.records ?? [] })))
        case .dropSegments(let number):
            let count = store.segmentCount
            effects.jobs.append(line.begin(line.take(1), store.dropping(below: number)))
            droppedSegments += count - store.segmentCount
        case .engine(let image, _):
            effects.jobs.append(line.begin(line.take(1), AgentStore.replacing("engine", with: [archive.keep(image)])))
        case .mirror(let topology):
            effects.jobs.append(line.begin(line.take(1), AgentStore.replacing("topology", with: [archive.keep(topology)])))
        case .identity(let generation):
            let words = [core.identity.store.number, generation.number]
            effects.jobs.append(line.begin(line.take(1), AgentStore.replacing("identity", with: words)))
        }
    }

    private mutating func diskFinished(
        _ ticket: UInt64, _ failure: DiskFailure?, at now: LogicalInstant, _ effects: inout Sending
    ) {
        guard isOpen else {
            guard failure == nil else { return effects.exit = "the disk is broken or full at the start" }
            isOpen = true
            mirrored = core.topology.revision
            gossip(places.news(of: core.topology, for: host), at: now, &effects)
            return perform(core.start(at: now), at: now, &effects)
        }
        switch line.finished(ticket, failure, at: now) {
        case .waits: break
        case .broken: effects.exit = "the disk failed"
        case .done(let works):
            for work in works { isDurable(work, at: now, &effects) }
            for (host, number) in ended { effects.send(.snapshotEnded(number, isWhole: true), to: host) }
            ended = []
        }
    }

    private mutating func isDurable(_ work: DiskWork, at now: LogicalInstant, _ effects: inout Sending) {
        switch work {
        case .log(let records, let ticket):
            isOnLog(records)
            soon.append(.persisted(ticket: ticket))
        case .checkpoint(let records, let needed):
            isOnLog(records)
            line.add(.dropSegments(below: needed))
        case .dropSegments: (isTruncating, hasTruncated) = (false, true)
        case .mirror(let topology):
            soon.append(.topologySaved(topology.revision))
            if let record = topology.gossipKeys { ring.take(record) }
        case .identity(let generation):
            session.began(in: generation)
            gossip([.raised(generation)], at: now, &effects)
        case .engine(let image, let afterwards):
            for (id, held) in image.sorted(by: { $0.key < $1.key }) where held.importing == nil {
                soon.append(.synced(id, held.applied.sequence))
            }
            for next in afterwards { follow(next, at: now) }
        }
    }

    private mutating func isOnLog(_ records: [PartitionRecord]) {
        for record in records {
            if case .dropped(let id) = record {
                onLog.remove(id)
                hardOnLog[id] = nil
                stated.append((id, nil))
            } else if let id = record.partition {
                onLog.insert(id)
                if case .hardState(_, let state) = record {
                    hardOnLog[id] = state
                    stated.append((id, state))
                }
            }
        }
    }

    /// Writes checkpoints, then drops the segments before what is still needed (rule R9).
    private mutating func truncate(at now: LogicalInstant) {
        (truncatedAt, isTruncating) = (now, true)
        if mutant != .keepsLaggards {
            let start = store.start(ofNewest: EntryMarks.freeSegments)
            core.forgetOnDisk(marks.laggards(after: core.forgotten, before: start))
        }
        let checkpoint = marks.end
        let records = core.checkpoints + [.beat]
        var needed = marks.firstNeeded(after: core.forgotten, checkpoint: checkpoint)
        if mutant == .dropsWhatIsNeeded { needed = checkpoint }
        for record in records { marks.add(record) }
        if mutant == .dropsBeforeCheckpoint { line.add(.dropSegments(below: needed)) }
        line.add(.checkpoint(records, needed: needed))
    }
}
