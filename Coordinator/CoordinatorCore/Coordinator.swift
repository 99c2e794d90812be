// One coordinator: consensus, the catalog that it replicates, the planners that run where the leader is, and the callers who wait.
//
// Commands from here and from other members take one way: wait for a leader, be handed in or passed on, be matched with what is
// committed at their place. A caller always gets an answer, within a second; "unknown" is one, and the request id makes asking again
// safe. Everything that is proposed on its own account (failures, returns, repairs) follows from the committed state and from beliefs,
// level-triggered, under request ids that name the state: a new leader carries on without having been told anything.

package import Catalog
package import Consensus
package import Model
import Planning

package struct Coordinator: Sendable {
    package enum Input: Sendable {
        case tick
        case received(CoordinatorMessage, from: MemberID)
        case persisted(UInt64)
        /// The bytes of a state that was given out with `.encodeSnapshot`.
        case snapshotEncoded([UInt8], at: LogIndex)
        /// The bytes of a durable snapshot need not be in memory any more.
        case snapshotKept(SnapshotContents, of: EntryID)
        case connectionLost(MemberID)
        /// A local caller's command; `caller` is the shell's name for who waits.
        case propose(ProposedCommand, caller: UInt64)
        /// A local caller's linearizable read.
        case read(caller: UInt64)
        /// An agent's report, or this member's own failure detector's.
        case deathReported(DeathReport)
        /// What this member's failure detector believes of an agent's life.
        case believed(NodeID, generation: Generation, session: SessionID, isAlive: Bool)
        case loadReported(NodeReport)
        /// A member is there, with the store that its node has now.
        case appeared(MemberID)
        /// An operator's wish that concerns the group itself; only the leader grants it.
        case changeMembers([MemberChange], caller: UInt64)
        /// Nil leaves the choice of the successor to the leader.
        case transferLeadership(to: MemberID?, caller: UInt64)
        /// Whether this member's disk is nearly full.
        case diskSpace(isLow: Bool)
        /// The process is to end soon; `mayStop` says when nobody has to wait because of it any more.
        case stopRequested
    }

    package enum Action: Sendable {
        case send(CoordinatorMessage, to: MemberID)
        /// See `Persist`: write, then send its answers, then step `.persisted`.
        case persist(Persist)
        /// To be turned into bytes, beside everything else: a large state takes longer than a heartbeat may wait. One at a time.
        case encodeSnapshot(CatalogSnapshot, at: LogIndex)
        case answer(caller: UInt64, CommandOutcome)
        /// The state is now as new as the read asks; or it will not be.
        case readAnswered(caller: UInt64, isFresh: Bool)
        case groupAnswered(caller: UInt64, GroupOutcome)
        /// To be said to every coordinator that can be reached: this store belongs to no member.
        case askToBeLetIn
        case publish(TopologyDelta)
        /// The topology came from a snapshot.
        case reset
        case fault(Fault)
        /// Another member came to another state than this one (rule C4): an alarm.
        case stateDiffers(MemberID, at: LogIndex)
        /// An entry or snapshot that this program cannot read: it must not go on without it.
        case unreadable(LogIndex)
        /// Given once, after `stopRequested`, within three election time-outs.
        case mayStop
    }

    /// Who waits for a command.
    enum Waiter: Hashable, Sendable {
        case caller(UInt64)
        case member(MemberID, number: UInt64)
        /// Proposed on this member's own account.
        case itself(RequestID)
    }

    struct Waiting: Sendable {
        let command: ProposedCommand
        let waiter: Waiter
        let until: LogicalInstant
    }

    struct HandedIn: Sendable {
        let id: EntryID
        let waiter: Waiter
        let until: LogicalInstant
    }

    package let id: MemberID
    package let settings: CoordinatorSettings
    package internal(set) var raft: Raft
    package internal(set) var catalog: CatalogState
    /// What agents told of themselves lately, whichever member they told.
    package internal(set) var reports: [NodeID: ReceivedReport] = [:]
    package let codec: CoordinatorCodec
    /// Zones of the members that the settings name, who are witnesses too; those that came later are declared in the catalog.
    let memberZones: [NodeID: ZoneName]

    var waiting: [Waiting] = []
    var handedIn: [LogIndex: [HandedIn]] = [:]
    var passedOn: [UInt64: HandedOn] = [:]
    var lastNumber: UInt64 = 0
    /// Whether a state is on its way to becoming bytes.
    var isEncoding = false
    /// Confirmed reads that wait for the state machine.
    var freshReads: [ConfirmedRead] = []
    /// Of the commands applied since the last snapshot.
    var bytesSinceSnapshot = 0
    var marks = StateMarks()
    /// When the last command was applied.
    var lastApplied: LogicalInstant
    var witnesses = WitnessBook()
    var alive: [NodeID: Life] = [:]
    var absentSince: [NodeID: LogicalInstant] = [:]
    /// What is to be copied and moved, found once for all that it follows from.
    var movePlans: MovePlans?
    /// What would even out the primaries at that revision: looked for once, since it reads every partition.
    var leadershipPlan: (revision: Revision, plan: TransferPlan?)?
    /// Since when the primaries are spread unevenly and the cluster is calm.
    var unevenSince: LogicalInstant?
    var planDue: LogicalInstant
    var lastStamp = WallTime(milliseconds: 0)
    /// Own proposals of this term that are not answered for yet; forgotten with the leadership.
    var underWay: [RequestID] = []
    var groupRequests: [GroupRequest] = []
    /// When this store asks again to be let in.
    var askDue: LogicalInstant
    /// The store with which each node was there last.
    var present: [NodeID: MemberID] = [:]
    var handOver: HandOver?
    var isDiskLow = false
    var isStopping = false
    var actions: [Action] = []

    struct HandedOn: Sendable {
        let item: Waiting
        let leader: MemberID
    }

    struct Life: Hashable, Sendable {
        let generation: Generation
        let session: SessionID
    }

    package init(
        id: MemberID, raft: Raft, codec: CoordinatorCodec, memberZones: [NodeID: ZoneName],
        settings: CoordinatorSettings = CoordinatorSettings(), at now: LogicalInstant
    ) {
        self.id = id
        self.raft = raft
        self.codec = codec
        self.memberZones = memberZones
        self.settings = settings
        catalog = CatalogState(digest: codec.digest)
        planDue = now
        askDue = now
        lastApplied = now
    }

    /// When `tick` is due.
    package var nextDeadline: LogicalInstant {
        let due = min(raft.nextDeadline, isAtRest ? planDue + settings.planInterval * 9 : planDue)
        let deadline = handOver?.until.map { min($0, due) } ?? due
        return restingSnapshotDue.map { min($0, deadline) } ?? deadline
    }

    /// Whether this member plans nothing and nobody waits for it: it has only old accusations to forget, and those can wait.
    private var isAtRest: Bool {
        !raft.isLeader && raft.isMember && !isStopping && handOver == nil && waiting.isEmpty && handedIn.isEmpty
            && passedOn.isEmpty && groupRequests.isEmpty && underWay.isEmpty && absentSince.isEmpty && unevenSince == nil
    }

    /// - Parameter wall: the wall clock, for the time that entries carry (rule C4).
    package mutating func step(_ input: Input, at now: LogicalInstant, wall: WallTime) -> [Action] {
        switch input {
        case .tick:
            raft.step(.tick, at: now)
            expire(at: now)
            takeSnapshotIfDue(at: now)
            // Somewhat early where it is awake anyway: a leader plans with its heartbeats, and is not woken a second time.
            if now + settings.planInterval / 2 >= planDue { plan(at: now) }
        case .received(let message, let sender): receive(message, from: sender, at: now)
        case .persisted(let sequence): raft.step(.persisted(sequence), at: now)
        case .snapshotEncoded(let bytes, let index):
            isEncoding = false
            raft.takeSnapshot(bytes, at: index)
        case .snapshotKept(let contents, let id): raft.keepSnapshot(id, in: contents)
        case .connectionLost(let peer):
            noteGone(peer)
            raft.step(.connectionLost(peer), at: now)
        case .propose(let command, let caller): enqueue(command, for: .caller(caller), at: now)
        case .read(let caller): raft.read(caller)
        case .deathReported(let report): noteDeath(report, at: now)
        case .believed(let node, let generation, let session, let isAlive):
            alive[node] = isAlive ? Life(generation: generation, session: session) : nil
            if isAlive { witnesses.clear(node) }
        case .loadReported(let report):
            reports[report.node] = ReceivedReport(report, at: now)
            // To all, so that each can answer for the cluster, and the next leader plans with the same figures (rule C7).
            for member in raft.configuration.members where member != id { actions.append(.send(.load(report), to: member)) }
        case .appeared(let member): noteAppeared(member)
        case .changeMembers(let changes, let caller): changeMembers(changes, for: caller, at: now)
        case .transferLeadership(let successor, let caller): transferLeadership(to: successor, for: caller, at: now)
        case .diskSpace(let isLow): noteDiskSpace(isLow: isLow, at: now)
        case .stopRequested: prepareToStop(at: now)
        }
        handInWaiting(at: now, wall: wall)
        settle(at: now, wall: wall)
        handOverIfFull()
        if handOver != nil {
            continueHandOver(at: now)
            settle(at: now, wall: wall)
        }
        answerTransfers(at: now)
        defer { actions = [] }
        return actions
    }

    private mutating func receive(_ message: CoordinatorMessage, from sender: MemberID, at now: LogicalInstant) {
        switch message {
        case .raft(let message): raft.step(.received(message, from: sender), at: now)
        case .command(let command, let number): enqueue(command, for: .member(sender, number: number), at: now)
        case .outcome(let outcome, let number):
            guard let item = passedOn.removeValue(forKey: number)?.item else { return }
            answer(item.waiter, outcome)
        case .death(let report): witnesses.note(report, at: now)
        case .load(let report): reports[report.node] = ReceivedReport(report, at: now)
        case .waiting(let store): noteWaiting(store, from: sender)
        case .mark(let mark): take(mark, from: sender, at: now)
        }
    }

    // MARK: - Commands

    private mutating func enqueue(_ command: ProposedCommand, for waiter: Waiter, at now: LogicalInstant) {
        let held = waiting.count + passedOn.count
        guard held < settings.waitingCommands else {
            return answer(waiter, .overloaded("\(held) commands wait already"))
        }
        // A command that was passed on once is not passed on again: the sender asks anew, or two members could play ball with it.
        if case .member = waiter, !raft.isLeader { return answer(waiter, .noLeader) }
        // What no reader accepts must never be committed: no member could apply it, and none could ever start again. Asked here, at
        // the member that the caller spoke to, so that the leader is not even sent it.
        guard codec.decode(codec.encode(command.stamped(lastStamp))) != nil else {
            let rejection = CatalogRejection(.invalidValue, "the command exceeds what an entry of the log may hold")
            return answer(waiter, .done(.refused(rejection), catalog.topology.revision))
        }
        waiting.append(Waiting(command: command, waiter: waiter, until: now + settings.answerTime))
    }

    private mutating func handInWaiting(at now: LogicalInstant, wall: WallTime) {
        guard let leader = raft.leader else { return }
        recallFrom(othersThan: leader)
        guard !waiting.isEmpty, !raft.isTransferring else { return }
        // What gathers while one write runs goes into the next, for the followers too: one message for many commands, and no later
        // on our own disk than if it had been handed in at once.
        if leader == id, raft.log.oldestWriteStartedAt != nil { return }
        let commands = waiting
        waiting = []
        for item in commands {
            if leader == id { handIn(item, wall: wall) } else { passOn(item, to: leader) }
        }
    }

    /// What was passed on to a leader that is none any more is handed to the new one: committed twice, it is still applied once,
    /// because its request id is known by then.
    private mutating func recallFrom(othersThan leader: MemberID) {
        let lost = passedOn.filter { $0.value.leader != leader }.keys.sorted()
        for number in lost {
            if let item = passedOn.removeValue(forKey: number)?.item { waiting.append(item) }
        }
    }

    private mutating func handIn(_ item: Waiting, wall: WallTime) {
        if let known = catalog.answer(to: item.command.requestID), known.fingerprint == item.command.fingerprint {
            return answer(item.waiter, .done(known.result, catalog.topology.revision))
        }
        guard !isDiskLow || item.command.command.isEssential else {
            return answer(item.waiter, .diskFull("the leader's disk is nearly full"))
        }
        lastStamp = max(lastStamp, wall, catalog.time)
        do throws(Raft.Refusal) {
            let id = try raft.propose(codec.encode(item.command.stamped(lastStamp)))
            handedIn[id.index, default: []].append(HandedIn(id: id, waiter: item.waiter, until: item.until))
        } catch {
            switch error {
            case .notLeader: answer(item.waiter, .noLeader)
            case .tooMuchUncommitted(let bytes, let limit):
                answer(item.waiter, .overloaded("\(bytes) of \(limit) bytes wait to be committed"))
            case .commandTooLarge(let bytes, let limit):
                answer(item.waiter, .overloaded("a command of \(bytes) bytes is above the limit of \(limit)"))
            case .transferring:
                // Kept for the next leader, or for this one if it stays.
                waiting.append(item)
            case .changeUnderWay, .notCommittedInTerm, .notCaughtUp, .unknownMember, .alreadyMember, .notVoter, .noVoterLeft,
                .twoVotes, .tooManyMembers:
                preconditionFailure("\(error) is no refusal of a command")
            }
        }
    }

    private mutating func passOn(_ item: Waiting, to leader: MemberID) {
        if case .member = item.waiter { return answer(item.waiter, .noLeader) }
        lastNumber += 1
        passedOn[lastNumber] = HandedOn(item: item, leader: leader)
        actions.append(.send(.command(item.command, number: lastNumber), to: leader))
    }

    private mutating func answer(_ waiter: Waiter, _ outcome: CommandOutcome) {
        switch waiter {
        case .caller(let caller): actions.append(.answer(caller: caller, outcome))
        case .member(let node, let number): actions.append(.send(.outcome(outcome, number: number), to: node))
        case .itself(let request): underWay.removeAll { $0 == request }
        }
    }

    private mutating func expire(at now: LogicalInstant) {
        let overdue = waiting.filter { $0.until <= now }
        waiting.removeAll { $0.until <= now }
        for item in overdue { answer(item.waiter, .noLeader) }
        for index in handedIn.keys.sorted() {
            let late = handedIn[index]?.filter { $0.until <= now } ?? []
            guard !late.isEmpty else { continue }
            handedIn[index]?.removeAll { $0.until <= now }
            if handedIn[index]?.isEmpty == true { handedIn[index] = nil }
            for item in late { answer(item.waiter, .unknown) }
        }
        for number in passedOn.keys.sorted() {
            guard let item = passedOn[number]?.item, item.until <= now else { continue }
            passedOn[number] = nil
            answer(item.waiter, .unknown)
        }
    }

    // MARK: - What consensus has ready

    private mutating func settle(at now: LogicalInstant, wall: WallTime) {
        while let ready = raft.takeReady(at: now) {
            for envelope in ready.messages { actions.append(.send(.raft(envelope.message), to: envelope.to)) }
            if let persist = ready.persist { actions.append(.persist(persist)) }
            actions += ready.faults.map { .fault($0) }
            if let snapshot = ready.install { install(snapshot) }
            for entry in ready.committed { apply(entry, at: now) }
            freshReads += ready.reads
            for caller in ready.failedReads { actions.append(.readAnswered(caller: caller, isFresh: false)) }
            takeSnapshotIfDue(at: now)
        }
        answerFreshReads()
    }

    private mutating func apply(_ entry: Entry, at now: LogicalInstant) {
        noteCommitted(entry)
        defer { markIfDue(at: entry.id.index, now: now) }
        let waiters = handedIn.removeValue(forKey: entry.id.index) ?? []
        guard case .command(let bytes) = entry.content else {
            for item in waiters { answer(item.waiter, .unknown) }
            return
        }
        guard let command = codec.decode(bytes) else { return actions.append(.unreadable(entry.id.index)) }
        bytesSinceSnapshot += bytes.count
        lastApplied = now
        let applied = catalog.apply(command, at: entry.id.index.number)
        marks.mix(bytes, applied)
        if let delta = applied.delta { actions.append(.publish(delta)) }
        for item in waiters {
            // Another leader's entry at the place where ours should have come to stand: ours is lost, and may be handed in again.
            answer(item.waiter, item.id == entry.id ? .done(applied.result, catalog.topology.revision) : .unknown)
        }
    }

    private mutating func install(_ snapshot: Snapshot) {
        guard let state = codec.decodeSnapshot(snapshot.data) else { return actions.append(.unreadable(snapshot.id.index)) }
        catalog = CatalogState(state, digest: codec.digest)
        marks.begin(behind: snapshot.id.index)
        bytesSinceSnapshot = 0
        actions.append(.reset)
    }

    /// So many entries are not enough before the log has grown by a quarter of what a snapshot takes: a large state is not written down
    /// for every few small changes. They are when nothing else is going on: a start would have to apply them all again.
    private mutating func takeSnapshotIfDue(at now: LogicalInstant) {
        let isDue =
            hasManySinceSnapshot && bytesSinceSnapshot >= raft.snapshot.contents.count / 4
            || bytesSinceSnapshot >= settings.snapshotBytes || restingSnapshotDue.map { $0 <= now } ?? false
        guard isDue, !raft.isTakingSnapshot, !isEncoding else { return }
        bytesSinceSnapshot = 0
        isEncoding = true
        actions.append(.encodeSnapshot(catalog.snapshot, at: raft.log.applied))
    }

    private var hasManySinceSnapshot: Bool {
        raft.log.applied.number >= raft.snapshot.id.index.number + settings.snapshotEntries
    }

    /// When a snapshot is taken because nothing was applied for a while; nil where there is too little to take one for, or one is
    /// being taken.
    private var restingSnapshotDue: LogicalInstant? {
        guard bytesSinceSnapshot > 0, !isEncoding, !raft.isTakingSnapshot, hasManySinceSnapshot else { return nil }
        return lastApplied + settings.snapshotRest
    }

    // MARK: - Reads

    private mutating func answerFreshReads() {
        guard !freshReads.isEmpty else { return }
        let applied = raft.log.applied
        let (due, later) = (freshReads.filter { $0.index <= applied }, freshReads.filter { $0.index > applied })
        freshReads = later
        for read in due { actions.append(.readAnswered(caller: read.id, isFresh: true)) }
    }

    private mutating func noteDeath(_ report: DeathReport, at now: LogicalInstant) {
        witnesses.note(report, at: now)
        if let leader = raft.leader, leader != id { actions.append(.send(.death(report), to: leader)) }
    }
}
