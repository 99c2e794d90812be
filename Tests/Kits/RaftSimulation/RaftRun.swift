// One seed, from its plan to its verdict: a phase of faults in which nothing may break, then calm for a quorum, in which everything
// must work again within a bound.

import Consensus
package import Model
package import SimulationKit

package struct RaftRun {
    package typealias Failure = RunFailure

    package struct Summary: Hashable, Sendable {
        package var digest: UInt64 = 0
        package var simulated = Span.zero
        package var events: UInt64 = 0
        package var committed = 0
        package var answered = 0
        /// Registers of which nobody knows whether an order explains the answers: the search was given up.
        package var undecided = 0
    }

    package static let calmBound = Span.seconds(30)
    /// In calm nobody has a reason to depose a leader: one must be seen to stay this long.
    package static let leastReign = Span.seconds(2)

    package let seed: UInt64
    package let storm: Span
    package var options: GroupOptions
    package var plan: FaultPlan
    package var lines = 0

    /// - Parameter storm: how long faults go on; a seed draws other ones for another length.
    package init(seed: UInt64, bug: PlantedBug? = nil, storm: Span = .seconds(60)) {
        self.seed = seed
        self.storm = storm
        options = GroupOptions(seed: seed)
        switch bug {
        case .shell(let mutant)?: options.mutant = mutant
        case .core(let mutant)?:
            #if MUTANTS
                options.settings.mutant = mutant
            #else
                preconditionFailure("\(mutant) needs a build with MUTANTS")
            #endif
        case nil: break
        }
        plan = FaultPlan.drawn(seed: seed, hosts: options.hosts, during: storm, acts: Errand.kinds)
    }

    /// Runs the seed once.
    package func run() -> Result<Summary, Failure> { told().result }

    /// Runs the seed once, and tells the last `lines` lines of what happened, however it ends.
    package func told() -> (result: Result<Summary, Failure>, lines: [String]) {
        var simulation: Simulation<RaftGroup>
        do {
            simulation = try Simulation(
                RaftGroup(options, seed: seed), hosts: options.hosts, seed: seed, plan: plan, lines: lines)
        } catch {
            return (.failure(Failure(seed: seed, at: .origin, step: 0, violation: "\(error)", faults: plan.faults)), [])
        }
        let undecided: Int
        do throws(Violation) {
            undecided = try live(&simulation)
        } catch {
            let failure = Failure(
                seed: seed, at: simulation.now, step: simulation.trace.events, violation: error.description,
                faults: plan.faults, lines: simulation.trace.lines)
            return (.failure(failure), failure.lines)
        }
        let summary = Summary(
            digest: simulation.trace.digest, simulated: simulation.now - .origin, events: simulation.trace.events,
            committed: simulation.system.checks.committed.count, answered: simulation.system.clients.acknowledged,
            undecided: undecided)
        return (.success(summary), simulation.trace.lines)
    }

    /// - Returns: on how many registers the verdict is open.
    private func live(_ simulation: inout Simulation<RaftGroup>) throws(Violation) -> Int {
        for event in simulation.system.clients.firstEvents { simulation.schedule(.client(event), after: .milliseconds(1)) }
        try simulation.run(until: .origin + storm)
        let core = self.core(simulation)
        simulation.system.ledger.keepOnly(core)
        try simulation.calm(core: core)
        let before = simulation.system.checks.committed.count
        let end = simulation.now + Self.calmBound
        var reign: Reign?
        let hasConverged = try simulation.run(until: end) { simulation in
            guard simulation.trace.events % 16 == 0 else { return false }
            reign = Self.reign(simulation, core, after: reign)
            return reign.map { simulation.now - $0.since >= Self.leastReign } == true
                && Self.isInStep(simulation, core, since: before)
        }
        guard hasConverged else {
            let states = core.map { host in
                simulation.process(host).map {
                    "\($0.id) \($0.raft.roleName) \($0.raft.term) commit \($0.raft.log.commit) last \($0.raft.log.last) applied \($0.machine.applied) of \($0.raft.configuration)"
                } ?? "m\(host) down"
            }
            throw Violation("no convergence in \(Self.calmBound) of calm: \(states.joined(separator: "; "))")
        }
        return try simulation.system.clients.verdict()
    }

    /// A quorum of every configuration that may be in force, drawn, and no larger than needed.
    private func core(_ simulation: Simulation<RaftGroup>) -> [Int] {
        let ledger = simulation.system.ledger
        var random = SeededGenerator(seed: seed ^ 0xCA1)
        var order = Array(0..<options.hosts)
        for at in order.indices.reversed() { order.swapAt(at, Int(random.next() % UInt64(at + 1))) }
        var core: [Int] = []
        var present: Set<MemberID> = []
        for host in order where !ledger.lost.contains(ledger.members[host]) && ledger.mayVote(ledger.members[host]) {
            if ledger.suffices(present) { break }
            core.append(host)
            present.insert(ledger.members[host])
        }
        return core.sorted()
    }

    /// One leader whom all of the core follow, from an instant on.
    private struct Reign {
        let leader: Int
        let term: Term
        let since: LogicalInstant
    }

    /// Of the core, those who belong to the group now: whoever has left it may not have heard so, and nobody tells it.
    private static func members(_ simulation: Simulation<RaftGroup>, _ core: [Int]) -> [Int] {
        let ledger = simulation.system.ledger
        return core.filter { ledger.committed.configuration.members.contains(ledger.members[$0]) }
    }

    private static func reign(_ simulation: Simulation<RaftGroup>, _ core: [Int], after former: Reign?) -> Reign? {
        var (leader, term): (Int?, Term?) = (nil, nil)
        for host in members(simulation, core) {
            guard let raft = simulation.process(host)?.raft, term == nil || term == raft.term else { return nil }
            term = raft.term
            guard raft.isLeader else { continue }
            guard leader == nil else { return nil }
            leader = host
        }
        guard let leader, let term else { return nil }
        if let former, former.leader == leader, former.term == term { return former }
        return Reign(leader: leader, term: term, since: simulation.now)
    }

    /// Something new is committed, and all of the core have it.
    private static func isInStep(_ simulation: Simulation<RaftGroup>, _ core: [Int], since before: Int) -> Bool {
        let committed = simulation.system.checks.committed.count
        guard committed > before + 3 else { return false }
        return members(simulation, core).allSatisfy { host in
            simulation.process(host).map { $0.machine.applied.number + 5 >= UInt64(committed) } ?? false
        }
    }

    /// Runs the seed again with lines, and with as few faults as still make it fail in the same way.
    package func explained(_ failure: Failure, tries: Int = 300) -> Failure {
        var short = self
        short.lines = 0
        let kept = shrink(plan.faults, budget: tries) { faults in
            short.plan.faults = faults
            guard case .failure(let other) = short.run() else { return false }
            return other.isAlike(failure)
        }
        short.plan.faults = kept
        short.lines = 100
        if case .failure(let explained) = short.run() { return explained }
        return failure
    }
}
