// Three coordinators, their disks prompt and their network orderly; what the shell does, in a value.

import Catalog
import Consensus
import CoordinatorCore
import Model
import Synchronization

/// Entries are kept aside under a number, so that no codec is needed.
final class Archive: Sendable {
    private let entries = Mutex<[CatalogEntry]>([])
    private let snapshots = Mutex<[CatalogSnapshot]>([])
    /// Bytes of a snapshot beside its number.
    private let padding: Int

    init(padding: Int = 0) { self.padding = padding }

    /// The reason of an entry that this codec writes and does not read.
    static let unreadable = "unreadable"

    private static func number(_ bytes: [UInt8]) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
    private static func bytes(_ number: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) } }

    var codec: CoordinatorCodec {
        CoordinatorCodec(
            encode: { entry in
                self.entries.withLock { entries in
                    entries.append(entry)
                    return Self.bytes(entries.count - 1)
                }
            },
            decode: { (bytes) throws(MalformedEntry) in
                let entry = self.entries.withLock { $0[Self.number(bytes)] }
                guard entry.reason != Self.unreadable else { throw MalformedEntry(field: "reason", detail: "unreadable") }
                return entry
            },
            encodeSnapshot: { snapshot in
                self.snapshots.withLock { snapshots in
                    snapshots.append(snapshot)
                    return [UInt8](repeating: 0, count: self.padding) + Self.bytes(snapshots.count - 1)
                }
            },
            decodeSnapshot: { bytes in self.snapshots.withLock { $0[Self.number(bytes)] } }, digest: { _ in [1] })
    }
}

struct CoordinatorGroup {
    private(set) var names: [MemberID]
    let founding: MemberConfiguration
    let archive: Archive
    var members: [MemberID: Coordinator] = [:]
    var outcomes: [UInt64: CommandOutcome] = [:]
    var reads: [UInt64: Bool] = [:]
    var deltas: [MemberID: [TopologyDelta]] = [:]
    /// How many entries each write to a disk brought.
    var writes: [MemberID: [Int]] = [:]
    var groupOutcomes: [UInt64: GroupOutcome] = [:]
    var mayStop: [MemberID] = []
    /// What members measured as leaders.
    var failovers: [MemberID: [FailoverNews]] = [:]
    var faults: [MemberID: Fault] = [:]
    /// Who found that whose state differs from its own, and where.
    var alarms: [(at: MemberID, of: MemberID, index: LogIndex)] = []
    var wire: [(from: MemberID, to: MemberID, message: CoordinatorMessage)] = []
    var down: Set<MemberID> = []
    var now = LogicalInstant.origin
    var lastCaller: UInt64 = 0

    private let settings: CoordinatorSettings
    private let trailingEntries: UInt64
    private let gossipSeed: GossipSeed?
    private let codec: (MemberID, CoordinatorCodec) -> CoordinatorCodec

    /// - Parameter codec: how a member reads and writes; as everybody does, unless a test says otherwise.
    init(
        settings: CoordinatorSettings = CoordinatorSettings(snapshotEntries: 20), trailingEntries: UInt64 = 5_000,
        snapshotPadding: Int = 0, gossipSeed: GossipSeed? = nil,
        codec: @escaping (MemberID, CoordinatorCodec) -> CoordinatorCodec = { $1 }
    ) throws {
        self.settings = settings
        self.trailingEntries = trailingEntries
        self.gossipSeed = gossipSeed
        self.codec = codec
        archive = Archive(padding: snapshotPadding)
        names = try (1...3).map { try MemberID(text: "c\($0)") }
        founding = try MemberConfiguration(voters: names)
        for name in names { try start(name) }
        run(.seconds(1))
    }

    /// Starts a member anew with what it had on its disk: all that it had, for disks are prompt here.
    mutating func restart(_ name: MemberID) throws { try start(name, with: members[name]?.raft) }

    /// Starts a member with an empty disk, or with one on which all of `former` is.
    mutating func start(_ name: MemberID, with former: Raft? = nil) throws {
        if !names.contains(name) { names.append(name) }
        lastCaller += 1
        let raft = Raft(
            id: name,
            settings: RaftSettings(
                electionTimeout: .milliseconds(100), heartbeatInterval: .milliseconds(20), trailingEntries: trailingEntries),
            hardState: former?.hardState ?? HardState(), snapshot: former?.snapshot ?? .founding(founding),
            entries: former.map { $0.log.entries(from: $0.snapshot.id.index.next, bytes: .max) } ?? [], seed: lastCaller,
            at: now)
        let zones = Dictionary(
            uniqueKeysWithValues: try founding.voters.map { ($0.node, try ZoneName("z\($0.node.name.dropFirst())")) })
        members[name] = Coordinator(
            id: name, raft: raft, codec: codec(name, archive.codec), memberZones: zones, settings: settings,
            gossipSeed: gossipSeed, numbersAfter: lastCaller * 1_000, at: now)
    }

    var leader: MemberID? { names.first { !down.contains($0) && members[$0]?.raft.isLeader == true } }
    var follower: MemberID? { names.first { !down.contains($0) && members[$0]?.raft.isLeader == false } }

    func topology(of name: MemberID) -> Topology { members[name]?.catalog.topology ?? Topology(revision: .none) }

    mutating func step(_ input: Coordinator.Input, at name: MemberID) {
        guard !down.contains(name), members[name] != nil else { return }
        let wall = WallTime(milliseconds: 1_000 + now.microseconds / 1_000)
        var inputs = [input]
        while !inputs.isEmpty {
            for action in members[name]?.step(inputs.removeFirst(), at: now, wall: wall) ?? [] {
                switch action {
                case .send(let message, let peer): wire.append((name, peer, message))
                case .persist(let persist):
                    if !persist.entries.isEmpty { writes[name, default: []].append(persist.entries.count) }
                    for envelope in persist.answers { wire.append((name, envelope.to, .raft(envelope.message))) }
                    inputs.append(.persisted(persist.sequence))
                case .encodeSnapshot(let state, let index):
                    inputs.append(.snapshotEncoded(archive.codec.encodeSnapshot(state), at: index))
                case .answer(let caller, let outcome): outcomes[caller] = outcome
                case .readAnswered(let caller, let isFresh): reads[caller] = isFresh
                case .publish(let delta): deltas[name, default: []].append(delta)
                case .groupAnswered(let caller, let outcome): groupOutcomes[caller] = outcome
                case .mayStop: mayStop.append(name)
                case .askToBeLetIn: for other in names where other != name { wire.append((name, other, .waiting(name))) }
                case .stateDiffers(let other, let index): alarms.append((name, other, index))
                case .fault(let fault): faults[name] = fault
                case .failover(let news): failovers[name, default: []].append(news)
                case .reset, .unreadable: break
                }
            }
        }
    }

    mutating func deliver() {
        while !wire.isEmpty {
            let (from, to, message) = wire.removeFirst()
            if !down.contains(from) { step(.received(message, from: from), at: to) }
        }
    }

    mutating func run(_ span: Span) {
        let end = now + span
        while now < end {
            now = now + .milliseconds(5)
            for name in names where (members[name]?.nextDeadline ?? end) <= now { step(.tick, at: name) }
            deliver()
        }
    }

    /// Has a command committed through `name`, and answers what became of it.
    mutating func commit(
        _ command: Command, as request: String, reason: String = "", at name: MemberID
    ) throws -> CommandOutcome? {
        lastCaller += 1
        let caller = lastCaller
        let proposed = ProposedCommand(
            command: command, actor: try Principal("tester"), reason: reason, requestID: try RequestID(request))
        step(.propose(proposed, caller: caller), at: name)
        deliver()
        run(.milliseconds(50))
        return outcomes[caller]
    }

    static func registration(_ name: String, zone: String, generation: UInt64 = 1) throws -> NodeRegistration {
        NodeRegistration(
            node: try NodeID(name), store: StoreID(UInt64(name.utf8.reduce(7) { $0 &* 31 &+ Int($1) })),
            generation: Generation(generation),
            zone: try ZoneName(zone), addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"))
    }
}
