// The links between hosts, each way by itself: delay, loss, doubles, overtaking, cuts and clogs.

package import Model

/// What every link does to messages, in thousandths and spans.
package struct Weather: Hashable, Sendable {
    package var loss: UInt64 = 0
    package var doubles: UInt64 = 0
    /// Of messages that do not keep their place in the row.
    package var overtaking: UInt64 = 0
    package var delay: ClosedRange<Int64> = 100...1_000

    package init(loss: UInt64 = 0, doubles: UInt64 = 0, overtaking: UInt64 = 0, delay: ClosedRange<Int64> = 100...1_000) {
        self.loss = loss
        self.doubles = doubles
        self.overtaking = overtaking
        self.delay = delay
    }
}

package struct SimulatedNetwork: Sendable {
    private struct Link: Sendable {
        var lastArrival = LogicalInstant.origin
        /// How many faults cut it now.
        var cuts = 0
        var clogged = LogicalInstant.origin
    }

    private let hosts: Int
    private var links: [Link]
    package var weather: Weather

    package init(hosts: Int, weather: Weather) {
        self.hosts = hosts
        self.weather = weather
        links = Array(repeating: Link(), count: hosts * hosts)
    }

    package func isCut(from: Int, to: Int) -> Bool {
        from < hosts && to < hosts && links[from * hosts + to].cuts > 0
    }

    package mutating func cut(from: Int, to: Int) { links[from * hosts + to].cuts += 1 }
    package mutating func mend(from: Int, to: Int) {
        links[from * hosts + to].cuts = max(links[from * hosts + to].cuts - 1, 0)
    }

    /// Messages on this link, those under way too, wait until `instant`.
    package mutating func clog(from: Int, to: Int, until instant: LogicalInstant) {
        links[from * hosts + to].clogged = max(links[from * hosts + to].clogged, instant)
    }

    package func cloggedUntil(from: Int, to: Int) -> LogicalInstant {
        from < hosts && to < hosts ? links[from * hosts + to].clogged : .origin
    }

    /// Everything works again.
    package mutating func mendAll(weather: Weather) {
        self.weather = weather
        for link in links.indices { (links[link].cuts, links[link].clogged) = (0, .origin) }
    }

    /// When a message that is sent now arrives: never, once or twice.
    package mutating func arrivals(
        from: Int, to: Int, at now: LogicalInstant, _ random: inout SeededGenerator
    ) -> (LogicalInstant?, LogicalInstant?) {
        guard !isCut(from: from, to: to) else { return (nil, nil) }
        let luck = random.next()
        if luck % 1_000 < weather.loss { return (nil, nil) }
        let first = arrival(from: from, to: to, at: now, &random)
        guard (luck >> 10) % 1_000 < weather.doubles else { return (first, nil) }
        return (first, arrival(from: from, to: to, at: now, &random))
    }

    private mutating func arrival(
        from: Int, to: Int, at now: LogicalInstant, _ random: inout SeededGenerator
    ) -> LogicalInstant {
        let luck = random.next()
        let width = UInt64(weather.delay.upperBound - weather.delay.lowerBound + 1)
        let arrival = now + .microseconds(weather.delay.lowerBound + Int64(luck % width))
        guard from < hosts, to < hosts, (luck >> 40) % 1_000 >= weather.overtaking else { return arrival }
        let link = from * hosts + to
        links[link].lastArrival = max(arrival, links[link].lastArrival)
        return links[link].lastArrival
    }
}
