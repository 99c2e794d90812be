// The commands of conversations about Raft; Tests/README.md lists them.

import Consensus
import ConsensusKit
import Model
import TraceKit

struct RaftLanguage: TraceLanguage {
    private var world = RaftWorld()
    private var founding: MemberConfiguration?

    /// More than this follows from no command, unless it goes on for ever.
    private static let longestOutput = 10_000

    init() {}

    var unfinished: String? { (world.wire + world.late).first.map { "on its way: \($0.text)" } }

    mutating func run(_ command: inout TraceCommand, into output: inout [String]) throws {
        switch command.name {
        case "settings": try settings(&command)
        case "add-members": try addMembers(&command, into: &output)
        case "crash": try crash(&command, into: &output)
        case "restart": try restart(&command, into: &output)
        case "wipe": try wipe(&command, into: &output)
        case "campaign": try campaign(&command, into: &output)
        case "tick": try tick(&command, into: &output)
        case "advance": try advance(&command)
        case "run": try run(forThatLong: &command, into: &output)
        case "new-store": try newStore(&command, into: &output)
        case "change-members": try changeMembers(&command, into: &output)
        case "transfer": try transfer(&command, into: &output)
        case "connection-lost": try connectionLost(&command, into: &output)
        case "propose": try propose(&command, into: &output)
        case "read": try read(&command, into: &output)
        case "compact": try compact(&command, into: &output)
        case "send-snapshot": try sendSnapshot(&command)
        case "slow-disk": try slowDisk(&command)
        case "persist": try persist(&command, into: &output)
        case "deliver": try deliver(&command, into: &output)
        case "stabilize": try stabilize(&command, into: &output)
        case "lose": try lose(&command, into: &output)
        case "hold": try hold(&command)
        case "release": try release(&command)
        case "duplicate": try duplicate(&command)
        case "cut", "heal": try cut(&command)
        case "wire": output += world.wire.map(\.text)
        case "log": try log(&command, into: &output)
        case "status": try status(&command, into: &output)
        default: throw command.problem("no command \(command.name)")
        }
        if output.count > Self.longestOutput { throw command.problem("no end to it: \(output.suffix(3))") }
    }

    // MARK: - The group

    private mutating func settings(_ command: inout TraceCommand) throws {
        guard world.members.isEmpty else { throw command.problem("settings stand before the members") }
        if let span = try command.number("heartbeat-ms") {
            guard (1...50).contains(span) else { throw command.problem("heartbeats outpace elections: 1 to 50 ms") }
            world.settings.heartbeatInterval = .milliseconds(Int64(span))
        }
        if let count = try command.number("window") { world.settings.inFlightMessages = Int(count) }
        if let bytes = try command.number("append-bytes") { world.settings.appendBytes = Int(bytes) }
        if let bytes = try command.number("chunk-bytes") { world.settings.snapshotChunkBytes = Int(bytes) }
        if let bytes = try command.number("uncommitted-bytes") { world.settings.uncommittedBytes = Int(bytes) }
        if let count = try command.number("trailing") { world.settings.trailingEntries = count }
    }

    /// The founding members; `learners=` are members that count for nothing, `standing-by=` processes that are no members. With `leader=`, that one is elected, and only how it
    /// stands then is written down.
    private mutating func addMembers(_ command: inout TraceCommand, into output: inout [String]) throws {
        guard world.members.isEmpty else { throw command.problem("the group has been founded") }
        let voters = try command.rest("a member").map(MemberID.init(text:))
        let learners = try (command.list("learners") ?? []).map(MemberID.init(text:))
        let founding = try MemberConfiguration(voters: voters, learners: learners)
        self.founding = founding
        let standingBy = try (command.list("standing-by") ?? []).map(MemberID.init(text:))
        guard Set(standingBy).isDisjoint(with: founding.members) else { throw command.problem("who stands by is no member") }
        for name in standingBy { world.members[name] = RaftWorld.Member(disk: RaftDisk(founding)) }
        for name in founding.members { world.members[name] = RaftWorld.Member(disk: RaftDisk(founding)) }
        let leader = try command.value("leader").map { try known($0, command) }
        guard let leader else {
            for name in world.names { try world.start(name, into: &output) }
            return
        }
        var unseen: [String] = []
        for name in world.names { try world.start(name, into: &unseen) }
        for _ in 1...2 {
            // The second time it is the leader's heartbeat, by which everybody learns what is committed.
            try tick(leader, into: &unseen)
            try stabilize(drop: { _ in false }, into: &unseen)
        }
        for name in founding.members { describe(name, into: &output) }
    }

    /// The process dies; of the writes under way, the oldest `kept=` had reached the disk.
    private mutating func crash(_ command: inout TraceCommand, into output: inout [String]) throws {
        let kept = try command.number("kept") ?? 0
        for name in try members(&command) {
            for _ in 0..<kept where world.members[name]?.disk.finishOldest() == nil {
                throw command.problem("\(name) has not that many writes under way")
            }
            world.members[name]?.disk.loseWrites()
            world.members[name]?.raft = nil
            output.append("\(name)  crashes")
        }
    }

    private mutating func restart(_ command: inout TraceCommand, into output: inout [String]) throws {
        for name in try command.rest("a member").map({ try known($0, command) }) {
            guard world.members[name]?.raft == nil else { throw command.problem("\(name) is running") }
            try world.start(name, into: &output)
        }
    }

    /// The process dies and its disk forgets everything, also what it had said to be durable.
    private mutating func wipe(_ command: inout TraceCommand, into output: inout [String]) throws {
        for name in try members(&command) {
            guard let founding else { return }
            world.members[name]?.disk = RaftDisk(founding)
            world.members[name]?.raft = nil
            output.append("\(name)  crashes, and its disk is empty")
        }
    }

    /// The process dies; its node comes back with another store, and so as another member: `new-store a 2` brings `a/2`.
    private mutating func newStore(_ command: inout TraceCommand, into output: inout [String]) throws {
        let (old, store) = (try known(try command.word("a member"), command), try command.word("the store"))
        let fresh = try MemberID(text: "\(old.node)/\(store)")
        guard let founding, world.members[fresh] == nil else { throw command.problem("\(fresh) is there already") }
        world.members[old]?.raft = nil
        world.members[fresh] = RaftWorld.Member(disk: RaftDisk(founding))
        output.append("\(old)  crashes, and its store is gone")
        try world.start(fresh, into: &output)
    }

    // MARK: - Time

    /// Time passes until the members, one after the other, have missed a leader for an election time-out, and they notice.
    private mutating func campaign(_ command: inout TraceCommand, into output: inout [String]) throws {
        for name in try members(&command) {
            guard world.members[name]?.raft?.isLeader == false else { throw command.problem("\(name) leads") }
            try tick(name, into: &output)
        }
    }

    /// Time passes until the members' next timer runs out, one after the other; the others' timers are not looked at.
    private mutating func tick(_ command: inout TraceCommand, into output: inout [String]) throws {
        for name in try members(&command) { try tick(name, into: &output) }
    }

    private mutating func tick(_ name: MemberID, into output: inout [String]) throws {
        guard let due = world.members[name]?.raft?.nextDeadline else { return }
        guard due < .never else { throw NoTimer(description: "\(name) is silent: it waits for no time") }
        world.now = max(world.now, due)
        try world.change(name, into: &output) { $0.step(.tick, at: $1) }
    }

    /// Time passes, and nobody looks at a timer.
    private mutating func advance(_ command: inout TraceCommand) throws { world.now = world.now + (try span(&command)) }

    /// Time passes as it does: whoever's timer runs out ticks, and messages arrive at once.
    private mutating func run(forThatLong command: inout TraceCommand, into output: inout [String]) throws {
        let end = world.now + (try span(&command))
        let dropped = try drops(&command)
        try stabilize(drop: dropped, into: &output)
        while output.count <= Self.longestOutput {
            let due = world.names.compactMap { name in world.members[name]?.raft.map { (at: $0.nextDeadline, name: name) } }
                .min { $0.at < $1.at }
            guard let due, due.at < .never, due.at <= end else { break }
            try tick(due.name, into: &output)
            try stabilize(drop: dropped, into: &output)
        }
        world.now = max(world.now, end)
    }

    private func span(_ command: inout TraceCommand) throws -> Span {
        let text = try command.word("a span, as 20ms")
        guard text.hasSuffix("ms"), let count = Int64(text.dropLast(2)), (1...1_000_000).contains(count) else {
            throw command.problem("\(text) is no span in ms")
        }
        return .milliseconds(count)
    }

    // MARK: - Callers

    /// The first member's connection to the second is closed by the other side's machine.
    private mutating func connectionLost(_ command: inout TraceCommand, into output: inout [String]) throws {
        let (name, peer) = (try running(&command), try known(try command.word("the other member"), command))
        try world.change(name, into: &output) { $0.step(.connectionLost(peer), at: $1) }
    }

    /// All words are proposed before the member is asked what to do: they share an append and a write.
    private mutating func propose(_ command: inout TraceCommand, into output: inout [String]) throws {
        let name = try running(&command)
        let words = try command.rest("what is proposed")
        var refusals: [String] = []
        try world.change(name, into: &output) { raft, _ in
            for word in words {
                do throws(Raft.Refusal) { _ = try raft.propose(Array(word.utf8)) } catch {
                    refusals.append("\(name)  refuses \"\(word)\": \(error.text)")
                }
            }
        }
        output += refusals
    }

    /// One change: `add-learner=`, `promote=`, `demote=` and `remove=`, in the order in which they stand.
    private mutating func changeMembers(_ command: inout TraceCommand, into output: inout [String]) throws {
        let name = try running(&command)
        var changes: [MemberChange] = []
        for option in command.options {
            for value in command.list(option.key) ?? [] {
                let member = try known(value, command)
                switch option.key {
                case "add-learner": changes.append(.addLearner(member))
                case "promote": changes.append(.promote(member))
                case "demote": changes.append(.demote(member))
                case "remove": changes.append(.remove(member))
                default: throw command.problem("no change is called \(option.key)")
                }
            }
        }
        guard !changes.isEmpty else { throw command.problem("a change of what?") }
        try ask(name, into: &output) { raft, now throws(Raft.Refusal) in _ = try raft.change(changes, at: now) }
    }

    /// The first member hands leadership to the second.
    private mutating func transfer(_ command: inout TraceCommand, into output: inout [String]) throws {
        let (name, successor) = (try running(&command), try known(try command.word("the successor"), command))
        try ask(name, into: &output) { raft, now throws(Raft.Refusal) in try raft.transferLeadership(to: successor, at: now) }
    }

    private mutating func ask(
        _ name: MemberID, into output: inout [String], _ body: (inout Raft, LogicalInstant) throws(Raft.Refusal) -> Void
    ) throws {
        var refusal: Raft.Refusal?
        try world.change(name, into: &output) { raft, now in
            do throws(Raft.Refusal) { try body(&raft, now) } catch { refusal = error }
        }
        if let refusal { output.append("\(name)  refuses: \(refusal.text)") }
    }

    private mutating func read(_ command: inout TraceCommand, into output: inout [String]) throws {
        let name = try running(&command)
        let ids = try command.rest("a number").map { text in
            guard let id = UInt64(text) else { throw command.problem("\(text): not a number") }
            return id
        }
        try world.change(name, into: &output) { raft, _ in for id in ids { raft.read(id) } }
    }

    /// The member takes a snapshot of its state machine, and cuts its log behind it.
    private mutating func compact(_ command: inout TraceCommand, into output: inout [String]) throws {
        for name in try members(&command) {
            let state = world.members[name]?.state ?? []
            try world.change(name, into: &output) { raft, _ in
                raft.takeSnapshot(Array(state.joined(separator: " ").utf8), at: raft.log.applied)
            }
        }
    }

    /// Puts the first member's snapshot on its way to the second, whole, whether or not it is wanted.
    private mutating func sendSnapshot(_ command: inout TraceCommand) throws {
        let (name, peer) = (try running(&command), try known(try command.word("the receiver"), command))
        guard let raft = world.members[name]?.raft, raft.snapshot.id != .zero else {
            throw command.problem("\(name) has no snapshot")
        }
        let chunk = SnapshotChunk(
            term: raft.term, snapshot: raft.snapshot.id, configuration: raft.snapshot.configuration,
            configurationIndex: raft.snapshot.configurationIndex, totalBytes: raft.snapshot.data.count,
            checksum: CRC32C.of(raft.snapshot.data), offset: 0, bytes: raft.snapshot.data)
        world.wire.append(RaftWorld.Packet(from: name, to: peer, message: .snapshotChunk(chunk)))
    }

    // MARK: - Disks

    private mutating func slowDisk(_ command: inout TraceCommand) throws {
        for name in try members(&command) { world.members[name]?.isSlow = true }
    }

    /// The oldest write of each member named is durable; `writes=all`: every one, and what follows is written at once from now on.
    private mutating func persist(_ command: inout TraceCommand, into output: inout [String]) throws {
        let writes = try command.value("writes") ?? "1"
        for name in try members(&command) {
            if writes == "all" {
                while world.members[name]?.disk.underWay.isEmpty == false { try world.persistOldest(of: name, into: &output) }
                world.members[name]?.isSlow = false
                continue
            }
            guard let count = Int(writes), count > 0 else { throw command.problem("writes=\(writes): a number, or all") }
            for _ in 0..<count {
                guard world.members[name]?.disk.underWay.isEmpty == false else {
                    throw command.problem("\(name) has not that many writes under way")
                }
                try world.persistOldest(of: name, into: &output)
            }
        }
    }

    // MARK: - Network

    /// The messages that are on their way now arrive, those chosen by `from=`, `to=` and `kind=`, and no more than `count=`; of these,
    /// those that `drop=` names are lost. What is sent in answer stays on its way.
    private mutating func deliver(_ command: inout TraceCommand, into output: inout [String]) throws {
        let dropped = try drops(&command)
        for packet in try takeFromWire(&command) { try world.arrive(packet, isLost: dropped(packet), into: &output) }
    }

    /// Messages arrive until none is on its way. Slow disks stay as slow as they are.
    private mutating func stabilize(_ command: inout TraceCommand, into output: inout [String]) throws {
        try stabilize(drop: try drops(&command), into: &output)
    }

    private mutating func stabilize(drop: (RaftWorld.Packet) -> Bool, into output: inout [String]) throws {
        while !world.wire.isEmpty, output.count <= Self.longestOutput {
            let packet = world.wire.removeFirst()
            try world.arrive(packet, isLost: drop(packet), into: &output)
        }
    }

    /// The messages chosen are lost.
    private mutating func lose(_ command: inout TraceCommand, into output: inout [String]) throws {
        for packet in try takeFromWire(&command) { try world.arrive(packet, isLost: true, into: &output) }
    }

    /// The messages chosen are late: nothing delivers them until `release`.
    private mutating func hold(_ command: inout TraceCommand) throws { world.late += try takeFromWire(&command) }

    /// What was late is on its way again, behind the others.
    private mutating func release(_ command: inout TraceCommand) throws {
        guard !world.late.isEmpty else { throw command.problem("nothing is late") }
        world.wire += world.late
        world.late = []
    }

    /// Each message chosen is on its way a second time, behind the others.
    private mutating func duplicate(_ command: inout TraceCommand) throws {
        let before = world.wire
        let chosen = try takeFromWire(&command)
        world.wire = before + chosen
    }

    /// Takes what `from=`, `to=`, `kind=` and `count=` choose off the wire, one message at least.
    private mutating func takeFromWire(_ command: inout TraceCommand) throws -> [RaftWorld.Packet] {
        let from = try command.list("from")?.map { try known($0, command) }
        let to = try command.list("to")?.map { try known($0, command) }
        let kinds = try command.list("kind")?.map { try kind($0, command) }
        let most = try command.number("count") ?? .max
        var taken: [RaftWorld.Packet] = []
        var left: [RaftWorld.Packet] = []
        for packet in world.wire {
            let isChosen =
                from?.contains(packet.from) != false && to?.contains(packet.to) != false
                && kinds?.contains(packet.message.kind) != false
            if isChosen, taken.count < most { taken.append(packet) } else { left.append(packet) }
        }
        guard !taken.isEmpty else { throw command.problem("nothing of the kind is on its way") }
        world.wire = left
        return taken
    }

    /// `cut a->b`: what is sent from a to b is lost from now on; `cut a`: to and from a. `heal` mends all.
    private mutating func cut(_ command: inout TraceCommand) throws {
        guard command.name == "cut" else { return world.cuts = [] }
        for word in try command.rest("a link, or a member") {
            let ends = word.split(separator: "-", maxSplits: 1).map(String.init)
            if ends.count == 2, ends[1].hasPrefix(">") {
                let (from, to) = (try known(ends[0], command), try known(String(ends[1].dropFirst()), command))
                world.cuts.insert("\(from)->\(to)")
            } else {
                let name = try known(word, command)
                for other in world.names where other != name {
                    world.cuts.formUnion(["\(name)->\(other)", "\(other)->\(name)"])
                }
            }
        }
    }

    /// `drop=` names messages by kind, or by their ends: `a->` from a, `->a` to a, `a->b` both.
    private func drops(_ command: inout TraceCommand) throws -> (RaftWorld.Packet) -> Bool {
        var tests: [(RaftWorld.Packet) -> Bool] = []
        for value in command.list("drop") ?? [] {
            guard let arrow = value.ranges(of: "->").first else {
                let kind = try kind(value, command)
                tests.append { $0.message.kind == kind }
                continue
            }
            let (from, to) = (String(value[..<arrow.lowerBound]), String(value[arrow.upperBound...]))
            let sender = from.isEmpty ? nil : try known(from, command)
            let receiver = to.isEmpty ? nil : try known(to, command)
            guard sender != nil || receiver != nil else { throw command.problem("drop=\(value): from whom, or to whom?") }
            tests.append { (sender == nil || $0.from == sender) && (receiver == nil || $0.to == receiver) }
        }
        return { packet in tests.contains { $0(packet) } }
    }

    private func kind(_ text: String, _ command: TraceCommand) throws -> String {
        guard Message.kinds.contains(text) else { throw command.problem("no message is called \(text)") }
        return text
    }

    // MARK: - Looking

    private func log(_ command: inout TraceCommand, into output: inout [String]) throws {
        for name in try members(&command) {
            guard let log = world.members[name]?.raft?.log else { continue }
            output.append("\(name)  behind \(log.base), commit \(log.commit), on disk to \(log.stable)")
            output += log.entries.map { "\(name)  \($0.text)" }
        }
    }

    private func status(_ command: inout TraceCommand, into output: inout [String]) throws {
        for name in try members(&command) { describe(name, into: &output) }
    }

    private func describe(_ name: MemberID, into output: inout [String]) {
        guard let raft = world.members[name]?.raft else { return }
        let vote = raft.hardState.vote.map { "voted for \($0)" } ?? "no vote"
        output.append(
            "\(name)  \(raft.roleName) \(raft.term), \(vote), last \(raft.log.last), commit \(raft.log.commit), "
                + raft.configuration.text)
        for peer in raft.configuration.members {
            guard let progress = raft.progress(of: peer) else { continue }
            output.append(
                "\(name)    of \(peer): match \(progress.match), next \(progress.next), \(progress.mode.text(raft.settings))")
        }
    }

    // MARK: - Names

    private func known(_ text: String, _ command: TraceCommand) throws -> MemberID {
        guard let name = world.names.first(where: { $0.description == text }) else {
            throw command.problem("no member \(text)")
        }
        return name
    }

    private func running(_ command: inout TraceCommand) throws -> MemberID {
        let name = try known(try command.word("a member"), command)
        guard world.members[name]?.raft != nil else { throw command.problem("\(name) is down") }
        return name
    }

    /// The members named, one at least, all of them running.
    private func members(_ command: inout TraceCommand) throws -> [MemberID] {
        try command.rest("a member").map { text in
            let name = try known(text, command)
            guard world.members[name]?.raft != nil else { throw command.problem("\(name) is down") }
            return name
        }
    }
}

private struct NoTimer: Error, CustomStringConvertible {
    let description: String
}

extension LogicalInstant {
    /// What a member gives as the end of its timer when it waits for none.
    fileprivate static let never = LogicalInstant(microseconds: .max)
}
