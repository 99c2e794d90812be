// A whole group in one value: members, a network that loses, doubles and overtakes, disks that forget what was not flushed. One seed
// decides everything. After each event the promises of Raft are checked (Raft figure 3).

import Consensus
import ConsensusKit
import Model

struct Violation: Error, CustomStringConvertible {
    let description: String
}

struct Member: Sendable {
    var raft: Raft?
    var disk: RaftDisk
    /// The state machine: a chain of digests, so that order and content both count.
    var digest: UInt64 = 0
    var applied: LogIndex = .zero
    var answered: [ConfirmedRead] = []
    var failed: [UInt64] = []
    var faults: [Fault] = []
}

struct Group {
    struct Weather {
        /// In percent.
        var loss: UInt64 = 0
        var doubles: UInt64 = 0
        var reorders = false
    }

    /// The founding members, then those that stand by without being members.
    private(set) var names: [MemberID]
    let settings: RaftSettings
    let founding: MemberConfiguration
    var members: [MemberID: Member] = [:]
    var now = LogicalInstant.origin
    var wire: [(from: MemberID, to: MemberID, message: Message)] = []
    var cut: Set<String> = []
    var weather = Weather()
    var random: SeededGenerator
    /// Flushes happen at once unless a test makes the disks slow.
    var slowDisks = false
    var compactEvery: UInt64?
    var toleratesFaults = false

    // What the checks remember.
    var leaders: [Term: MemberID] = [:]
    var chosen: [LogIndex: Entry] = [:]
    var digests: [LogIndex: UInt64] = [:]
    var highestCommit: LogIndex = .zero

    init(_ count: Int, joining: Int = 0, seed: UInt64 = 1, settings: RaftSettings = Group.settings) throws {
        names = try (1...count + joining).map { try MemberID(text: "c\($0)") }
        self.settings = settings
        random = SeededGenerator(seed: seed)
        founding = try MemberConfiguration(voters: Array(names.prefix(count)))
        for name in names {
            members[name] = Member(disk: RaftDisk(founding))
            start(name)
        }
    }

    /// A group of `count` that has elected a leader, and those who stand by.
    static func elected(
        _ count: Int = 3, joining: Int = 0, settings: RaftSettings = Group.settings
    ) throws -> (group: Group, leader: MemberID) {
        var group = try Group(count, joining: joining, seed: 11, settings: settings)
        try group.run(.milliseconds(600))
        guard let leader = group.leader else { throw Violation(description: "nobody leads") }
        return (group, leader)
    }

    /// Puts another store in the place of a member's: the process with the old one is gone for good.
    mutating func replaceStore(of name: MemberID, by store: UInt64) -> MemberID {
        crash(name)
        let fresh = MemberID(name.node, store: StoreID(store))
        names.append(fresh)
        members[fresh] = Member(disk: RaftDisk(founding))
        start(fresh)
        return fresh
    }

    static let settings = RaftSettings(
        electionTimeout: .milliseconds(100), heartbeatInterval: .milliseconds(20), inFlightMessages: 4, appendBytes: 400,
        uncommittedBytes: 100_000, snapshotChunkBytes: 5, trailingEntries: 3)

    mutating func start(_ name: MemberID) {
        guard var member = members[name] else { return }
        member.raft = Raft(
            id: name, settings: settings, hardState: member.disk.hardState, snapshot: member.disk.snapshot,
            entries: member.disk.entries, seed: random.next(), at: now)
        (member.digest, member.applied) = (0, .zero)
        members[name] = member
    }

    /// Kills the process; what was under way to the disk survives as far as luck goes, in order.
    mutating func crash(_ name: MemberID) {
        let survive = members[name].map { Int.random(in: 0...$0.disk.underWay.count, using: &random) } ?? 0
        for _ in 0..<survive { _ = members[name]?.disk.finishOldest() }
        members[name]?.disk.loseWrites()
        members[name]?.raft = nil
    }

    func raft(_ name: MemberID) -> Raft? { members[name]?.raft }
    var leader: MemberID? {
        names.filter { raft($0)?.isLeader == true }.max { (raft($0)?.term ?? .zero) < (raft($1)?.term ?? .zero) }
    }

    mutating func block(_ from: MemberID, _ to: MemberID) { cut.insert("\(from)>\(to)") }
    mutating func isolate(_ name: MemberID) {
        for other in names where other != name { block(name, other); block(other, name) }
    }
    mutating func heal() { cut = []; weather = Weather() }

    // MARK: - Running

    mutating func input(_ input: Raft.Input, to name: MemberID) throws {
        members[name]?.raft?.step(input, at: now)
        try settle(name)
    }

    @discardableResult
    mutating func propose(_ text: String, at name: MemberID) throws -> EntryID? {
        let id = try? members[name]?.raft?.propose(Array(text.utf8))
        try settle(name)
        return id
    }

    @discardableResult
    mutating func change(_ changes: [MemberChange], at name: MemberID) throws -> EntryID? {
        let id = try members[name]?.raft?.change(changes, at: now)
        try settle(name)
        return id
    }

    mutating func transfer(to successor: MemberID, at name: MemberID) throws {
        try members[name]?.raft?.transferLeadership(to: successor, at: now)
        try settle(name)
    }

    /// Carries out everything that a member has ready.
    mutating func settle(_ name: MemberID) throws {
        while let ready = members[name]?.raft?.takeReady(at: now) {
            for envelope in ready.messages { post(envelope, from: name) }
            if let write = ready.persist { members[name]?.disk.begin(write) }
            members[name]?.faults += ready.faults
            if let snapshot = ready.install { try install(snapshot, at: name) }
            for entry in ready.committed { try apply(entry, at: name) }
            members[name]?.answered += ready.reads
            members[name]?.failed += ready.failedReads
            if !slowDisks { try flush(name) }
            try compact(name)
        }
        try check(name)
    }

    mutating func flush(_ name: MemberID) throws {
        while members[name]?.disk.underWay.isEmpty == false { try flushOne(name) }
    }

    mutating func flushOne(_ name: MemberID) throws {
        guard let write = members[name]?.disk.finishOldest() else { return }
        for envelope in write.answers { post(envelope, from: name) }
        members[name]?.raft?.step(.persisted(write.sequence), at: now)
    }

    mutating func post(_ envelope: Envelope, from name: MemberID) {
        guard !cut.contains("\(name)>\(envelope.to)"), random.next() % 100 >= weather.loss else { return }
        wire.append((name, envelope.to, envelope.message))
        if random.next() % 100 < weather.doubles { wire.append((name, envelope.to, envelope.message)) }
    }

    mutating func deliverOne() throws {
        guard !wire.isEmpty else { return }
        let at = weather.reorders ? Int(random.next() % UInt64(wire.count)) : 0
        let (from, to, message) = wire.remove(at: at)
        guard !cut.contains("\(from)>\(to)") else { return }
        try input(.received(message, from: from), to: to)
    }

    mutating func deliverAll() throws {
        var budget = 20_000
        while !wire.isEmpty {
            budget -= 1
            if budget == 0 { throw Violation(description: "a storm: \(wire.suffix(2))") }
            try deliverOne()
        }
    }

    /// Lets time pass in small steps, delivering everything in each.
    mutating func run(_ span: Span, step: Span = .milliseconds(5)) throws {
        let end = now + span
        while now < end {
            now = now + step
            for name in names where (raft(name)?.nextDeadline ?? end) <= now { try input(.tick, to: name) }
            if slowDisks { for name in names { try flush(name); try settle(name) } }
            try deliverAll()
        }
    }

    // MARK: - The state machine and the checks

    private mutating func apply(_ entry: Entry, at name: MemberID) throws {
        guard var member = members[name] else { return }
        guard entry.id.index == member.applied.next else {
            throw Violation(description: "\(name) applied \(entry.id) after \(member.applied)")
        }
        member.applied = entry.id.index
        var hasher = SeededGenerator(seed: member.digest ^ entry.id.index.number)
        var digest = hasher.next() ^ entry.id.term.number
        if case .command(let bytes) = entry.content { for byte in bytes { digest = digest &* 31 &+ UInt64(byte) } }
        member.digest = digest
        members[name] = member
        // State machine safety: nobody ever applies another entry at this index.
        if let other = chosen[entry.id.index], other != entry {
            throw Violation(description: "\(name) applied \(entry.id), another applied \(other.id)")
        }
        chosen[entry.id.index] = entry
        if let other = digests[entry.id.index], other != digest { throw Violation(description: "states differ at \(entry.id)") }
        digests[entry.id.index] = digest
    }

    private mutating func install(_ snapshot: Snapshot, at name: MemberID) throws {
        let digest = snapshot.data.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard digests[snapshot.id.index] == digest else {
            throw Violation(description: "snapshot \(snapshot.id) is of no state")
        }
        members[name]?.digest = digest
        members[name]?.applied = snapshot.id.index
    }

    private mutating func compact(_ name: MemberID) throws {
        guard let compactEvery, let member = members[name], let raft = member.raft,
            member.applied == raft.log.applied, member.applied.number >= raft.snapshot.id.index.number + compactEvery
        else { return }
        let data = (0..<8).map { UInt8(truncatingIfNeeded: member.digest >> (56 - 8 * UInt64($0))) }
        members[name]?.raft?.takeSnapshot(data, at: member.applied)
    }

    private mutating func check(_ name: MemberID) throws {
        guard let raft = raft(name) else { return }
        if raft.isLeader {
            // Election safety: one leader in a term, for ever.
            if let other = leaders[raft.term], other != name {
                throw Violation(description: "\(name) and \(other) both lead \(raft.term)")
            }
            // Leader completeness: whoever is elected holds every entry that was committed before.
            if leaders[raft.term] == nil {
                for (index, entry) in chosen where index > raft.log.base.index {
                    guard raft.log.term(at: index) == entry.id.term else {
                        throw Violation(description: "leader \(name) of \(raft.term) lacks \(entry.id)")
                    }
                }
            }
            leaders[raft.term] = name
        }
        if !toleratesFaults, let fault = members[name]?.faults.first { throw Violation(description: "\(name): \(fault)") }
    }

    /// Log matching: where two logs hold the same entry, they are equal up to it.
    func checkLogs() throws {
        for a in names {
            for b in names where a < b {
                guard let x = raft(a)?.log, let y = raft(b)?.log else { continue }
                var agreed = false
                var index = min(x.last.index, y.last.index)
                while index > max(x.base.index, y.base.index) {
                    let same = x.term(at: index) == y.term(at: index)
                    if agreed && !same { throw Violation(description: "\(a) and \(b) differ before \(index)") }
                    if same { agreed = true }
                    index = index.previous
                }
            }
        }
    }
}
