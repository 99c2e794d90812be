// What must hold after every step, whatever happens (Raft figure 3, and what durability adds). Each check looks only at what a step has
// changed, so that long runs stay quick.

import Consensus
import Model
import SimulationKit

/// A log as the checks remember it: terms behind a base.
struct ShadowLog {
    private(set) var base: EntryID
    private(set) var terms: [Term] = []

    init(base: EntryID = .zero) { self.base = base }

    var last: EntryID {
        EntryID(term: terms.last ?? base.term, index: LogIndex(base.index.number + UInt64(terms.count)))
    }

    func term(at index: LogIndex) -> Term? {
        if index == base.index { return base.term }
        guard index > base.index, index <= last.index else { return nil }
        return terms[Int(index.number - base.index.number) - 1]
    }

    mutating func append(_ id: EntryID) {
        if id.index <= last.index { terms.removeLast(Int(last.index.number - id.index.number) + 1) }
        terms.append(id.term)
    }

    mutating func cut(after index: LogIndex) {
        guard index < last.index, index >= base.index else { return }
        terms.removeLast(Int(last.index.number - index.number))
    }

    /// Forgets what stands before `id`, and all of it when `id` is not there.
    mutating func begin(at id: EntryID) {
        if term(at: id.index) == id.term {
            terms.removeFirst(Int(id.index.number - base.index.number))
        } else {
            terms = []
        }
        base = id
    }

    /// Takes what has become durable.
    mutating func take(_ write: Persist) {
        if let snapshot = write.snapshot, snapshot.id.index > base.index {
            if write.replacesLog { terms = [] }
            begin(at: snapshot.id)
        }
        for entry in write.entries where entry.id.index > base.index && entry.id.index <= last.index.next { append(entry.id) }
    }
}

struct GroupChecks {
    private struct VoteKey: Hashable {
        let member: MemberID
        let term: Term
    }
    private struct Watched {
        var member: MemberID
        var log = ShadowLog()
        var durable = ShadowLog()
        var term = Term.zero
        var commit = LogIndex.zero
        var applied = LogIndex.zero
        /// Where the state machine stood when it was last compared.
        var state = LogIndex.zero
        var wasLeader = false
        var hasOpened = false
        /// In force after the last step.
        var configuration: MemberConfiguration?
        /// Written, and not yet beyond what a crash could take.
        var unsure: [Persist] = []
        /// Acknowledgements that became true in this step. Of several writes that went to the disk in one batch a later one may already
        /// have cut what an earlier one acknowledges: its leader hears it late, as if the network had been slow.
        var proven: [Envelope] = []
    }
    private struct Content: Hashable {
        let previous: Term
        let digest: UInt64
    }

    private var watched: [Watched]
    /// What stores that were destroyed held until then. What they acknowledged was true, and may still be counted by a leader that heard
    /// it: the budget for losses, not their word, is what makes up for them.
    private var destroyed: [MemberID: ShadowLog] = [:]
    private var leaders: [Term: MemberID] = [:]
    private var votes: [VoteKey: MemberID] = [:]
    /// The highest term that each member has told anybody.
    private var told: [MemberID: Term] = [:]
    private var contents: [EntryID: Content] = [:]
    /// The terms of all committed entries, from index 1.
    private(set) var committed: [Term] = []
    /// The terms of the leaders that committed them.
    private var committedIn: [Term] = []
    /// What every state machine holds behind each entry, in one word.
    private var states: [UInt64] = []
    /// All that were committed, oldest first, with their places.
    private var configurations: [(index: LogIndex, configuration: MemberConfiguration)]
    let ledger: GroupLedger

    init(_ founding: MemberConfiguration, ledger: GroupLedger) {
        watched = ledger.members.map { Watched(member: $0) }
        configurations = [(.zero, founding)]
        self.ledger = ledger
    }

    // MARK: - Lives

    /// A process has started from what its disk holds.
    mutating func started(_ host: Int, _ process: RaftProcess) throws(Violation) {
        let member = process.id
        if watched[host].member != member {
            let former = watched[host]
            if ledger.lost.contains(former.member) { destroyed[former.member] = former.durable }
            watched[host] = Watched(member: member)
        }
        let raft = process.raft
        if let before = told[member], raft.term < before {
            throw Violation("\(member) comes back in \(raft.term) and has spoken in \(before)")
        }
        let log = Self.shadow(of: raft.log)
        try checkKept(member, log, of: watched[host].durable)
        watched[host].log = log
        watched[host].term = raft.term
        watched[host].commit = raft.log.commit
        watched[host].applied = .zero
        watched[host].state = .zero
        watched[host].wasLeader = false
        watched[host].hasOpened = false
        watched[host].configuration = raft.log.configuration
        watched[host].unsure = []
        if raft.log.commit.number > UInt64(committed.count) {
            throw Violation("\(member) comes back with \(raft.log.commit) committed, which nobody had")
        }
        try checkNew(host, raft, from: raft.log.base.index.next)
        try checkConfiguration(raft)
    }

    /// What no crash could take is there again, unless what was written behind it cuts it, or a leader's snapshot has taken its place.
    private func checkKept(_ member: MemberID, _ log: ShadowLog, of durable: ShadowLog) throws(Violation) {
        let isReplaced = log.base.index > durable.base.index && durable.term(at: log.base.index) != log.base.term
        guard isReplaced || log.last.isAtLeastAsUpToDate(as: durable.last) || ledger.lost.contains(member) else {
            throw Violation("\(member) comes back with \(log.last), and its disk held \(durable.last)")
        }
    }

    private static func shadow(of log: RaftLog) -> ShadowLog {
        var shadow = ShadowLog(base: log.base)
        for entry in log.entries { shadow.append(entry.id) }
        return shadow
    }

    // MARK: - After each step

    mutating func check(
        _ host: Int, _ process: inout RaftProcess, _ effects: Effects<GroupMessage>, disk: SimulatedDisk, at now: LogicalInstant
    ) throws(Violation) {
        if let fault = process.faults.first, !ledger.lost.contains(process.id) {
            throw Violation("\(process.id) found a fault: \(fault)")
        }
        let raft = process.raft
        noteDurable(host, &process, disk)
        try checkMonotone(host, raft)
        try checkLog(host, raft)
        let led = watched[host].wasLeader
        try checkLeader(host, raft)
        try checkCommit(host, raft, isLeader: led || raft.isLeader)
        watched[host].configuration = raft.log.configuration
        try checkApplied(host, &process)
        for outgoing in effects.messages {
            if case .peer(let message, _, let receiver) = outgoing.message { try checkSent(host, message, to: receiver) }
        }
    }

    /// Only what no crash could take any more counts as being on a member's disk.
    private mutating func noteDurable(_ host: Int, _ process: inout RaftProcess, _ disk: SimulatedDisk) {
        guard process.isOpen else { return }
        watched[host].proven = []
        if !watched[host].hasOpened {
            watched[host].hasOpened = true
            if disk.isAllDurable { watched[host].durable = watched[host].log }
        }
        watched[host].unsure += process.persisted
        process.persisted = []
        guard !watched[host].unsure.isEmpty, disk.isAllDurable else { return }
        for write in watched[host].unsure {
            watched[host].durable.take(write)
            let last = watched[host].durable.last.index
            watched[host].proven += write.answers.filter { $0.message.acknowledged.map { $0 <= last } ?? false }
        }
        watched[host].unsure = []
    }

    private mutating func checkMonotone(_ host: Int, _ raft: Raft) throws(Violation) {
        let before = watched[host]
        guard raft.term >= before.term, raft.log.commit >= before.commit, raft.log.applied >= before.applied else {
            throw Violation(
                "\(raft.id) went back: \(before.term) \(before.commit) \(before.applied) to \(raft.term) \(raft.log.commit) \(raft.log.applied)"
            )
        }
        guard raft.log.applied <= raft.log.commit, raft.log.commit <= raft.log.last.index,
            raft.log.base.index <= raft.log.applied
        else {
            throw Violation(
                "\(raft.id) holds \(raft.log.base) to \(raft.log.last), commit \(raft.log.commit), applied \(raft.log.applied)")
        }
        watched[host].term = raft.term
        watched[host].applied = raft.log.applied
    }

    /// Log matching: an entry has one content and one predecessor everywhere, so two logs that hold it are equal up to it.
    private mutating func checkLog(_ host: Int, _ raft: Raft) throws(Violation) {
        if raft.log.base != watched[host].log.base { watched[host].log.begin(at: raft.log.base) }
        let before = watched[host].log
        let last = raft.log.last
        guard last != before.last else { return }
        var same = min(last.index, before.last.index)
        while same > before.base.index, before.term(at: same) != raft.log.term(at: same) { same = same.previous }
        if same < before.last.index {
            if watched[host].wasLeader, raft.isLeader, raft.term == watched[host].term {
                throw Violation("leader \(raft.id) cut its own log after \(same)")
            }
            if same.number < min(UInt64(committed.count), watched[host].commit.number) {
                throw Violation("\(raft.id) cut \(same.next), which it knew to be committed")
            }
            watched[host].log.cut(after: same)
        }
        try checkNew(host, raft, from: same.next)
        try checkConfiguration(raft)
        ledger.note(raft.log, of: host)
    }

    private mutating func checkNew(_ host: Int, _ raft: Raft, from first: LogIndex) throws(Violation) {
        var previous = raft.log.term(at: first.previous) ?? .zero
        for entry in raft.log.entries(from: first, bytes: .max) {
            let content = Content(previous: previous, digest: Self.digest(entry.content))
            if let known = contents[entry.id], known != content {
                throw Violation("\(raft.id) holds another \(entry.id) than others")
            }
            contents[entry.id] = content
            if entry.id.index > watched[host].log.last.index { watched[host].log.append(entry.id) }
            previous = entry.id.term
        }
    }

    private static func digest(_ content: EntryContent) -> UInt64 {
        switch content {
        case .leaderStarted: return 1
        case .command(let bytes): return bytes.reduce(2) { $0 &* 1_099_511_628_211 ^ UInt64($1) }
        case .configuration(let configuration):
            let lists = [configuration.voters, configuration.outgoing, configuration.learners]
            let text = lists.map { $0.map(\.description).joined(separator: ",") }.joined(separator: ";")
            return text.utf8.reduce(3) { $0 &* 1_099_511_628_211 ^ UInt64($1) }
        }
    }

    /// Election safety, and leader completeness at the moment of the election.
    private mutating func checkLeader(_ host: Int, _ raft: Raft) throws(Violation) {
        defer { watched[host].wasLeader = raft.isLeader }
        guard raft.isLeader else { return }
        if let other = leaders[raft.term], other != raft.id {
            throw Violation("\(raft.id) and \(other) both lead \(raft.term)")
        }
        guard leaders[raft.term] == nil else { return }
        leaders[raft.term] = raft.id
        try checkElection(host, raft)
        var index = raft.log.base.index.next
        while index.number <= UInt64(committed.count) {
            let term = committed[Int(index.number) - 1]
            // A leader of an older term may be elected late, and lack what a newer one has committed.
            guard committedIn[Int(index.number) - 1] > raft.term || raft.log.term(at: index) == term else {
                throw Violation("leader \(raft.id) of \(raft.term) lacks \(index)@\(term), which is committed")
            }
            index = index.next
        }
    }

    /// Whoever leads has the votes of a quorum, by the configuration in its log.
    private func checkElection(_ host: Int, _ raft: Raft) throws(Violation) {
        let configuration = watched[host].configuration ?? raft.log.configuration
        let voters = configuration.members.filter { member in
            member == raft.id || votes[VoteKey(member: member, term: raft.term)] == raft.id
        }
        guard configuration.isQuorum(Set(voters)) else {
            throw Violation("\(raft.id) leads \(raft.term) by the votes of \(voters) only, in \(configuration)")
        }
    }

    /// The configuration in force is the last one in the log, and at its beginning stands the one that was committed there.
    private func checkConfiguration(_ raft: Raft) throws(Violation) {
        let (log, base) = (raft.log, raft.log.base.index)
        let committed = configurations.last { $0.index <= base } ?? configurations[0]
        guard log.configuration(at: base) == committed.configuration, log.configurationIndex(at: base) == committed.index else {
            throw Violation(
                "\(raft.id) has \(log.configuration(at: base)) of \(log.configurationIndex(at: base)) at \(base), where \(committed.configuration) of \(committed.index) was committed"
            )
        }
        guard log.configurationIndex > base else { return }
        guard log.entries(from: log.configurationIndex, bytes: 1).first?.content == .configuration(log.configuration) else {
            throw Violation("\(raft.id) has \(log.configuration) from \(log.configurationIndex), and its log does not say so")
        }
    }

    /// What is committed stays, and was on the disks of a quorum when it was first called so.
    ///
    /// - Parameter isLeader: before the step or after it: by the entry that removes it a leader stops leading.
    private mutating func checkCommit(_ host: Int, _ raft: Raft, isLeader: Bool) throws(Violation) {
        var index = max(watched[host].commit.next, raft.log.base.index.next)
        watched[host].commit = raft.log.commit
        while index <= raft.log.commit {
            guard let term = raft.log.term(at: index) else {
                throw Violation("\(raft.id) committed \(index) and does not hold it")
            }
            let id = EntryID(term: term, index: index)
            if index.number <= UInt64(committed.count) {
                let other = committed[Int(index.number) - 1]
                guard other == term else { throw Violation("\(raft.id) committed \(id), others \(index)@\(other)") }
            } else {
                guard isLeader else { throw Violation("\(raft.id) follows and is the first to call \(id) committed") }
                // Entries of older terms are never committed by counting them, only with a later one (Raft §5.4.2).
                guard raft.log.term(at: raft.log.commit) == raft.term else {
                    throw Violation("\(raft.id) leads \(raft.term) and committed up to \(raft.log.commit), of an older term")
                }
                try checkQuorum(of: id, host, raft)
                committed.append(term)
                committedIn.append(raft.term)
            }
            index = index.next
        }
    }

    /// Judged by the configuration that was in force before the step: committing the first half of a change begins the second.
    private func checkQuorum(of id: EntryID, _ host: Int, _ raft: Raft) throws(Violation) {
        let holds = { (log: ShadowLog) in log.base.index >= id.index || log.term(at: id.index) == id.term }
        let holders = watched.filter { holds($0.durable) }.map(\.member)
        let gone = destroyed.filter { holds($0.value) }.map(\.key).sorted()
        let configuration = watched[host].configuration ?? raft.log.configuration
        guard configuration.isQuorum(Set(holders + gone)) else {
            let former = gone.isEmpty ? "" : ", was on those of \(gone)"
            throw Violation(
                "\(raft.id) committed \(id), which is on the disks of \(holders) only\(former), in \(configuration)")
        }
    }

    private mutating func checkApplied(_ host: Int, _ process: inout RaftProcess) throws(Violation) {
        for applied in process.applied {
            let number = applied.entry.id.index.number
            guard number <= UInt64(committed.count), committed[Int(number) - 1] == applied.entry.id.term else {
                throw Violation("\(process.id) applied \(applied.entry.id), which is not committed")
            }
            if number <= UInt64(states.count) {
                guard states[Int(number) - 1] == applied.state else {
                    throw Violation("the state of \(process.id) after \(applied.entry.id) differs from that of others")
                }
            } else {
                guard number == UInt64(states.count) + 1 else {
                    throw Violation("\(process.id) applied \(applied.entry.id), and nobody what stands before it")
                }
                states.append(applied.state)
                if case .configuration(let next) = applied.entry.content {
                    try checkSuccession(to: next)
                    configurations.append((applied.entry.id.index, next))
                    ledger.noteCommitted(next, at: applied.entry.id.index)
                }
            }
        }
        // One that came from a snapshot has gone through the same states, too.
        let machine = process.machine
        guard machine.applied > .zero, watched[host].state != machine.applied else { return }
        watched[host].state = machine.applied
        guard states[Int(machine.applied.number) - 1] == machine.fingerprint else {
            throw Violation("the state of \(process.id) at \(machine.applied) differs from that of others")
        }
    }

    /// Voters change only through a joint configuration, which holds those before and those after (Raft §6).
    private func checkSuccession(to next: MemberConfiguration) throws(Violation) {
        let former = configurations[configurations.count - 1].configuration
        let isLegal =
            former.isJoint
            ? next == former || (!next.isJoint && next.voters == former.voters)
            : next.isJoint ? next.outgoing == former.voters : next.voters == former.voters
        guard isLegal else { throw Violation("configuration \(former) was followed by \(next)") }
    }

    private mutating func checkSent(_ host: Int, _ message: Message, to receiver: MemberID) throws(Violation) {
        let sender = watched[host].member
        switch message {
        // These promise nothing: what they say of a term need not be on disk.
        case .preVoteRequest, .preVoteAnswer, .readRequest: return
        case .voteRequest: try note(vote: sender, by: sender, in: message.term)
        case .voteAnswer(let answer) where answer.granted: try note(vote: receiver, by: sender, in: message.term)
        case .appendAnswer:
            if let index = message.acknowledged, index > watched[host].durable.last.index,
                !watched[host].proven.contains(Envelope(to: receiver, message: message))
            {
                throw Violation("\(sender) acknowledged \(index), and its disk ends at \(watched[host].durable.last)")
            }
        default: break
        }
        if message.term > told[sender] ?? .zero { told[sender] = message.term }
    }

    private mutating func note(vote candidate: MemberID, by voter: MemberID, in term: Term) throws(Violation) {
        let key = VoteKey(member: voter, term: term)
        if let other = votes[key], other != candidate {
            throw Violation("\(voter) voted for \(other) and for \(candidate) in \(term)")
        }
        votes[key] = candidate
    }
}

extension Message {
    /// Up to where its sender says to hold the leader's log.
    fileprivate var acknowledged: LogIndex? {
        guard case .appendAnswer(let answer) = self, case .matched(let index) = answer.outcome else { return nil }
        return index
    }
}
