// One coordinator: consensus, the catalog that it replicates, the planners that run where the leader is, and the callers who wait.
//
// Commands from here and from other members take one way: wait for a leader, be handed in or passed on, be matched with what is
// committed at their place. A caller always gets an answer, in time; "unknown" is one, and the request id makes asking again
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
        case deathsReported(DeathReport)
        /// What this member's failure detector believes of an agent's life, and whether it has heard anything of it: whoever should be
        /// there is taken for alive until probes say otherwise.
        case believed(NodeID, generation: Generation, session: SessionID, isAlive: Bool, isHeard: Bool)
        case loadReported(NodeReport)
        /// A member is there, with the store that its node has now.
        case appeared(MemberID)
        /// An operator's wish that concerns the group itself; only the leader grants it.
        case changeMembers([MemberChange], caller: UInt64)
        /// Nil leaves the choice of the successor to the leader.
        case transferLeadership(to: MemberID?, caller: UInt64)
        /// With what this member opens and seals gossip, whenever that changes and whenever somebody may have missed it.
        case gossipKeysHeld(HeldGossipKeys)
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
        /// To be said to every coordinator that can be reached: this store belongs to no member, or was forgotten.
        case askToBeLetIn
        case publish(TopologyDelta)
        /// To be measured and told; given by the leader alone.
        case failover(FailoverNews)
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

        var isElsewhere: Bool {
            if case .member = self { true } else { false }
        }
    }

    struct Waiting: Sendable {
        let command: ProposedCommand
        let waiter: Waiter
        /// The newest entry that was applied where it first came from its caller.
        let knownUpTo: LogIndex
        let until: LogicalInstant
        /// The term in which the leader that it was passed on to said that it leads no more: a later one is waited for.
        var refusedIn: Term?
        /// Whether a leader that leads no more had it: nobody can say any more that it was not handed in.
        var mayBeApplied = false

        init(command: ProposedCommand, waiter: Waiter, knownUpTo: LogIndex, until: LogicalInstant) {
            self.command = command
            self.waiter = waiter
            self.knownUpTo = knownUpTo
            self.until = until
        }
    }

    struct HandedIn: Sendable {
        let id: EntryID
        /// As every member will read it.
        let entry: CatalogEntry
        let item: Waiting
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

    var waiting = WaitingCommands()
    var handedIn: [LogIndex: [HandedIn]] = [:]
    /// Of the last command that was passed on.
    var lastNumber: UInt64
    /// Whether a state is on its way to becoming bytes.
    var isEncoding = false
    /// Confirmed reads that wait for the state machine.
    var freshReads: [(read: ConfirmedRead, until: LogicalInstant)] = []
    /// Of the commands applied since the last snapshot.
    var bytesSinceSnapshot = 0
    var marks = StateMarks()
    /// When the last command was applied.
    var lastApplied: LogicalInstant
    /// The term of the last entry that was applied.
    var appliedTerm = Term.zero
    var witnesses = WitnessBook()
    var orphanBook = OrphanBook()
    var incidentBook = IncidentBook()
    var alive: [NodeID: Life] = [:]
    var absentSince: [NodeID: LogicalInstant] = [:]
    /// Until when what a split or a merge has made is not moved by the planners.
    var settlingUntil: [PartitionID: LogicalInstant] = [:]
    /// What is to be copied and moved, found once for all that it follows from.
    var movePlans: MovePlans?
    /// What would even out the primaries: looked for once for all that it follows from, since it reads every partition.
    var leadershipPlan: (basis: SpreadingBasis, plan: TransferPlan?)?
    /// The transfers that planners began.
    var transfers = TransferWatch()
    /// Since when this member plans: what was not told it before, it may not have been told at all.
    var leadingSince: LogicalInstant?
    /// Since when the primaries are spread unevenly and the cluster is calm.
    var unevenSince: LogicalInstant?
    var planDue: LogicalInstant
    var lastStamp = WallTime(milliseconds: 0)
    /// Own proposals of this term that are not answered for yet; forgotten with the leadership.
    var underWay: [RequestID] = []
    var groupRequests: [GroupRequest] = []
    /// When this store asks again to be let in.
    var askDue: LogicalInstant
    /// Since when it knows of nobody who leads.
    var leaderlessSince: LogicalInstant?
    /// The store with which each node was there last.
    var present: [NodeID: MemberID] = [:]
    var handOver: HandOver?
    /// The ring of this member's file, which becomes the record where there is none.
    let gossipSeed: GossipSeed?
    /// With what each coordinator opens and seals gossip, in its own words.
    package internal(set) var gossipKeysHeld: [MemberID: HeldGossipKeys] = [:]
    /// When the others are told again, while keys are exchanged.
    var heldKeysDue: LogicalInstant
    var isDiskLow = false
    var isStopping = false
    var actions: [Action] = []

    struct HandedOn: Sendable {
        let item: Waiting
        let term: Term
    }

    struct Life: Hashable, Sendable {
        let generation: Generation
        let session: SessionID
        let isHeard: Bool
    }

    /// - Parameter number: from the shell's random source: commands that are passed on are numbered after it, so that an answer to this
    ///   member's former life is not taken for one to this.
    package init(
        id: MemberID, raft: Raft, codec: CoordinatorCodec, memberZones: [NodeID: ZoneName],
        settings: CoordinatorSettings = CoordinatorSettings(), gossipSeed: GossipSeed? = nil, numbersAfter number: UInt64,
        at now: LogicalInstant
    ) {
        lastNumber = number
        self.id = id
        self.raft = raft
        self.codec = codec
        self.memberZones = memberZones
        self.settings = settings
        catalog = CatalogState(digest: codec.digest)
        #if MUTANTS
            catalog.mutant = settings.mutant
        #endif
        planDue = now
        askDue = now
        heldKeysDue = now
        self.gossipSeed = gossipSeed
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
            && freshReads.isEmpty && groupRequests.isEmpty && underWay.isEmpty && absentSince.isEmpty
            && unevenSince == nil
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
        case .propose(let command, let caller):
            enqueue(command, for: .caller(caller), knownUpTo: raft.log.applied, at: now)
        case .read(let caller): raft.read(caller)
        case .deathsReported(let report): noteDeaths(report, at: now)
        case .believed(let node, let generation, let session, let isAlive, let isHeard):
            alive[node] = isAlive ? Life(generation: generation, session: session, isHeard: isHeard) : nil
            if isAlive, isHeard { witnesses.clear(node) }
            if isAlive { incidentBook.alive(node) } else { incidentBook.suspected(node, in: catalog.topology, at: now) }
        case .loadReported(let report):
            noteLoad(report, at: now)
            // To all, so that each can answer for the cluster, and the next leader plans with the same figures (rule C7).
            for member in raft.configuration.members where member != id { actions.append(.send(.load(report), to: member)) }
        case .appeared(let member): noteAppeared(member)
        case .gossipKeysHeld(let held): noteOwnGossipKeys(held, at: now)
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
        case .command(let command, let number, let known):
            enqueue(command, for: .member(sender, number: number), knownUpTo: known, at: now)
        case .outcome(let outcome, let number):
            guard let passed = waiting.takeBack(number) else { return }
            guard outcome == .noLeader else { return answer(passed.item, outcome) }
            // It was not handed in: this member has yet to hear who leads instead.
            var item = passed.item
            item.refusedIn = passed.term
            waiting.append(item)
        case .deaths(let report):
            noteAccusations(in: report, at: now)
            witnesses.note(report, at: now)
        case .load(let report): noteLoad(report, at: now)
        case .failoverClocks(let clocks, let incident): incidentBook.take(clocks, of: incident, from: sender.node)
        case .waiting(let store): noteWaiting(store, from: sender)
        case .mark(let mark): take(mark, from: sender, at: now)
        case .gossipKeysHeld(let held): noteGossipKeys(held, of: sender)
        }
    }

    // MARK: - What consensus has ready

    private mutating func settle(at now: LogicalInstant, wall: WallTime) {
        while let ready = raft.takeReady(at: now) {
            for envelope in ready.messages { actions.append(.send(.raft(envelope.message), to: envelope.to)) }
            if let persist = ready.persist { actions.append(.persist(persist)) }
            actions += ready.faults.map { .fault($0) }
            if let snapshot = ready.install { install(snapshot) }
            // A state that differs from the group's is not served, nor made to differ more.
            for entry in ready.committed where raft.fault == nil { apply(entry, at: now) }
            freshReads += ready.reads.map { ($0, now + settings.answerTime) }
            for caller in ready.failedReads { actions.append(.readAnswered(caller: caller, isFresh: false)) }
            takeSnapshotIfDue(at: now)
        }
        answerFreshReads()
    }

    private mutating func apply(_ entry: Entry, at now: LogicalInstant) {
        noteCommitted(entry)
        defer { markIfDue(at: entry.id.index, now: now) }
        let expected = handedIn.removeValue(forKey: entry.id.index) ?? []
        // Another leader's entry at the place where ours should have come to stand: ours is lost for good.
        for lost in expected where lost.id != entry.id { handInAgain(lost.item) }
        if entry.id.term > appliedTerm {
            appliedTerm = entry.id.term
            // So is what should have come to stand behind it: in a log terms never fall. What stands before it came with a snapshot,
            // or did not: only the request id tells.
            for index in handedIn.keys.sorted() {
                let lost = handedIn[index]?.filter { $0.id.term < entry.id.term } ?? []
                guard !lost.isEmpty else { continue }
                handedIn[index]?.removeAll { $0.id.term < entry.id.term }
                if handedIn[index]?.isEmpty == true { handedIn[index] = nil }
                for lost in lost { handInAgain(lost.item, mayBeApplied: index < entry.id.index) }
            }
        }
        guard case .command(let bytes) = entry.content else { return }
        let handedIn = expected.filter { $0.id == entry.id }
        // What was handed in here was read then.
        guard let command = handedIn.first?.entry ?? (try? codec.decode(bytes)) else {
            return actions.append(.unreadable(entry.id.index))
        }
        bytesSinceSnapshot += bytes.count
        lastApplied = now
        let onset = IncidentOnset(of: command.command, in: catalog)
        let applied = catalog.apply(command, at: entry.id.index.number)
        marks.mix(bytes, applied)
        if let delta = applied.delta {
            noteSplits(in: delta, at: now)
            for case .operation(let operation) in delta.changes { transfers.noteEnd(of: operation, settings, at: now) }
            actions.append(.publish(delta))
        }
        noteIncident(onset, by: command, at: entry.id, applied, now: now)
        for handed in handedIn { answer(handed.item, .done(applied.result, catalog.topology.revision)) }
    }

    /// A caller's; what the planners want, they want of the state as it is now.
    mutating func handInAgain(_ item: Waiting, mayBeApplied: Bool = false) {
        if case .itself = item.waiter { return answer(item, .unknown) }
        var item = item
        item.mayBeApplied = item.mayBeApplied || mayBeApplied
        waiting.append(item)
    }

    private mutating func install(_ snapshot: Snapshot) {
        guard let state = codec.decodeSnapshot(snapshot.data) else { return actions.append(.unreadable(snapshot.id.index)) }
        catalog = CatalogState(state, digest: codec.digest)
        #if MUTANTS
            catalog.mutant = settings.mutant
        #endif
        incidentBook.look(at: catalog.topology)
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
        let due = freshReads.filter { $0.read.index <= applied }
        guard !due.isEmpty else { return }
        freshReads.removeAll { $0.read.index <= applied }
        for (read, _) in due { actions.append(.readAnswered(caller: read.id, isFresh: true)) }
    }

    private mutating func noteLoad(_ report: NodeReport, at now: LogicalInstant) {
        reports[report.node] = ReceivedReport(report, at: now)
        noteServing(report, at: now)
    }

    private mutating func noteDeaths(_ report: DeathReport, at now: LogicalInstant) {
        noteAccusations(in: report, at: now)
        witnesses.note(report, at: now)
        if let leader = raft.leader, leader != id { actions.append(.send(.deaths(report), to: leader)) }
    }
}
