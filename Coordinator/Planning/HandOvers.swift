import Catalog
package import Model

// What a node that is to be drained leads goes first. A role is handed over in a moment and moves no data: so the node leads nothing soon,
// however much it holds, and may be stopped then with no failover. Its copies follow, and writers notice nothing of them.

/// The primary roles that nodes which are being drained give away.
package struct HandOverPlans: Hashable, Sendable {
    package var transfers: [TransferPlan] = []
    /// Nodes that have yet to give such roles away, now or when there is room: their copies stay until then.
    package var givers: Set<NodeID> = []
}

/// Hands what the drained nodes lead to healthy members of the in-sync sets, to those that lead least.
///
/// A role that nobody can take stays where it is, and leaves with its copy: the only one in sync, or one beside others that are drained
/// too. A giver, and whoever takes, has part in as many moves, repairs and transfers at a time as it may have in moves and repairs.
/// - Parameter left: partitions that are left where they are led for now. They keep no node's copies from moving.
/// - Complexity: O(nodes + operations) when no drained node leads anything, or as many transfers as it may have part in are under way;
///   else O(partitions + roles · log roles).
package func planHandOvers(
    in topology: Topology, except left: Set<PartitionID> = [], limits: RepairLimits = RepairLimits()
) -> HandOverPlans {
    var load = NodeLoad(of: topology)
    let leaving = Set(
        topology.nodes.values.filter { $0.status == .draining && load.primaries(on: $0.id) > 0 }.map(\.id))
    guard !leaving.isEmpty else { return HandOverPlans() }
    var plans = HandOverPlans()
    for operation in topology.operations.values where operation.phase == .running {
        guard case .transferPrimary(let id, let target) = operation.kind, let giver = topology.partitions[id]?.primary
        else { continue }
        load.addTransfer(from: giver, to: target)
        // What somebody has paused may stand for ever.
        if leaving.contains(giver), operation.pause == nil { plans.givers.insert(giver) }
    }
    // Of those that have no room, nothing is left to be found out.
    let asked = topology.nodes.values.filter { leaving.contains($0.id) }
    var open = Set(
        (asked.filter { !plans.givers.contains($0.id) } + limits.free(asked, load, in: topology)).map(\.id))
    guard !open.isEmpty else { return plans }
    let led = topology.partitions.values.lazy.filter { [open] partition in
        partition.status == .active && partition.operation == nil && !left.contains(partition.id)
            && partition.primary.map { open.contains($0) } ?? false
    }.map(\.id).sorted()
    for id in led {
        guard !open.isEmpty else { break }
        guard let partition = topology.partitions[id], let giver = partition.primary.flatMap({ topology.nodes[$0] }),
            open.contains(giver.id)
        else { continue }
        let heirs = partition.inSync.compactMap { topology.nodes[$0] }
            .filter { $0.status == .healthy && $0.session != .none }
        guard !heirs.isEmpty else { continue }
        plans.givers.insert(giver.id)
        guard !limits.free([giver], load, in: topology).isEmpty else {
            open.remove(giver.id)
            continue
        }
        guard plans.transfers.count < limits.batch,
            let heir = limits.free(heirs, load, in: topology)
                .min(by: { (load.primaries(on: $0.id), $0.id) < (load.primaries(on: $1.id), $1.id) })
        else { continue }
        plans.transfers.append(
            TransferPlan(
                partition: id, target: NodeSession(node: heir.id, session: heir.session), epoch: partition.epoch))
        load.addTransfer(from: giver.id, to: heir.id)
        load.addPrimary(on: heir.id)
    }
    return plans
}
