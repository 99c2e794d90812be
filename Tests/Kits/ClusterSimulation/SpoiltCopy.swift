// A copy whose rows came wrong: the comparison finds it before it counts (rule M6). Engines of the simulation never differ by themselves,
// so that no seed shows what the rule is for.

import AgentCore
import Catalog
import Model
import Replication
import SimulationKit

enum SpoiltCopy {
    /// An operator moves a copy, and one row too many comes with the snapshot.
    static func story(_ bug: ClusterBug?) throws(Violation) {
        var simulation = try makeReady(bug)
        let topology = simulation.system.checks.truth
        guard let partition = topology.partitions.values.first,
            let source = partition.inSync.last(where: { $0 != partition.primary }),
            let target = topology.nodes.values.map(\.id).filter({ partition.replica(on: $0) == nil }).min(),
            let session = topology.nodes[target]?.session
        else { throw Violation("there is nothing to move") }
        let move = MovePlan(
            partition: partition.id, source: source, target: NodeSession(node: target, session: session), epoch: partition.epoch
        )
        simulation.order(.exactly(.beginMove(move)))
        try simulation.waits("the move ends", atMost: .seconds(30)) { simulation in
            let phase = simulation.system.checks.truth.operations.values.first { $0.kind.name == "move" }?.phase
            return phase == nil || phase == .running ? "it is \(phase?.rawValue ?? "not begun")" : nil
        }
        simulation.system.clients.isStopped = true
        try simulation.waits("all comes to rest", atMost: ClusterRun.restBound) { $0.unrest }
        guard simulation.system.checks.snapshots > 0 else { throw Violation("the story does not come as far as a snapshot") }
        try simulation.system.checks.verdict(simulation.processes)
        if simulation.system.checks.truth.partitions[partition.id]?.replica(on: target) != nil {
            throw Violation("a copy has joined with other rows than the primary's")
        }
    }

    private static func makeReady(_ bug: ClusterBug?) throws(Violation) -> Simulation<Cluster> {
        var options = ClusterOptions(seed: 1)
        (options.agents, options.copies, options.clients, options.splitKeys) = (4, 3, 6, [])
        // So that the log does not reach back for a new copy.
        (options.agent.replication.historyBytes, options.agent.replication.replayedEntries) = (512, 4)
        options.spoilsSnapshots = true
        options.plant(bug)
        let cluster: Cluster
        do { cluster = try Cluster(options, seed: 1) } catch { throw Violation("\(error)") }
        var simulation = try Simulation(cluster, hosts: options.hosts, seed: 1, plan: FaultPlan(), lines: 0)
        simulation.schedule(.prepare, after: .milliseconds(500))
        for event in simulation.system.clients.firstEvents { simulation.schedule(.client(event), after: .milliseconds(1)) }
        simulation.system.clients.isCalm = true
        try simulation.waits("every register takes writes", atMost: .seconds(30)) { simulation in
            simulation.system.clients.writtenInCalm.count == ClusterOptions.keys ? nil : "\(simulation.unrest ?? "at rest")"
        }
        return simulation
    }
}
