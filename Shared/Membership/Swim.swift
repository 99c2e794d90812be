package import Model

// Who is there? SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2018): every member probes one other per
// period, asks helpers before it suspects, and spreads what it learns on the back of its probes. Load per member is constant,
// detection time hardly grows with the size of the cluster, and a member that is slow itself notices and waits longer.
//
// Where ours differs from the papers, and why:
// - Records carry a generation, so a restart outranks all rumours about the life before (see MemberRecord).
// - A tick first measures its own delay. A process that was stopped or starved must not take its own silence for its peers'.
// - No verdict unless somebody answered us since the suspicion began: a member that is cut off knows nothing about the others.
// - A rumour "dead" about a member who has not been suspect here for a while is only one more accusation. When two halves of a cut
//   meet again, neither may kill the other's members; in a real death the suspicion has travelled ahead of the verdict.
// - Nobody is held dead uncalled: shortly before the verdict the suspect gets one more ping, since its refutation may have missed us.
// - A life that was met a moment ago has longer to refute: whole clusters start at once.
// - The control plane's roster is never forgotten: its dead are called from time to time, so every cut heals.
// - A death is reported, never decided (rule F1), and only on evidence of our own.

/// Membership and failure detection. Pure: time comes with each call, randomness from a seed.
package struct Swim: Hashable, Sendable {
    package enum Input: Hashable, Sendable {
        /// Time passes. The shell calls it every `tuning.tick`, after handing over all that its socket holds.
        case tick
        /// A datagram that was opened and decoded; `address` is where it came from.
        case received(SwimMessage, from: String)
        /// All nodes of the committed topology and the configured coordinators; replaces the previous roster.
        case roster([RosterEntry])
        /// We have applied this routing revision.
        case revisionApplied(Revision)
        /// The coordinators have committed our registration.
        case registered(SessionID)
        /// The topology shows this session of a node as failed: nobody needs our report any more.
        case deathSettled(NodeID, SessionID)
        /// Say good-bye; `departed` follows when it has been said often enough.
        case leave
    }

    package enum Action: Hashable, Sendable {
        case send(SwimMessage, to: String)
        /// A member is new or its status or profile changed.
        case memberChanged(MemberRecord)
        /// We have evidence of our own that this life of an agent is over (rule F2). Repeated until it is settled or refuted.
        case reportDeath(NodeID, Generation, SessionID)
        /// Somebody has a newer routing revision than any that we knew of (rule T2).
        case revisionHeard(Revision, from: NodeID)
        /// Another process lives under our name: a newer generation of us, or the same with another store. Told once.
        case identityInUse(MemberRecord)
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
    }

    /// What the protocol did since the start, for metrics.
    package struct Counters: Hashable, Sendable {
        package var probes: UInt64 = 0
        package var failedProbes: UInt64 = 0
        package var suspicions: UInt64 = 0
        package var refutations: UInt64 = 0
        package var verdicts: UInt64 = 0
        package var lateTicks: UInt64 = 0

        package init() {}
    }

    /// The time of a ping that was answered since this was last asked.
    package mutating func takeRoundTrip() -> Span? {
        defer { roundTrip = nil }
        return roundTrip
    }

    package let node: NodeID
    package let tuning: SwimTuning
    package internal(set) var life: Life
    package internal(set) var profile: MemberProfile
    package internal(set) var counters = Counters()
    /// How long the last answered ping took, until it is taken.
    var roundTrip: Span?
    /// Lifeguard's local health multiplier: 0 is healthy; scales our own times.
    package internal(set) var localHealth: Int64 = 0
    package internal(set) var revision: Revision = .none
    /// The newest revision that anybody has told of.
    package internal(set) var newestRevision: Revision = .none

    var table = MemberTable()
    var queue = GossipQueue()
    var generator: SeededGenerator
    var phase = Phase.running
    let startedAt: LogicalInstant
    var lastTick: LogicalInstant
    /// When a probe of ours was last answered.
    var lastAck: LogicalInstant?

    var probe: Probe?
    var probeOrder: [NodeID] = []
    var nextProbe: LogicalInstant
    var nextSequence: UInt64 = 0
    var relays: [Relay] = []

    var nextGossip: LogicalInstant
    var nextSync: LogicalInstant
    var nextReconnect: LogicalInstant
    var corrected: [Correction] = []
    var reports: [DeathReport] = []
    /// The newest session of each node that is known to have failed. Looked up only.
    var settled: [NodeID: SessionID] = [:]
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
    package init(
        node: NodeID, generation: Generation, profile: MemberProfile, tuning: SwimTuning, seed: UInt64, at now: LogicalInstant
    ) {
        precondition(profile.fits, "own addresses must be 1 to \(MemberProfile.addressBytes) bytes: \(profile)")
        self.node = node
        self.life = Life(generation: generation, incarnation: 0)
        self.profile = profile
        self.tuning = tuning
        generator = SeededGenerator(seed: seed)
        startedAt = now
        lastTick = now
        nextProbe = now
        nextGossip = now
        // A second exchange soon after the start, with another member than the first, finds those who started together with us.
        nextSync = now + .seconds(1)
        nextReconnect = now
        queue.insert(ownRecord)
    }

    package mutating func step(_ input: Input, at now: LogicalInstant) -> [Action] {
        var actions: [Action] = []
        switch input {
        case .tick: tick(at: now, &actions)
        case .received(let message, let address): receive(message, from: address, at: now, &actions)
        case .roster(let entries): adopt(entries, at: now, &actions)
        case .revisionApplied(let applied):
            revision = max(revision, applied)
            newestRevision = max(newestRevision, applied)
        case .registered(let session): publish(session)
        case .deathSettled(let node, let session): settle(node, session)
        case .leave: startLeaving(at: now)
        }
        return actions
    }

    /// All other members that we hold, in the order of their names.
    package var members: [Member] { table.all }
    package func member(_ node: NodeID) -> Member? { table[node] }

    /// Ourselves, as we tell others.
    package var ownRecord: MemberRecord {
        MemberRecord(node: node, life: life, status: phase == .running ? .alive : .left, profile: profile)
    }

    /// True when we have called others for a while and nobody answers: what we believe of them is worth nothing.
    package func isIsolated(at now: LogicalInstant) -> Bool {
        table.activeCount > 0 && now - (lastAck ?? startedAt) > tuning.probeInterval * (4 + 2 * localHealth)
    }

    private mutating func tick(at now: LogicalInstant, _ actions: inout [Action]) {
        let gap = now - lastTick
        lastTick = now
        if gap > tuning.tick + tuning.probeInterval / 2 { recoverFromPause(of: gap, at: now) }
        switch phase {
        case .departed: return
        case .leaving(let deadline):
            gossip(at: now, &actions)
            if queue.isEmpty || now >= deadline {
                phase = .departed
                actions.append(.departed)
            }
        case .running:
            probing(at: now, &actions)
            judgeSuspects(at: now, &actions)
            gossip(at: now, &actions)
            synchronize(at: now, &actions)
            reconnect(at: now, &actions)
            sendReports(at: now, &actions)
            reap(at: now)
        }
    }

    /// We were not running for `gap`. Whatever should have reached us in that time proves nothing.
    private mutating func recoverFromPause(of gap: Span, at now: LogicalInstant) {
        counters.lateTicks += 1
        sicken(by: 1)
        probe = nil
        relays = []
        nextProbe = now + tuning.probeInterval
        table.update { $0.suspicion?.postpone(by: gap) }
    }

    /// The profile changes with the session, and a profile is fixed for one incarnation.
    private mutating func publish(_ session: SessionID) {
        guard session != profile.session else { return }
        profile.session = session
        life.incarnation += 1
        queue.insert(ownRecord)
    }

    private mutating func startLeaving(at now: LogicalInstant) {
        guard phase == .running else { return }
        life.incarnation += 1
        phase = .leaving(until: now + .seconds(1))
        probe = nil
        queue.insert(ownRecord)
    }

    mutating func sicken(by amount: Int64) { localHealth = min(tuning.healthCeiling, localHealth + amount) }
    mutating func recover() { localHealth = max(0, localHealth - 1) }

    /// Members who should be counted on: at least the roster, so that a newcomer who knows few does not gossip too little.
    var memberCount: Int {
        1 + max(table.all.count { $0.inRoster && $0.status != .left }, table.activeCount)
    }

    /// Up to `count` members for which `condition` holds, chosen without repetition.
    mutating func pick(_ count: Int, where condition: (Member) -> Bool) -> [Member] {
        var candidates = table.all.filter(condition)
        var picked: [Member] = []
        while picked.count < count, !candidates.isEmpty {
            picked.append(candidates.remove(at: Int.random(in: 0..<candidates.count, using: &generator)))
        }
        return picked
    }

    mutating func sequence() -> UInt64 {
        nextSequence += 1
        return nextSequence
    }

    /// Fills a message with rumours up to the size of a datagram: `first` before what the queue holds.
    mutating func message(_ body: SwimMessage.Body, first: [MemberRecord] = []) -> SwimMessage {
        var budget = Limits.datagramBytes - SwimMessage.overhead(from: node, body: body)
        for record in first { budget -= record.weight }
        let rumours =
            first + queue.take(budget: budget, limit: tuning.retransmits(members: memberCount), except: first.map(\.node))
        return SwimMessage(from: node, life: life, revision: revision, body: body, rumours: rumours)
    }
}
