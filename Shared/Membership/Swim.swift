package import Model

// Who is there? SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2018): every member probes one other per
// period, asks helpers before it suspects, and spreads what it learns on the back of its probes. Load per member is constant,
// detection time hardly grows with the size of the cluster, and a member that is slow itself notices and waits longer.
//
// Where ours differs from the papers, and why:
// - Records carry a generation, so a restart outranks all rumours about the life before (see MemberRecord).
// - A tick first measures its own delay. A process that was stopped or starved must not take its own silence for its peers'. A judge
//   whose local health is poor waits longer, too.
// - No verdict unless somebody answered a ping that we sent since the suspicion began: a member that is cut off knows nothing about
//   the others.
// - A refused link says more than silence: the process is gone, not slow. Two who were refused, and whose pings stay unanswered, are
//   enough for a verdict of everybody who then calls in vain himself, and through others; a false alarm costs a ping.
// - Members compare sums of what they hold, and exchange only what differs (see TableDigest).
// - A rumour "dead" about a member who has not been suspect here for a while is only one more accusation. When two halves of a cut
//   meet again, neither may kill the other's members; in a real death the suspicion has travelled ahead of the verdict.
// - Nobody is held dead uncalled, not on another's word either: a suspect is pinged twice before a verdict on it is believed, and once
//   more before our own, since its refutation may have missed us.
// - A life that was met a moment ago has longer to refute: whole clusters start at once.
// - The control plane's roster is never forgotten: its dead are called from time to time, so every cut heals.
// - A death is reported, never decided (rule F1), and only on evidence of our own.

/// Membership and failure detection. Pure: time comes with each call, randomness from a seed.
package struct Swim: Hashable, Sendable {
    package enum Input: Hashable, Sendable {
        /// Time passes. Due at `tickDue`, after all that the shell's socket holds was handed over; earlier does no harm.
        case tick
        /// A datagram that was opened and decoded; `address` is where it came from.
        case received(SwimMessage, from: String)
        /// A link to this node has ended, and it was not we who ended it: its process may be gone.
        case linkEnded(NodeID)
        /// The machine of this node refused a link: no process listens there.
        case linkRefused(NodeID)
        /// The ping of a `stream` action was answered.
        case streamAnswered(NodeID, sequence: UInt64)
        /// All nodes of the committed topology and the configured coordinators; replaces the previous roster.
        case roster([RosterEntry])
        /// All nodes that were decommissioned; replaces the previous ones.
        case tombstones([Tombstone])
        /// We have applied this routing revision.
        case revisionApplied(Revision)
        /// No coordinator has this routing revision, of which somebody has told.
        case revisionDisbelieved(Revision)
        /// The coordinators have committed our registration.
        case registered(SessionID)
        /// This process has another count of starts, which is persisted: an earlier disk of this node had come further.
        case raised(Generation)
        /// The program has something else to say of itself, at most `MemberProfile.metadataBytes`; more is cut.
        case described([UInt8])
        /// The sessions that the topology shows as failed, all of them: nobody needs our report of those any more. One that was among
        /// them and is not now has returned, and its next death is news.
        case deathsSettled([NodeID: SessionID])
        /// Say good-bye; `departed` follows when it has been said often enough.
        case leave
    }

    package enum Action: Hashable, Sendable {
        case send(SwimMessage, to: String)
        /// Ping this node over a link to `address`, in a process of ours that waits for a handshake's time-out. Its answer comes back as
        /// `streamAnswered`, a refusal as `linkRefused`; of anything else nothing needs to come.
        case stream(to: NodeID, address: String, sequence: UInt64)
        /// A member is new or its status or profile changed.
        case memberChanged(MemberRecord)
        /// We have evidence of our own that these lives of agents are over (rule F2). Repeated until it is settled or refuted.
        case reportDeaths(DeathFindings)
        /// Somebody has a newer routing revision than any that we knew of (rule T2).
        case revisionHeard(Revision, from: NodeID)
        /// Another process lives under our name: a newer generation of us, or the same with another store. Told once.
        case identityInUse(MemberRecord)
        /// Two processes live under one name in one generation; the first that we met is kept. Told once for a life.
        case identityDisputed(MemberRecord)
        case departed
        /// A message had no effect, and why; to be counted.
        case dropped(DropReason)
    }

    package enum DropReason: Hashable, Sendable, CaseIterable {
        /// Claims to be from us.
        case echo
        /// Asks for another node than us.
        case misdirected
        /// Answers a probe that is over.
        case late
        /// A record with an empty or overlong address.
        case implausible
        /// From, or about, a life that was decommissioned.
        case retired
        /// A record of a process that speaks no version of ours, or one of a kind or a status that only a newer version knows.
        case otherVersion
        /// Another process under a name that we know.
        case disputed
        /// A record of somebody whom no roster names, of whom there are too many.
        case crowded
    }

    /// What the protocol did since the start, for metrics.
    package struct Counters: Hashable, Sendable {
        package var probes: UInt64 = 0
        package var failedProbes: UInt64 = 0
        /// Those among them in which no helper was heard either, or there was none: more likely our own fault than the member's.
        package var unheardProbes: UInt64 = 0
        package var suspicions: UInt64 = 0
        package var refutations: UInt64 = 0
        package var verdicts: UInt64 = 0
        /// Deaths that we held, by whosever verdict, and that were refuted.
        package var falsePositives: UInt64 = 0
        package var lateTicks: UInt64 = 0
        /// Probes that only a link answered.
        package var savedByLink: UInt64 = 0
        /// Refused links that were looked into.
        package var refusedLinks: UInt64 = 0
        /// Exchanges of records that a digest began.
        package var exchanges: UInt64 = 0
        /// Routing revisions that were told of and that no coordinator had.
        package var disbelievedRevisions: UInt64 = 0
        /// Lives of ours in which another process was found under our name.
        package var identitiesInUse: UInt64 = 0
        /// Lives of others of which two processes were found under one name.
        package var disputedIdentities: UInt64 = 0
        /// Members whom no roster names, and who were forgotten or not taken because there were too many.
        package var refusedStrangers: UInt64 = 0

        package init() {}
    }

    package let node: NodeID
    package let tuning: SwimTuning
    package internal(set) var life: Life
    /// The persisted count of this node's starts. Our life's is later where a wrong number had to be outlived.
    package private(set) var generation: Generation
    package internal(set) var profile: MemberProfile
    package internal(set) var counters = Counters()
    /// How long the last answered ping took, until it is taken.
    var lastRoundTrip: Span?
    /// Smoothed, by slot. Looked up only.
    var roundTrips: [Int: Span] = [:]
    /// Lifeguard's local health multiplier: 0 is healthy; scales our own times.
    package internal(set) var localHealth: Int64 = 0
    /// The newest routing revision that we have applied or anybody has told of: what we tell.
    package internal(set) var newestRevision: Revision = .none
    var appliedRevision: Revision = .none
    /// Those that no coordinator had, the last few: whoever still tells of one is not heeded.
    var disbelievedRevisions: [Revision] = []

    var table: MemberTable
    var suspicions = SuspicionList()
    var queue = GossipQueue()
    var generator: SeededGenerator
    var phase = Phase.running
    let startedAt: LogicalInstant
    var lastTick: LogicalInstant
    /// When the next tick is due: in `tuning.tick`, or, where nothing is under way, when the next probe begins. A tick that comes much
    /// later is late.
    package private(set) var tickDue: LogicalInstant
    /// When anybody last answered us, and the highest number of ours that was answered.
    var lastAck: LogicalInstant?
    var lastAnswered: UInt64 = 0

    var probe: Probe?
    var round = ProbeRound()
    var nextProbe: LogicalInstant
    /// Pings are numbered from behind this on. It differs with each process, or answers that were given to another, or to an earlier
    /// one of ours, and recorded, would be answers to us: whoever has a recording needs no key.
    let firstSequence: UInt64
    var nextSequence: UInt64
    var relays: [Relay] = []
    var refusals: [Refusal] = []
    /// Suspects to whom we are among the nearest: probed next.
    var doubted: [Int] = []
    /// Whether the next probe goes where others have fallen.
    var looksAround = false

    var lastGossip: LogicalInstant
    var nextSync: LogicalInstant
    var nextReconnect: LogicalInstant
    var nextReap: LogicalInstant
    var corrected: [Correction] = []
    var findings: [Finding] = []
    var lastReport: LogicalInstant?
    /// The newest session of each node that is known to have failed. Looked up only.
    var settled: [NodeID: SessionID] = [:]
    /// Looked up only.
    var retired: [NodeID: Generation] = [:]
    var toldOfIdentity = false

    enum Phase: Hashable, Sendable {
        /// Can move to: leaving.
        case running
        /// Can move to: departed.
        case leaving(until: LogicalInstant)
        case departed
    }

    /// - Parameters:
    ///   - generation: the persisted count of this node's starts, raised before this call.
    ///   - seed: from the shell's random source; two members never share one.
    ///   - known: who is there already; nobody, outside of simulations.
    package init(
        node: NodeID, generation: Generation, profile: MemberProfile, tuning: SwimTuning, seed: UInt64, at now: LogicalInstant,
        known: MemberTable = MemberTable()
    ) {
        precondition(profile.fits, "own addresses must be 1 to \(MemberProfile.addressBytes) bytes: \(profile)")
        self.node = node
        self.life = Life(generation: generation, incarnation: 0)
        self.generation = generation
        self.profile = profile
        self.tuning = tuning
        table = known
        table.leaveOut(node)
        generator = SeededGenerator(seed: seed)
        firstSequence = mixed(seed) >> SwimLimits.sequenceShift
        nextSequence = firstSequence
        startedAt = now
        lastTick = now
        tickDue = now + tuning.tick
        nextProbe = now
        lastGossip = now
        // A second comparison soon after the start, with another member than the first, finds those who started together with us.
        nextSync = now + .seconds(1)
        nextReconnect = now
        nextReap = now + tuning.reapAfter / 24
        // Those that start together do not probe together: the pings of a cluster would be one burst a period, and who dies behind one
        // would wait for the next.
        nextProbe = now + jitter(upTo: tuning.probeInterval)
        if mutated(.waitsToCompare) { nextSync = now + tuning.syncInterval }
        tellOfOurselves()
    }

    package mutating func step(_ input: Input, at now: LogicalInstant) -> [Action] {
        var actions: [Action] = []
        defer { setTick(after: input, at: now) }
        switch input {
        case .tick: tick(at: now, &actions)
        case .received(let message, let address): receive(message, from: address, at: now, &actions)
        case .linkEnded(let other): linkEnded(other, &actions)
        case .linkRefused(let other): linkRefused(other, at: now, &actions)
        case .streamAnswered(let other, let number): streamAnswered(number, by: other, at: now)
        case .roster(let entries): adopt(entries, at: now, &actions)
        case .tombstones(let stones): retire(stones, at: now, &actions)
        case .revisionApplied(let applied): noteApplied(applied)
        case .revisionDisbelieved(let revision): disbelieve(revision)
        case .registered(let session): publish { $0.session = session }
        case .raised(let generation): raise(to: generation)
        case .described(let metadata): publish { $0.metadata = Array(metadata.prefix(MemberProfile.metadataBytes)) }
        case .deathsSettled(let sessions): settle(sessions, at: now)
        case .leave: startLeaving(at: now)
        }
        return actions
    }

    /// Where nothing is under way any more, the next tick is put off to when there is something to do; never one that is due already,
    /// since by how late that comes a pause is known.
    private mutating func setTick(after input: Input, at now: LogicalInstant) {
        guard isAtRest else { return tickDue = input == .tick ? now + tuning.tick : min(tickDue, now + tuning.tick) }
        let work = min(nextProbe, nextReconnect, nextReap)
        if input == .tick {
            tickDue = max(now + tuning.tick, work)
        } else if now <= tickDue {
            tickDue = max(min(tickDue, now + tuning.tick), work)
        }
    }

    /// Whether nobody's answer is waited for, and there is nothing to tell.
    private var isAtRest: Bool {
        phase == .running && probe == nil && relays.isEmpty && refusals.isEmpty && suspicions.entries.isEmpty
            && findings.isEmpty && queue.isEmpty
    }

    private mutating func tick(at now: LogicalInstant, _ actions: inout [Action]) {
        let gap = now - lastTick
        let isLate = now - tickDue > tuning.probeInterval / 2
        lastTick = now
        if isLate, !mutated(.ignoresLateness) { recoverFromPause(of: gap, at: now) }
        switch phase {
        case .departed: return
        case .leaving(let deadline):
            gossip(at: now, &actions)
            if queue.isEmpty || now >= deadline {
                phase = .departed
                actions.append(.departed)
            }
        case .running:
            lookIntoRefusals(at: now, &actions)
            probing(at: now, &actions)
            judgeSuspects(at: now, &actions)
            gossip(at: now, &actions)
            reconnect(at: now, &actions)
            report(at: now, &actions)
            reap(at: now)
        }
    }

    /// Whether another process is known under our name that our present life has not outlived.
    package var isNameInUse: Bool { toldOfIdentity }

    /// We were not running for `gap`. Whatever should have reached us in that time proves nothing.
    private mutating func recoverFromPause(of gap: Span, at now: LogicalInstant) {
        counters.lateTicks += 1
        if !mutated(.staysWellOverPause) { sicken(by: 1) }
        if !mutated(.keepsProbeOverPause) { probe = nil }
        // What was asked of us meanwhile was read a moment ago, and is not over.
        relays.removeAll { now >= $0.nackAt }
        if !mutated(.keepsRefusalsOverPause) { refusals = [] }
        nextProbe = now + tuning.probeInterval
        if !mutated(.keepsDeadlinesOverPause) { suspicions.postpone(by: gap, number: nextSequence) }
    }

    /// A profile is fixed for one incarnation.
    private mutating func publish(_ change: (inout MemberProfile) -> Void) {
        let before = profile
        change(&profile)
        guard profile != before else { return }
        if !mutated(.changesProfiles) { life.incarnation += 1 }
        tellOfOurselves()
    }

    private mutating func raise(to generation: Generation) {
        self.generation = max(self.generation, generation)
        begin(in: generation)
    }

    /// To the others another process takes our place; to us all is as it was.
    mutating func begin(in generation: Generation) {
        guard phase == .running, generation > life.generation else { return }
        life = Life(generation: generation, incarnation: 0)
        toldOfIdentity = false
        tellOfOurselves()
    }

    private mutating func startLeaving(at now: LogicalInstant) {
        guard phase == .running else { return }
        life.incarnation += 1
        phase = .leaving(until: now + .seconds(1))
        probe = nil
        tellOfOurselves()
    }

    // MARK: - What every part needs

    mutating func sicken(by amount: Int64) { localHealth = min(tuning.healthCeiling, localHealth + amount) }
    mutating func recover() { localHealth = max(0, localHealth - 1) }
    /// By how much our own times are longer than a healthy member's.
    var patience: Int64 { mutated(.ignoresOwnHealth) ? 1 : 1 + localHealth }

    /// Members who should be counted on: at least the roster, so that a newcomer who knows few does not gossip too little.
    var memberCount: Int { 1 + max(mutated(.countsThePresent) ? 0 : table.expected, table.activeCount) }

    /// Up to `count` members for which `condition` holds, chosen without repetition.
    mutating func pick(_ count: Int, where condition: (Member) -> Bool) -> [Member] {
        table.pick(count, using: &generator, where: condition).compactMap { table[$0] }
    }

    mutating func sequence() -> UInt64 {
        nextSequence += 1
        return nextSequence
    }

    mutating func tellOfOurselves() { queue.insert(GossipQueue.ourselves, ownRecord.status) }

    /// Fills a message with rumours up to the size of a datagram: `first` before what the queue holds.
    /// - Parameters:
    ///   - listener: who gets it, where that may be somebody who is gone: what a suspect is told, nobody may have heard.
    ///   - whole: a comparison; made shorter where it does not fit beside `first`.
    mutating func message(
        _ body: SwimMessage.Body, to listener: Member? = nil, first: MemberRecord? = nil, digest whole: TableDigest? = nil
    ) -> SwimMessage {
        var rumours: [MemberRecord] = []
        var budget = Limits.datagramBytes - SwimMessage.overhead(from: node, body: body)
        if mutated(.ignoresBudget) { budget = 64 * 1_024 }
        if let first {
            budget -= first.weight
            rumours.append(first)
        }
        let digest = whole?.fitting(budget)
        budget -= digest?.weight ?? 0
        if !queue.isEmpty {
            queue.take(
                budget: budget, limit: tuning.timesTold(members: memberCount),
                counts: listener.map { $0.status == .alive } ?? true || mutated(.countsDeafEars), except: first?.node,
                from: table, ourselves: ownRecord, into: &rumours)
        }
        let revision = mutated(.hidesRevision) ? .none : newestRevision
        return SwimMessage(from: node, life: life, revision: revision, body: body, digest: digest, rumours: rumours)
    }
}
