// What goes wrong, as a list that one seed draws, that a run carries out, and that a shrinker can shorten.

package import Model

package enum Fault: Hashable, Sendable {
    /// Messages of one direction are lost.
    case cut(from: Int, to: Int)
    /// Hosts whose bit is set, and the others, do not hear each other.
    case split(UInt64)
    /// Messages of one direction wait until the end.
    case clog(from: Int, to: Int)
    case weather(Weather)
    /// The process dies, `afterSteps` of its disk from now (zero: at once), and starts again at the end.
    case kill(Int, afterSteps: Int)
    /// The same with the machine: what was not synced is up to luck.
    case powerLoss(Int, afterSteps: Int)
    /// The process stands still until the end; what was sent to it waits.
    case pause(Int)
    /// The machine stands still, its disk too, and its clock has gone on.
    case suspend(Int)
    case drift(Int, millionths: Int64)
    case leap(Int, Span)
    case slowDisk(Int, factor: Int64)
    case stallDisk(Int)
    /// The next step of the disk but `afterSteps` fails.
    case failDisk(Int, afterSteps: Int)
    case fullDisk(Int)
    case flipBit(Int, seed: UInt64)
    case misdirect(Int, seed: UInt64)
    /// The process dies and comes back with an empty disk.
    case wipe(Int)
    /// The system's own.
    case act(Int, seed: UInt64)
}

package struct TimedFault: Hashable, Sendable, CustomStringConvertible {
    package let at: LogicalInstant
    package let lasting: Span
    package let fault: Fault

    package init(at: LogicalInstant, lasting: Span, fault: Fault) {
        self.at = at
        self.lasting = lasting
        self.fault = fault
    }

    package var description: String { "\(at) for \(lasting): \(fault)" }
}

/// The kinds among which a seed chooses.
package enum FaultKind: Int, CaseIterable, Sendable {
    case cut, isolate, split, clog, swizzle, weather, kill, powerLoss, allPowerLoss, pause, suspend, drift, leap, slowDisk,
        stallDisk, failDisk, fullDisk, flipBit, misdirect, wipe, act
}

package struct FaultPlan: Sendable {
    package var base: Weather
    package var faults: [TimedFault]
    /// Microseconds that one step of a disk takes.
    package var diskLatency: ClosedRange<Int64>

    package init(base: Weather = Weather(), faults: [TimedFault] = [], diskLatency: ClosedRange<Int64> = 20...200) {
        self.base = base
        self.faults = faults
        self.diskLatency = diskLatency
    }

    /// Draws a plan: each kind is in with one chance of two and at a rate of its own, so that seeds differ in what they try, not only
    /// in when (swarm testing, Groce and others 2012).
    /// - Parameter acts: how many kinds of its own the system has.
    package static func drawn(seed: UInt64, hosts: Int, during span: Span, acts: Int = 0) -> FaultPlan {
        var random = SeededGenerator(seed: seed ^ 0x5EED_FA17)
        var plan = FaultPlan()
        plan.base = Self.weather(&random, rough: random.next() % 3 == 0)
        switch random.next() % 3 {
        case 0: plan.diskLatency = 20...200
        case 1: plan.diskLatency = 500...3_000
        default: plan.diskLatency = 50...20_000
        }
        for kind in FaultKind.allCases {
            let isIn = random.next() % 2 == 0
            // Events in a minute: one to sixteen, small numbers more often.
            let rate = Int64(1) << Int64(random.next() % 5)
            guard isIn, kind != .act || acts > 0 else { continue }
            var at = LogicalInstant.origin
            while true {
                at = at + .microseconds(Int64(random.next() % UInt64(2 * 60_000_000 / rate)))
                guard at < .origin + span else { break }
                plan.faults += Self.faults(kind, at: at, hosts: hosts, acts: acts, &random)
            }
        }
        plan.faults.sort { $0.at < $1.at }
        return plan
    }

    private static func weather(_ random: inout SeededGenerator, rough: Bool) -> Weather {
        let most: Int64 = [500, 2_000, 10_000, 40_000][Int(random.next() % 4)]
        guard rough else { return Weather(delay: 50...most) }
        return Weather(
            loss: random.next() % 200, doubles: random.next() % 100, overtaking: random.next() % 300, delay: 50...most * 4)
    }

    /// From ten milliseconds to ten seconds, each decade as likely.
    private static func span(_ random: inout SeededGenerator) -> Span {
        let decade: UInt64 = [10, 100, 1_000][Int(random.next() % 3)]
        return .milliseconds(Int64(decade + random.next() % (decade * 9)))
    }

    private static func faults(
        _ kind: FaultKind, at: LogicalInstant, hosts: Int, acts: Int, _ random: inout SeededGenerator
    ) -> [TimedFault] {
        let host = Int(random.next() % UInt64(hosts))
        let other = (host + 1 + Int(random.next() % UInt64(max(hosts - 1, 1)))) % hosts
        let lasting = span(&random)
        let steps = Int(random.next() % 12)
        func one(_ fault: Fault) -> [TimedFault] { [TimedFault(at: at, lasting: lasting, fault: fault)] }
        switch kind {
        case .cut: return one(.cut(from: host, to: other))
        case .isolate: return one(.split(1 << UInt64(host)))
        case .split: return one(.split(random.next() % (1 << UInt64(hosts))))
        case .clog: return one(.clog(from: host, to: other))
        case .swizzle:
            // A set of hosts is clogged one after the other, and freed in another order.
            return (0..<hosts).filter { _ in random.next() % 2 == 0 }.flatMap { clogged in
                let start = at + .microseconds(Int64(random.next() % 500_000))
                let span = span(&random)
                return (0..<hosts).filter { $0 != clogged }.map {
                    TimedFault(at: start, lasting: span, fault: .clog(from: $0, to: clogged))
                }
            }
        case .weather: return one(.weather(weather(&random, rough: true)))
        case .kill: return one(.kill(host, afterSteps: steps))
        case .powerLoss: return one(.powerLoss(host, afterSteps: steps))
        case .allPowerLoss: return (0..<hosts).flatMap { one(.powerLoss($0, afterSteps: 0)) }
        case .pause: return one(.pause(host))
        case .suspend: return one(.suspend(host))
        case .drift: return one(.drift(host, millionths: Int64(random.next() % 200_000) - 100_000))
        case .leap: return one(.leap(host, lasting))
        case .slowDisk: return one(.slowDisk(host, factor: 2 + Int64(random.next() % 50)))
        case .stallDisk: return one(.stallDisk(host))
        case .failDisk: return one(.failDisk(host, afterSteps: steps))
        case .fullDisk: return one(.fullDisk(host))
        case .flipBit: return one(.flipBit(host, seed: random.next()))
        case .misdirect: return one(.misdirect(host, seed: random.next()))
        case .wipe: return one(.wipe(host))
        case .act: return one(.act(Int(random.next() % UInt64(acts)), seed: random.next()))
        }
    }
}
