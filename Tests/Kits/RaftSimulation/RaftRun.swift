// One seed, from its plan to its verdict: a phase of faults in which nothing may break, then calm for a quorum, in which everything
// must work again within a bound.

import Consensus
package import Model
package import SimulationKit

package struct RaftRun {
    package struct Failure: Error, CustomStringConvertible {
        package let seed: UInt64
        package let at: LogicalInstant
        package let step: UInt64
        package let violation: String
        package let faults: [TimedFault]
        package var lines: [String] = []

        package var description: String { "seed \(seed), step \(step), \(at): \(violation)" }
    }

    package struct Summary: Hashable, Sendable {
        package var digest: UInt64 = 0
        package var simulated = Span.zero
        package var events: UInt64 = 0
        package var committed = 0
        package var answered = 0
    }

    package static let storm = Span.seconds(50)
    package static let calmBound = Span.seconds(30)

    package let seed: UInt64
    package var options: GroupOptions
    package var plan: FaultPlan
    package var lines = 0

    package init(seed: UInt64, bug: PlantedBug? = nil) {
        self.seed = seed
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
        plan = FaultPlan.drawn(seed: seed, hosts: options.hosts, during: Self.storm, acts: Errand.kinds)
    }

    /// Runs the seed once.
    package func run() -> Result<Summary, Failure> {
        var simulation: Simulation<RaftGroup>
        do {
            simulation = try Simulation(
                RaftGroup(options, seed: seed), hosts: options.hosts, seed: seed, plan: plan, lines: lines)
        } catch {
            return .failure(Failure(seed: seed, at: .origin, step: 0, violation: "\(error)", faults: plan.faults))
        }
        do throws(Violation) {
            try live(&simulation)
        } catch {
            return .failure(
                Failure(
                    seed: seed, at: simulation.now, step: simulation.trace.events, violation: error.description,
                    faults: plan.faults, lines: simulation.trace.lines))
        }
        return .success(
            Summary(
                digest: simulation.trace.digest, simulated: simulation.now - .origin, events: simulation.trace.events,
                committed: simulation.system.checks.committed.count, answered: simulation.system.clients.acknowledged))
    }

    private func live(_ simulation: inout Simulation<RaftGroup>) throws(Violation) {
        for event in simulation.system.clients.firstEvents { simulation.schedule(.client(event), after: .milliseconds(1)) }
        try simulation.run(until: .origin + Self.storm)
        let core = self.core(simulation)
        try simulation.calm(core: core)
        let before = simulation.system.checks.committed.count
        let end = simulation.now + Self.calmBound
        let hasConverged = try simulation.run(until: end) { simulation in
            simulation.trace.events % 16 == 0 && Self.hasConverged(simulation, core, since: before)
        }
        guard hasConverged else {
            let states = core.map { host in
                simulation.process(host).map {
                    "\($0.id) \($0.raft.roleName) \($0.raft.term) commit \($0.raft.log.commit) last \($0.raft.log.last) applied \($0.machine.applied) of \($0.raft.configuration)"
                } ?? "m\(host) down"
            }
            throw Violation("no convergence in \(Self.calmBound) of calm: \(states.joined(separator: "; "))")
        }
        try simulation.system.clients.verdict()
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

    /// One leader, whom all of the core follow, something new committed, and all of the core at the same place.
    private static func hasConverged(_ simulation: Simulation<RaftGroup>, _ core: [Int], since before: Int) -> Bool {
        guard simulation.system.checks.committed.count > before + 3 else { return false }
        var term: Term?
        var leads = 0
        for host in core {
            guard let process = simulation.process(host) else { return false }
            if process.raft.isLeader { leads += 1 }
            if let term, term != process.raft.term { return false }
            term = process.raft.term
            guard process.machine.applied.number + 5 >= UInt64(simulation.system.checks.committed.count) else { return false }
        }
        return leads == 1
    }

    /// Runs the seed again with lines, and with as few faults as still make it fail in the same way.
    package func explained(_ failure: Failure, tries: Int = 300) -> Failure {
        var short = self
        short.lines = 0
        let kept = shrink(plan.faults, budget: tries) { faults in
            short.plan.faults = faults
            if case .failure = short.run() { return true }
            return false
        }
        short.plan.faults = kept
        short.lines = 100
        if case .failure(let explained) = short.run() { return explained }
        return failure
    }
}
