package import Model

/// Every time and count of the protocol. Two named sets; each figure states what it trades.
package struct SwimTuning: Hashable, Sendable {
    /// How often the shell calls `tick`: the resolution of every other time here.
    package var tick: Span
    /// One member is probed per interval (SWIM's protocol period).
    package var probeInterval: Span
    /// A direct ping waits this long before helpers are asked.
    package var probeTimeout: Span
    /// Rumours are sent on their own this often while there are any.
    package var gossipInterval: Span
    /// Members told in each round of gossip.
    package var gossipFanout: Int
    /// Members asked to ping for us.
    package var helpers: Int
    /// Suspicion lasts at least `suspicionFactor * max(1, log10 N) * probeInterval`, and at most `suspicionStretch` times that.
    package var suspicionFactor: Int64
    package var suspicionStretch: Int64
    /// For so long after we have met a life, `youthPatience` times the usual time passes before it is held dead: processes that start
    /// together on a small machine starve one another for a moment, and a failover for each of them would only add to that.
    package var youth: Span
    package var youthPatience: Int64
    /// Independent suspicions that bring a suspicion from its longest to its shortest (K of Lifeguard).
    package var confirmations: Int
    /// A rumour is sent `retransmitFactor * ceil(log10(N + 1))` times by each member.
    package var retransmitFactor: Int
    /// All records are exchanged with a random member this often.
    package var syncInterval: Span
    /// The dead and the never heard of the roster are called this often, one at a time, so that every cut heals.
    package var reconnectInterval: Span
    /// A roster member of whom nothing was heard since our own start is not reported dead before this much time.
    package var unheardGrace: Span
    /// An unanswered report of a death is repeated after this.
    package var reportInterval: Span
    /// Dead or gone members outside the roster are forgotten after this.
    package var reapAfter: Span
    /// The largest local health multiplier (Lifeguard).
    package var healthCeiling: Int64

    /// One site: a death is known to thirty members in about two seconds, for eight datagrams a second.
    package static let fast = SwimTuning(
        tick: .milliseconds(25), probeInterval: .milliseconds(250), probeTimeout: .milliseconds(125),
        gossipInterval: .milliseconds(100), syncInterval: .seconds(10), reconnectInterval: .seconds(3),
        unheardGrace: .seconds(10), reportInterval: .milliseconds(500))

    /// Larger or slower networks: memberlist's figures, two datagrams a second.
    package static let lan = SwimTuning(
        tick: .milliseconds(100), probeInterval: .seconds(1), probeTimeout: .milliseconds(500),
        gossipInterval: .milliseconds(200), syncInterval: .seconds(30), reconnectInterval: .seconds(15),
        unheardGrace: .seconds(30), reportInterval: .seconds(1))

    package init(
        tick: Span, probeInterval: Span, probeTimeout: Span, gossipInterval: Span, syncInterval: Span, reconnectInterval: Span,
        unheardGrace: Span, reportInterval: Span
    ) {
        self.tick = tick
        self.probeInterval = probeInterval
        self.probeTimeout = probeTimeout
        self.gossipInterval = gossipInterval
        self.syncInterval = syncInterval
        self.reconnectInterval = reconnectInterval
        self.unheardGrace = unheardGrace
        self.reportInterval = reportInterval
        gossipFanout = 3
        helpers = 3
        suspicionFactor = 4
        suspicionStretch = 6
        youth = .seconds(5)
        youthPatience = 3
        confirmations = 2
        retransmitFactor = 4
        reapAfter = .seconds(24 * 3_600)
        healthCeiling = 8
    }

    /// How often each member sends one rumour, in a cluster of `count`.
    func retransmits(members count: Int) -> Int {
        var digits = 1
        var power = 10
        while power < count + 1 {
            digits += 1
            power *= 10
        }
        return retransmitFactor * digits
    }
}
