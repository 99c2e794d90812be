package import Model

/// Every time and count of the protocol that depends on the network. Three named sets; each figure states what it trades.
package struct SwimTuning: Hashable, Sendable {
    /// How soon the next tick is due while anything is under way: the resolution of every other time here.
    package var tick: Span
    /// One member is probed per interval (SWIM's protocol period).
    package var probeInterval: Span
    /// A direct ping waits this long before helpers, and the link, are asked.
    package var probeTimeout: Span
    /// Rumours are sent on their own this often while there are any; those told to nobody yet, in a quarter of it.
    package var gossipInterval: Span
    /// Members told in each round of gossip.
    package var gossipFanout: Int
    /// Members asked to ping for us.
    package var helpers: Int
    /// Suspicion lasts at least `suspicionTenths / 10 * max(1, log10 N) * probeInterval` and no less than the floor, and at most
    /// `suspicionStretch` times that.
    package var suspicionTenths: Int64
    package var suspicionStretch: Int64
    /// However small the cluster, a pause of this length is survived, as long as a collector or a busy disk may make one.
    package var suspicionFloor: Span
    /// For so long after we have met a life, `youthPatience` times the usual time passes before it is held dead: processes that start
    /// together on a small machine starve one another for a moment, and a failover for each of them would only add to that.
    package var youth: Span
    package var youthPatience: Int64
    /// Independent suspicions that bring a suspicion from its longest to its shortest (K of Lifeguard).
    package var confirmations: Int
    /// A rumour is sent `ln N` and this many times by each member: of e^9, eight thousand rumours, one is missed by anybody.
    package var certainty: Int
    /// What is held is compared with a random member's this often.
    package var syncInterval: Span
    /// The dead and the never heard of the roster are called this often on the average, one at a time, so that every cut heals.
    package var reconnectInterval: Span
    /// A roster member of whom nothing was heard since our own start is not reported dead before this much time.
    package var unheardGrace: Span
    /// An unanswered report of a death is repeated after this.
    package var reportInterval: Span
    /// Dead or gone members outside the roster are forgotten after this.
    package var reapAfter: Span
    /// The largest local health multiplier (Lifeguard).
    package var healthCeiling: Int64
    /// Members that no roster names: who has not registered yet, in a cluster that starts with some thousands at once. Whoever has a
    /// key can name as many more as it likes; with these, of about a kilobyte each, a process bears it.
    package var strangers: Int
    #if MUTANTS
        /// The planted bug.
        package var mutant: SwimMutant?
    #endif

    /// One site: a silent host is known to a hundred members in two seconds, for eight datagrams a second.
    package static let fast = SwimTuning(
        tick: .milliseconds(25), probeInterval: .milliseconds(250), probeTimeout: .milliseconds(125),
        gossipInterval: .milliseconds(100), suspicionTenths: 28, suspicionFloor: .milliseconds(1_200),
        syncInterval: .seconds(10),
        reconnectInterval: .seconds(3), unheardGrace: .seconds(10), reportInterval: .milliseconds(500))

    /// Larger or slower networks: memberlist's figures, two datagrams a second. Where there are many, a suspicion is a tenth shorter
    /// than its: an accusation, and what refutes it, is told sooner here.
    package static let lan = SwimTuning(
        tick: .milliseconds(50), probeInterval: .seconds(1), probeTimeout: .milliseconds(500),
        gossipInterval: .milliseconds(200), suspicionTenths: 36, suspicionFloor: .seconds(4), syncInterval: .seconds(30),
        reconnectInterval: .seconds(15), unheardGrace: .seconds(30), reportInterval: .seconds(1))

    /// Sites far apart: memberlist's figures too; a lost path of seconds is no death.
    package static let wan: SwimTuning = {
        var tuning = SwimTuning(
            tick: .milliseconds(250), probeInterval: .seconds(5), probeTimeout: .seconds(3), gossipInterval: .milliseconds(500),
            suspicionTenths: 60, suspicionFloor: .zero, syncInterval: .seconds(60), reconnectInterval: .seconds(30),
            unheardGrace: .seconds(120), reportInterval: .seconds(5))
        tuning.gossipFanout = 4
        return tuning
    }()

    /// Nil when no set has this name.
    package static func named(_ name: String) -> SwimTuning? {
        switch name {
        case "fast": fast
        case "lan": lan
        case "wan": wan
        default: nil
        }
    }

    package init(
        tick: Span, probeInterval: Span, probeTimeout: Span, gossipInterval: Span, suspicionTenths: Int64, suspicionFloor: Span,
        syncInterval: Span, reconnectInterval: Span, unheardGrace: Span, reportInterval: Span
    ) {
        self.tick = tick
        self.probeInterval = probeInterval
        self.probeTimeout = probeTimeout
        self.gossipInterval = gossipInterval
        self.suspicionTenths = suspicionTenths
        self.suspicionFloor = suspicionFloor
        self.syncInterval = syncInterval
        self.reconnectInterval = reconnectInterval
        self.unheardGrace = unheardGrace
        self.reportInterval = reportInterval
        gossipFanout = 3
        helpers = 3
        suspicionStretch = 6
        youth = .seconds(5)
        youthPatience = 3
        confirmations = 2
        certainty = 9
        reapAfter = .seconds(24 * 3_600)
        healthCeiling = 8
        strangers = 4_096
    }

    /// The least time that a suspect has, in a cluster of `count`.
    func shortestSuspicion(members count: Int) -> Span {
        max(suspicionFloor, probeInterval * suspicionTenths * hundredthsOfLog10(count) / 1_000)
    }

    /// How long a handshake may take that shows that its process runs: where it takes longer than a period, it still ends the suspicion
    /// that has begun meanwhile, which lasts longer than this.
    package var handshakeTimeout: Span { max(suspicionFloor, probeInterval * suspicionTenths / 10) }

    /// How often each member sends one rumour, in a cluster of `count`.
    func timesTold(members count: Int) -> Int {
        // 1024 / ln 2
        certainty + Int((logarithmOfTwoTo(Int64(count)) + 1_476) / 1_477)
    }
}

/// Every bound that no network changes, with its unit and its reason.
enum SwimLimits {
    /// Rumours that wait to be told: a member's memory in a storm. What is dropped, most told and worst first, a digest mends later.
    static let rumours = 4_096
    /// Rumours that are passed over because they do not fit what is left of a datagram: who looks at thousands to find a short one pays
    /// more for it than it is worth.
    static let passedOver = 16
    /// Bytes below which no record fits.
    static let leastWeight = 84
    /// Pings are numbered from a number of so many bits fewer than 64: of 28, four bytes each, of which a process uses one in a thousand
    /// in a day.
    static let sequenceShift = 36
    /// Relays kept at once: one helper serves few origins in a period; more is a flood.
    static let relays = 64
    /// Nodes that are told of their past, or asked who they are, in one period.
    static let corrections = 256
    /// Refused links that are looked into at once: a rack's worth.
    static let refusals = 64
    /// Witnesses of a refused link that make a death certain: two do not err in the same way at the same time (rule F2).
    static let refusers = 2
    /// An incarnation above this, of whom no higher one is known, is a mistake: nobody refutes so often in one life, and what is held of
    /// a member must leave it room to refute.
    static let incarnation: UInt64 = 1 << 48
    /// By how much a member's own word may exceed that, or the last that was heard: so often it may have refuted unheard.
    static let refutations: UInt64 = 1 << 20
    /// By how much a generation may exceed the one that is held, or none: a start a minute for two years. Twice as much is believed of
    /// those who live, since who is told of such a one begins behind it.
    static let generations: UInt64 = 1 << 20
    /// More is believed of nobody, not on its own word.
    static let latestGeneration = Limits.latestStart
    /// Datagrams of records in one exchange: below what a socket's buffer holds. The next exchange begins elsewhere.
    static let recordPages = 32
    /// Calls that a suspect leaves unanswered before we believe a verdict on it: any one may be lost.
    static let callsInVain = 2
    /// Suspects that wait to be probed by us as one of those nearest to them: a rack's worth.
    static let doubts = 64
    /// Revisions that were found wrong and are remembered, so that those who still tell of them are not heeded. One source has one.
    static let disbelievedRevisions = 8
    /// Who speaks at once of a death (rule F7).
    static let firstSpeakers = 3
    /// For how long the death of a member is reported that no roster names: its registration may be committed, and not known here yet.
    static let strangerReports = Span.seconds(60)
    /// Deaths in one report.
    static let deathsOfReport = FoundDeath.mostOfReport
}
