// One seed of a whole cluster, from its plan to its verdict: a phase of faults in which nothing may break, then calm, in which everything
// must work again, and come to rest, within a bound.

import AgentCore
import Consensus
import CoordinatorCore
package import Model
import Replication
package import SimulationKit

package struct ClusterRun {
    package typealias Failure = RunFailure

    package struct Summary: Hashable, Sendable {
        package var digest: UInt64 = 0
        package var simulated = Span.zero
        package var events: UInt64 = 0
        /// Revisions of the topology.
        package var revisions = 0
        package var acknowledged = 0
        package var answered = 0
        /// Operations that ended well, by kind.
        package var operations = ""
        package var undecided = 0
        /// Requests under a key that was used before, and reads that copies answered by themselves.
        package var repeats = 0
        package var copyReads = 0
        /// Coordinators that came back with an empty disk.
        package var lostDisks = 0
        /// And agents.
        package var lostAgentDisks = 0
        /// An agent went, and the others were whole without it.
        package var didWithout = false
        /// How often the key of tokens was exchanged, and that of gossip.
        package var tokenKeysExchanged = 0
        package var gossipKeysExchanged = 0
        /// How often the coordinators' group has changed.
        package var groupChanges = 0
        /// Nodes of which a drain was wanted to the end, and those that are gone for good.
        package var drained = 0
        package var decommissioned = 0
        /// Segments that agents dropped from their logs, and snapshots that learners took in.
        package var droppedSegments = 0
        package var snapshots = 0
    }

    package static let recoveryBound = Span.seconds(60)
    package static let restBound = Span.seconds(60)
    /// Callers are answered within a second, and commands that were lost are given up.
    package static let forgettingBound = Span.seconds(5)

    package let seed: UInt64
    package let storm: Span
    package var options: ClusterOptions
    package var plan: FaultPlan
    package var lines = 0

    package init(seed: UInt64, bug: ClusterBug? = nil, storm: Span = .seconds(30)) {
        self.seed = seed
        self.storm = storm
        options = ClusterOptions(seed: seed)
        // By lots of their own, so that what else a seed draws is the same with them and without them.
        var changes = SeededGenerator(seed: seed ^ 0x006A_0C4D)
        let changesGroup = changes.next() % 2 == 1
        if changesGroup { options.spares = 1 + Int(changes.next() % 2) }
        var keyChanges = SeededGenerator(seed: seed ^ 0x00C4_A9EC)
        options.exchangesKeys = keyChanges.next() % 2 == 1
        options.plant(bug)
        plan = FaultPlan.drawn(seed: seed, hosts: options.hosts, during: storm)
        let coordinators = options.coordinators
        plan.faults = plan.faults.compactMap { Self.bearable($0, coordinators: coordinators) }
        var random = SeededGenerator(seed: seed ^ 0x0FE2_A702)
        // Some storms are light, so that much is begun, and ends well.
        if random.next() % 2 == 0 { plan.faults = plan.faults.filter { _ in random.next() % 4 == 0 } }
        plan.faults += Self.errands(during: storm, &random)
        if random.next() % 2 == 0 { plan.faults += Self.losses(of: coordinators, during: storm, &random) }
        if changesGroup {
            plan.faults += Self.occasions(for: Errand.groupChanges, every: .seconds(1), during: storm, &changes)
        }
        if options.exchangesKeys {
            plan.faults += Self.occasions(for: Errand.keyChanges, every: .seconds(2), during: storm, &keyChanges)
        }
        var departures = SeededGenerator(seed: seed ^ 0x00DE_9A27)
        if departures.next() % 2 == 1 {
            plan.faults += Self.occasions(for: Errand.departures, every: .seconds(5), during: storm, &departures)
        }
        plan.faults.sort { $0.at < $1.at }
        var losses = SeededGenerator(seed: seed ^ 0x00A6_E75E)
        options.sparesAgent = options.agents > options.copies && losses.next() % 2 == 1
        if losses.next() % 2 == 1 { plan = plan.losingAgents(options, during: storm, &losses) }
    }

    /// What an operator does meanwhile: something every second or so.
    private static func errands(during storm: Span, _ random: inout SeededGenerator) -> [TimedFault] {
        var errands: [TimedFault] = []
        var at = LogicalInstant.origin + .seconds(2)
        // Some operators move nothing, so that what was cut can be joined again.
        let kinds = random.next() % 3 == 0 ? Errand.kindsInPlace : Array(0..<Errand.kinds)
        while at < .origin + storm {
            let kind = kinds[Int(random.next() % UInt64(kinds.count))]
            errands.append(TimedFault(at: at, lasting: .zero, fault: .act(kind, seed: random.next())))
            at = at + .milliseconds(Int64(100 + random.next() % 2_000))
        }
        return errands
    }

    /// What an operator comes back to now and then.
    private static func occasions(
        for kinds: [Int], every span: Span, during storm: Span, _ random: inout SeededGenerator
    ) -> [TimedFault] {
        var errands: [TimedFault] = []
        var at = LogicalInstant.origin + .seconds(2)
        while at < .origin + storm {
            let kind = kinds[Int(random.next() % UInt64(kinds.count))]
            errands.append(TimedFault(at: at, lasting: .zero, fault: .act(kind, seed: random.next())))
            at = at + .microseconds(Int64(random.next() % UInt64(2 * span.microseconds)))
        }
        return errands
    }

    /// Disks of coordinators, of which the plan that was drawn for all hosts has few.
    private static func losses(
        of coordinators: Int, during storm: Span, _ random: inout SeededGenerator
    ) -> [TimedFault] {
        (0...random.next() % 4).map { _ in
            let at = LogicalInstant.origin + .microseconds(Int64(random.next() % UInt64(max(storm.microseconds, 1))))
            let lasting = Span.milliseconds(Int64(100 + random.next() % 3_000))
            return TimedFault(at: at, lasting: lasting, fault: .wipe(Int(random.next() % UInt64(coordinators))))
        }
    }

    /// The rules count on clocks that drift by one part in a hundred between any two (rule L2), and that count suspend: one that leaps
    /// while its process runs is no such clock.
    private static func bearable(_ timed: TimedFault, coordinators: Int) -> TimedFault? {
        switch timed.fault {
        case .drift(let host, let millionths):
            TimedFault(at: timed.at, lasting: timed.lasting, fault: .drift(host, millionths: millionths / 21))
        case .leap(let host, _) where host >= coordinators: nil
        // Lost in any moment, while others die, it may have been the last that there was: see AgentLosses.
        case .wipe(let host) where host >= coordinators: nil
        case .flipBit, .misdirect: nil
        default: timed
        }
    }

    package func run() -> Result<Summary, Failure> { told().result }

    /// Runs the seed again with lines, and with as few faults as still make it fail in the same way.
    package func explained(_ failure: Failure, tries: Int = 100) -> Failure {
        var short = self
        short.lines = 0
        let kept = shrink(plan.faults, budget: tries) { faults in
            short.plan.faults = faults
            guard case .failure(let other) = short.run() else { return false }
            return other.isAlike(failure)
        }
        short.plan.faults = kept
        short.lines = 200
        if case .failure(let explained) = short.run() { return explained }
        return failure
    }

    /// Runs the seed once, and tells the last `lines` lines of what happened, however it ends.
    package func told() -> (result: Result<Summary, Failure>, lines: [String]) {
        var simulation: Simulation<Cluster>
        do {
            simulation = try Simulation(
                Cluster(options, seed: seed), hosts: options.hosts, seed: seed, plan: plan, lines: lines)
        } catch {
            return (.failure(Failure(seed: seed, at: .origin, step: 0, violation: "\(error)", faults: plan.faults)), [])
        }
        do throws(Violation) {
            let undecided = try live(&simulation)
            let checks = simulation.system.checks
            var summary = Summary(
                digest: simulation.trace.digest, simulated: simulation.now - .origin, events: simulation.trace.events,
                revisions: checks.revisions, acknowledged: checks.acknowledgements,
                answered: simulation.system.clients.answered, undecided: undecided)
            (summary.droppedSegments, summary.snapshots) = (checks.droppedSegments, checks.snapshots)
            (summary.repeats, summary.copyReads) = (simulation.system.clients.repeats, simulation.system.clients.copyReads)
            summary.lostDisks = simulation.system.lostDisks
            summary.lostAgentDisks = checks.losses.disks
            summary.didWithout = checks.losses.gone != nil
            summary.tokenKeysExchanged = simulation.system.keys.exchanged
            summary.gossipKeysExchanged = checks.gossip.exchanged
            summary.groupChanges = checks.groupChanges
            summary.drained = checks.truth.nodes.values.count(where: \.isDrainWanted)
            summary.decommissioned = checks.truth.nodes.values.count { $0.status == .decommissioned }
            let done = checks.truth.operations.values.filter { $0.phase == .succeeded }.map(\.kind.name)
            summary.operations = Set(done).sorted().map { kind in "\(done.count { $0 == kind }) \(kind)" }.joined(
                separator: ", ")
            return (.success(summary), simulation.trace.lines)
        } catch {
            let failure = Failure(
                seed: seed, at: simulation.now, step: simulation.trace.events, violation: error.description,
                faults: plan.faults, lines: simulation.trace.lines)
            return (.failure(failure), failure.lines)
        }
    }

    /// - Returns: on how many registers the verdict is open.
    private func live(_ simulation: inout Simulation<Cluster>) throws(Violation) -> Int {
        simulation.schedule(.prepare, after: .milliseconds(500))
        if options.exchangesKeys { simulation.schedule(.lookAtKeys, after: .milliseconds(500)) }
        for event in simulation.system.clients.firstEvents { simulation.schedule(.client(event), after: .milliseconds(1)) }
        try simulation.run(until: .origin + storm)
        try simulation.calm(core: Array(0..<options.hosts))
        simulation.system.clients.isCalm = true
        try comesToRest(&simulation)
        if options.sparesAgent, let node = simulation.system.spare(seed) {
            // In the midst of what clients do.
            simulation.system.clients.isStopped = false
            for event in simulation.system.clients.firstEvents { simulation.schedule(.client(event), after: .milliseconds(1)) }
            try simulation.run(until: simulation.now + .seconds(1))
            simulation.loseForGood(node)
            try comesToRest(&simulation)
        }
        try simulation.system.checks.verdict(simulation.processes)
        try simulation.system.checks.keepAcknowledged(simulation.registers)
        return try simulation.system.clients.verdict(simulation.registers, at: simulation.now)
    }
}

extension ClusterRun {
    private func comesToRest(_ simulation: inout Simulation<Cluster>) throws(Violation) {
        simulation.system.clients.countAnew()
        try simulation.waits("every register takes writes again", atMost: Self.recoveryBound) { simulation in
            simulation.system.clients.writtenInCalm.count == ClusterOptions.keys ? nil : "\(simulation.unrest ?? "at rest")"
        }
        simulation.system.clients.isStopped = true
        try simulation.waits("all comes to rest", atMost: Self.restBound) { $0.unrest }
        try simulation.waits("nothing is kept of what has ended", atMost: Self.forgettingBound) { $0.remains }
    }
}

extension Simulation where System == Cluster {
    var processes: [ClusterProcess?] { (0..<hostCount).map { process($0) } }

    var unrest: String? {
        if system.keys.isUnderWay { return "a key is being exchanged" }
        return system.clients.isQuiet || !system.clients.isStopped ? system.checks.unrest(processes, at: now) : "clients wait"
    }

    var remains: String? { system.checks.remains(in: processes, system.options) }

    /// What the primaries hold.
    var registers: [Int: UInt64] {
        var values: [Int: UInt64] = [:]
        for partition in system.checks.truth.partitions.values {
            let host = partition.primary.flatMap { system.places.host(of: $0) }
            let held = host.flatMap { process($0)?.agent?.engine[partition.id] }
            values.merge(held?.values ?? [:]) { first, _ in first }
        }
        return values
    }

    mutating func order(_ errand: Errand) {
        for host in system.places.coordinators { tell(.errand(errand), to: host) }
    }

    /// Of whose coming or going an operator has to be reminded.
    private var isGroupUnsettled: Bool {
        let leader = processes.lazy.compactMap { $0?.coordinator?.core }.first { $0.raft.isLeader }
        guard let leader, system.options.spares > 0, !leader.raft.isChangeUnderWay else { return false }
        return Errand.settleGroup.order(at: leader, system.places, present: [:]) != nil
    }

    /// Looks ten times a second whether nothing is missing any more. What an operator has paused goes on, and what he has begun with the
    /// group is brought to its end.
    mutating func waits(
        _ what: String, atMost bound: Span, _ lack: (Self) -> String?
    ) throws(Violation) {
        let end = now + bound
        while let missing = lack(self) {
            guard now < end else { throw Violation("\(what) not within \(bound) of calm: \(missing)") }
            if system.checks.truth.operations.values.contains(where: { $0.pause != nil }) { order(.resumeAll) }
            if isGroupUnsettled { order(.settleGroup) }
            try run(until: now + .milliseconds(100))
        }
    }
}
