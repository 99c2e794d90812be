// How long gateways take to answer, as seen from here: where a read that any replica may answer goes.

/// Smoothed times of answers, and who is nearest by them.
package struct GatewayLatencies: Sendable {
    private struct Latency: Sendable {
        var smoothed: Duration
        var at: ContinuousClock.Instant
    }

    /// What was measured so long ago is measured again: hosts and networks change, and who is never asked can never be found nearer.
    static let validity = Duration.seconds(10)
    /// Who did not answer, or was too far behind to, counts as at least so far away.
    static let penalty = Duration.seconds(1)
    /// More gateways than one client reads from.
    static let limit = 1_024

    private var known: [String: Latency] = [:]

    package init() {}

    /// Takes a new measurement in with a weight of an eighth, as TCP does with round trips (RFC 6298).
    package mutating func answered(_ gateway: String, after span: Duration, at now: ContinuousClock.Instant) {
        var smoothed = span
        if let old = known[gateway], now - old.at < Self.validity, old.smoothed < Self.penalty {
            smoothed = (old.smoothed * 7 + span) / 8
        }
        note(gateway, Latency(smoothed: smoothed, at: now))
    }

    package mutating func failed(_ gateway: String, at now: ContinuousClock.Instant) {
        note(gateway, Latency(smoothed: Self.penalty, at: now))
    }

    private mutating func note(_ gateway: String, _ latency: Latency) {
        if known[gateway] == nil, known.count >= Self.limit,
            let oldest = known.min(by: { ($0.value.at, $0.key) < ($1.value.at, $1.key) })
        {
            known[oldest.key] = nil
        }
        known[gateway] = latency
    }

    /// The nearest of these; one of which too little is known goes first, so that each is measured.
    package func nearest(
        of gateways: [String], at now: ContinuousClock.Instant, random: inout some RandomNumberGenerator
    ) -> String? {
        let unknown = gateways.filter { gateway in known[gateway].map { now - $0.at >= Self.validity } ?? true }
        if let one = unknown.randomElement(using: &random) { return one }
        return gateways.min { one, other in
            (known[one]?.smoothed ?? .zero, one) < (known[other]?.smoothed ?? .zero, other)
        }
    }
}
