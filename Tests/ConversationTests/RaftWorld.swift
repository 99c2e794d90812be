import Consensus
import ConsensusKit
import Model

/// A group of members with their disks, and the messages on their way. Time passes only by command; messages arrive in the order in
/// which they were sent, unless a command says otherwise.
struct RaftWorld {
    struct Member {
        /// Nil while the process is down.
        var raft: Raft?
        var disk: RaftDisk
        /// Whether writes wait for `persist`.
        var isSlow = false
        /// The commands that the state machine has been given.
        var state: [String] = []
    }

    struct Packet {
        let from: MemberID
        let to: MemberID
        let message: Message

        var text: String { "\(from) -> \(to)  \(message.text)" }
    }

    var settings = RaftSettings(
        electionTimeout: .milliseconds(100), heartbeatInterval: .milliseconds(20), inFlightMessages: 4, appendBytes: 400,
        uncommittedBytes: 100_000, snapshotChunkBytes: 1_000, trailingEntries: 0)
    var now = LogicalInstant.origin
    var members: [MemberID: Member] = [:]
    var wire: [Packet] = []
    /// Messages that are late: they arrive when they are released.
    var late: [Packet] = []
    /// Links that lose what is sent over them, as `a->b`.
    var cuts: Set<String> = []
    private var promises = RaftPromises()
    private var starts: UInt64 = 0

    var names: [MemberID] { members.keys.sorted() }

    // MARK: - Members

    mutating func start(_ name: MemberID, into output: inout [String]) throws {
        guard let disk = members[name]?.disk else { return }
        starts += 1
        let raft = Raft(
            id: name, settings: settings, hardState: disk.hardState, snapshot: disk.snapshot, entries: disk.entries,
            seed: starts,
            at: now)
        members[name]?.raft = raft
        members[name]?.state = []
        output.append("\(name)  starts at \(raft.term), log ends at \(raft.log.last), \(raft.configuration.text)")
        try settle(name, since: RaftView(raft), into: &output)
    }

    /// Steps a member, carries out all that it asks for, and writes down what has changed.
    mutating func change(
        _ name: MemberID, into output: inout [String], _ body: (inout Raft, LogicalInstant) throws -> Void
    ) throws {
        guard var raft = members[name]?.raft else { return }
        let before = RaftView(raft)
        try body(&raft, now)
        members[name]?.raft = raft
        try settle(name, since: before, into: &output)
    }

    private mutating func settle(_ name: MemberID, since old: RaftView, into output: inout [String]) throws {
        var before = old
        while let raft = members[name]?.raft {
            output += RaftView(raft).changes(since: before).map { "\(name)  \($0)" }
            before = RaftView(raft)
            guard let ready = members[name]?.raft?.takeReady(at: now) else { break }
            for envelope in ready.messages { send(envelope, from: name) }
            for fault in ready.faults { output.append("\(name)  fault: \(fault.text)") }
            if let snapshot = ready.install { install(snapshot, at: name, into: &output) }
            for entry in ready.committed { try apply(entry, at: name, into: &output) }
            for read in ready.reads { output.append("\(name)  read \(read.id) may be answered at \(read.index)") }
            for read in ready.failedReads { output.append("\(name)  read \(read) fails") }
            if let write = ready.persist { begin(write, at: name, into: &output) }
        }
        if let raft = members[name]?.raft { try promises.check(raft, among: names.compactMap { members[$0]?.raft }) }
    }

    private mutating func install(_ snapshot: Snapshot, at name: MemberID, into output: inout [String]) {
        let state = String(decoding: snapshot.data, as: UTF8.self)
        members[name]?.state = state.split(separator: " ").map(String.init)
        output.append("\(name)  installs snapshot \(snapshot.id) \"\(state)\" \(snapshot.configuration.text)")
    }

    private mutating func apply(_ entry: Entry, at name: MemberID, into output: inout [String]) throws {
        output.append("\(name)  applies \(entry.text)")
        if case .command(let bytes) = entry.content { members[name]?.state.append(String(decoding: bytes, as: UTF8.self)) }
        if let raft = members[name]?.raft, raft.isLeader {
            try promises.check(entry, committedBy: raft, disks: members.mapValues(\.disk))
        }
        try promises.check(entry, appliedBy: name)
    }

    // MARK: - Disks

    private mutating func begin(_ write: Persist, at name: MemberID, into output: inout [String]) {
        members[name]?.disk.begin(write)
        guard members[name]?.isSlow == true else { return finishOldestWrite(of: name) }
        output.append("\(name)  begins write \(write.sequence): \(write.text)")
        for answer in write.answers {
            output.append("\(name)  holds for write \(write.sequence): \(answer.message.text) to \(answer.to)")
        }
    }

    /// Makes a member's oldest write durable, with nothing written down.
    private mutating func finishOldestWrite(of name: MemberID) {
        guard let write = members[name]?.disk.finishOldest() else { return }
        for answer in write.answers { send(answer, from: name) }
        members[name]?.raft?.step(.persisted(write.sequence), at: now)
    }

    /// Makes a slow member's oldest write durable.
    mutating func persistOldest(of name: MemberID, into output: inout [String]) throws {
        guard let write = members[name]?.disk.underWay.first, let raft = members[name]?.raft else { return }
        output.append("\(name)  write \(write.sequence) is durable")
        let before = RaftView(raft)
        finishOldestWrite(of: name)
        try settle(name, since: before, into: &output)
    }

    // MARK: - Network

    private mutating func send(_ envelope: Envelope, from name: MemberID) {
        wire.append(Packet(from: name, to: envelope.to, message: envelope.message))
    }

    /// Brings a message that has left the wire to its receiver, or loses it.
    mutating func arrive(_ packet: Packet, isLost: Bool, into output: inout [String]) throws {
        let isCut = cuts.contains("\(packet.from)->\(packet.to)")
        let isDown = members[packet.to]?.raft == nil
        guard !isLost, !isCut, !isDown else { return output.append(packet.text + (isDown ? "  (nobody there)" : "  (lost)")) }
        output.append(packet.text)
        try change(packet.to, into: &output) { $0.step(.received(packet.message, from: packet.from), at: $1) }
    }
}
