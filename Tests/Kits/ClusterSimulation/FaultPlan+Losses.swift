// Where agents' disks are lost in a plan: each in a moment in which nobody else dies or falls silent, since what is promised is that one
// copy may go at a time. Those who lose them may well die again, and coordinators for a moment; and operators do what they like.

import Model
import SimulationKit

extension FaultPlan {
    /// How long before a loss the others are let be, so that whoever was held for dead is known not to be, and how long after it, so that
    /// the coordinators know of it.
    private static let quietBefore = Span.seconds(4)
    private static let quietAfter = Span.seconds(8)
    /// What a host may suffer meanwhile that is one of those concerned.
    private static let longest = Span.seconds(1)

    /// - Returns: the same with one or two losses, and without what would go on beside them.
    func losingAgents(_ options: ClusterOptions, during storm: Span, _ random: inout SeededGenerator) -> FaultPlan {
        // Where messages are always lost, healthy nodes are held for dead now and then.
        guard base.loss == 0 else { return self }
        var plan = self
        let count = 1 + random.next() % 2
        for number in 0..<count {
            let host = options.coordinators + Int(random.next() % UInt64(options.agents))
            let half = storm.microseconds / Int64(count)
            let spread = UInt64(max(half / 2, 1))
            let offset = Int64(number) * half + half / 4 + Int64(random.next() % spread)
            let at = LogicalInstant.origin + .microseconds(offset)
            let lasting = Span.milliseconds([20, 200, 2_000][Int(random.next() % 3)] + Int64(random.next() % 1_000))
            plan.faults.removeAll { Self.disturbs($0, lossOf: host, from: at, until: at + lasting, options) }
            plan.faults.append(TimedFault(at: at, lasting: lasting, fault: .wipe(host)))
        }
        plan.faults.sort { $0.at < $1.at }
        return plan
    }

    private static func disturbs(
        _ timed: TimedFault, lossOf host: Int, from start: LogicalInstant, until end: LogicalInstant, _ options: ClusterOptions
    ) -> Bool {
        // One that counts steps of the disk comes later than it says.
        let over = timed.at + timed.lasting + .seconds(2)
        guard timed.at < end + quietAfter, start < over + quietBefore else { return false }
        let agents = options.coordinators..<options.coordinators + options.agents
        func isBearable(_ struck: Int) -> Bool {
            guard struck != host else { return timed.at < start && over < start || timed.lasting <= longest }
            return !agents.contains(struck) && timed.lasting <= longest
        }
        switch timed.fault {
        case .act, .drift, .leap: return false
        case .cut(let from, let to), .clog(let from, let to): return from != host && to != host || !isBearable(host)
        case .split(let side): return side != 1 << UInt64(host) || !isBearable(host)
        case .weather: return true
        case .kill(let struck, _), .powerLoss(let struck, _), .pause(let struck), .suspend(let struck), .wipe(let struck),
            .slowDisk(let struck, _), .stallDisk(let struck), .failDisk(let struck, _), .fullDisk(let struck),
            .flipBit(let struck, _), .misdirect(let struck, _):
            return !isBearable(struck)
        }
    }
}
