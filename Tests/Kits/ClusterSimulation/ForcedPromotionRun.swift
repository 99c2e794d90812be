// A partition loses its whole in-sync set, and an operator goes on from a copy that has not everything (rule R6). What was acknowledged may
// be lost here, and nowhere else; but from the moment at which the forced primary serves there is one history again, and it begins with
// what that copy held: whoever led before answers nothing any more, and nothing that only the lost held is ever read.

import AgentCore
import Catalog
package import Model
package import SimulationKit

package struct ForcedPromotionRun {
    package struct Summary: Hashable, Sendable {
        /// Registers whose last value was given up.
        package var givenUp = 0
        /// How long the forced primary waited from when the order was committed.
        package var waited = Span.zero
        package var answered = 0
        package var digest: UInt64 = 0
    }

    package let seed: UInt64
    package var lines = 0
    private var options: ClusterOptions

    /// Who is who among the hosts.
    private struct Roles {
        let partition: PartitionID
        /// Leads to the end, and believes in it for a while longer.
        let primary: Int
        /// Has a copy, and is left behind: the heir.
        let heir: Int
        /// The third copy, where there is one.
        let third: Int?
    }

    package init(seed: UInt64, bug: ClusterBug? = nil) {
        self.seed = seed
        options = ClusterOptions(seed: seed)
        // So that three of them are no mass.
        (options.agents, options.copies, options.splitKeys) = (7, seed % 2 == 0 ? 2 : 3, [])
        // What was given up is written again by whoever asks again.
        options.isPlain = true
        options.plant(bug)
    }

    /// For the list of stories: with two copies the old primary may still acknowledge writes when it is cut off.
    static func story(_ bug: ClusterBug?) throws(Violation) {
        for seed in [2, 3, 4] as [UInt64] { _ = try ForcedPromotionRun(seed: seed, bug: bug).play() }
    }

    package func run() -> Result<Summary, Violation> { Result { () throws(Violation) in try play() } }

    private func play() throws(Violation) -> Summary {
        var simulation = try makeReady()
        let roles = try leaveBehind(&simulation)
        try cutOff(roles, &simulation)
        let committed = try force(roles, &simulation)
        try simulation.run(until: simulation.now + .seconds(5)) { Self.serves(roles, $0) }
        guard Self.serves(roles, simulation) else { throw Violation("who was forced into the lead does not serve") }
        var summary = Summary(waited: simulation.now - committed)
        summary.givenUp = beginAnew(roles, &simulation)
        // The old primary's clients are the last to learn of it.
        try simulation.run(until: simulation.now + .seconds(2))
        try simulation.calm(core: Array(0..<options.hosts))
        simulation.system.clients.countAnew()
        simulation.system.clients.isCalm = true
        try simulation.waits("every register takes writes again", atMost: ClusterRun.recoveryBound) { simulation in
            simulation.system.clients.writtenInCalm.count == ClusterOptions.keys ? nil : "\(simulation.unrest ?? "at rest")"
        }
        simulation.system.clients.isStopped = true
        try simulation.waits("all comes to rest", atMost: ClusterRun.restBound) { $0.unrest }
        try simulation.system.checks.verdict(simulation.processes)
        try simulation.system.checks.keepAcknowledged(simulation.registers)
        let undecided = try simulation.system.clients.verdict(simulation.registers, at: simulation.now)
        guard undecided == 0 else { throw Violation("the calls on \(undecided) registers were not judged") }
        (summary.answered, summary.digest) = (simulation.system.clients.answered, simulation.trace.digest)
        return summary
    }

    // MARK: - How it comes to that

    private func makeReady() throws(Violation) -> Simulation<Cluster> {
        let cluster: Cluster
        do { cluster = try Cluster(options, seed: seed) } catch { throw Violation("\(error)") }
        var simulation = try Simulation(cluster, hosts: options.hosts, seed: seed, plan: FaultPlan(), lines: lines)
        simulation.schedule(.prepare, after: .milliseconds(500))
        for event in simulation.system.clients.firstEvents { simulation.schedule(.client(event), after: .milliseconds(1)) }
        simulation.system.clients.isCalm = true
        try simulation.waits("every register takes writes", atMost: .seconds(30)) { simulation in
            simulation.system.clients.writtenInCalm.count == ClusterOptions.keys ? nil : "\(simulation.unrest ?? "at rest")"
        }
        try simulation.run(until: simulation.now + .seconds(4))
        return simulation
    }

    /// The primary and another do not hear each other, so that one leaves the in-sync set; writes go on, and of a third copy's node
    /// nothing is heard any more.
    private func leaveBehind(_ simulation: inout Simulation<Cluster>) throws(Violation) -> Roles {
        let places = simulation.system.places
        guard let partition = simulation.system.checks.truth.partitions.values.first,
            let primary = partition.primary.flatMap({ places.host(of: $0) })
        else { throw Violation("nobody leads") }
        let others = partition.inSync.compactMap { places.host(of: $0) }.filter { $0 != primary }
        guard let heir = others.first, others.count == options.copies - 1 else {
            throw Violation("\(others.count + 1) copies are in sync")
        }
        let roles = Roles(partition: partition.id, primary: primary, heir: heir, third: others.dropFirst().first)
        simulation.part(primary, heir)
        try simulation.waits("who is not heard is left out", atMost: .seconds(20)) { simulation in
            let inSync = simulation.system.checks.truth.partitions[roles.partition]?.inSync ?? []
            return inSync.contains(places.node(heir)) ? "\(inSync) are in sync" : nil
        }
        try simulation.run(until: simulation.now + .seconds(2))
        guard let third = roles.third else { return roles }
        simulation.kill(third, losesPower: true, restartAfter: .seconds(3_600))
        try simulation.waits("the primary stands alone", atMost: .seconds(20)) { simulation in
            let inSync = simulation.system.checks.truth.partitions[roles.partition]?.inSync ?? []
            return inSync == [places.node(primary)] ? nil : "\(inSync) are in sync"
        }
        return roles
    }

    /// Nobody hears the last member any more but its clients; the operator, who has cut it off, does not wait until it is found dead.
    private func cutOff(_ roles: Roles, _ simulation: inout Simulation<Cluster>) throws(Violation) {
        for host in 0..<options.hosts where host != roles.primary && host != roles.heir {
            simulation.part(roles.primary, host)
        }
    }

    /// - Returns: when the order was committed.
    private func force(_ roles: Roles, _ simulation: inout Simulation<Cluster>) throws(Violation) -> LogicalInstant {
        let places = simulation.system.places
        let (primary, heir) = (places.node(roles.primary), places.node(roles.heir))
        let witnesses = (0..<2).map { Witness(id: places.node($0), zone: places.zones[$0]) }
        let silent = Set(places.zones).subtracting(witnesses.map(\.zone)).sorted()
        let end = simulation.now + .seconds(20)
        while simulation.now < end {
            let truth = simulation.system.checks.truth
            guard let partition = truth.partitions[roles.partition] else { throw Violation("the partition is gone") }
            if partition.forcedAt != nil { return simulation.now }
            if partition.primary != nil, let session = truth.nodes[primary]?.session {
                simulation.order(.exactly(.nodeFailed(primary, session: session, witnesses: witnesses, silentZones: silent)))
            } else if let session = truth.nodes[heir]?.session {
                simulation.order(
                    .exactly(
                        .forcePromotion(
                            ForcedPromotion(
                                partition: partition.id, target: NodeSession(node: heir, session: session),
                                lost: partition.inSync, epoch: partition.epoch))))
            }
            // Ordered again only once the first word had its time.
            try simulation.run(until: simulation.now + .milliseconds(100)) { simulation in
                simulation.system.checks.truth.partitions[roles.partition]?.epoch != partition.epoch
            }
        }
        throw Violation("nobody is forced into the lead")
    }

    private static func serves(_ roles: Roles, _ simulation: Simulation<Cluster>) -> Bool {
        guard let agent = simulation.process(roles.heir)?.agent else { return false }
        let status = agent.core.replicas(at: simulation.now).first { $0.partition == roles.partition }
        return status?.isServing ?? false
    }

    /// What is answered from now on is one history, and begins with what the forced primary holds.
    /// - Returns: how many registers had another value at the one before it.
    private func beginAnew(_ roles: Roles, _ simulation: inout Simulation<Cluster>) -> Int {
        let held = simulation.process(roles.heir)?.agent?.engine[roles.partition]?.values ?? [:]
        let lost = simulation.process(roles.primary)?.agent?.engine[roles.partition]?.values ?? [:]
        simulation.system.clients.beginAnew(from: held, at: simulation.now)
        simulation.system.checks.beginAnew()
        return (0..<ClusterOptions.keys).count { held[$0] != lost[$0] }
    }
}
