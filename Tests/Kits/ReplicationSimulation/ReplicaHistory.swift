// One history of a partition: clients write and read while nodes crash, restart with stale or fresh topologies, and links break.

package import Model
import Replication

package struct ReplicaHistory {
    let group: ReplicaGroup
    /// What was promised and did not hold.
    package let found: [String]

    /// How many calls ended well.
    package var calls: Int { group.acknowledged.count + group.goodReads }

    package init(seed: UInt64, mutant: RuleMutant? = nil) throws {
        try self.init(seed: seed, nodes: seed % 3 == 2 ? 5 : 3, mutant: mutant)
    }

    init(seed: UInt64, nodes: Int, steps: Int = 120, mutant: RuleMutant? = nil) throws {
        var settings = ReplicationSettings()
        settings.historyBytes = 2_000
        let group = try ReplicaGroup(seed: seed, nodes: nodes, settings: settings, mutant: mutant)
        var downSince: [NodeID: LogicalInstant] = [:]
        var old: PartitionDescriptor?
        for _ in 0..<steps {
            group.run(group.delay(.milliseconds(60))) { $0.helpLearners() }
            for _ in 0..<4 {
                let anyone = group.anyone()
                let aim = group.chance(0.8) ? group.descriptor.primary ?? anyone : anyone
                group.write(at: aim)
                group.read(at: group.chance(0.6) ? aim : anyone)
            }
            if group.chance(0.05) { old = group.descriptor }
            if group.chance(0.04) {
                let victim = group.anyone()
                if group.nodes[victim]?.isUp ?? false {
                    group.crash(victim)
                    downSince[victim] = group.now
                }
            }
            for id in group.order {
                guard let since = downSince[id] else { continue }
                if group.chance(0.15) {
                    group.restart(id, knowing: group.chance(0.3) ? old : nil)
                    downSince[id] = nil
                } else if group.now > since + .milliseconds(800), group.chance(0.5) {
                    group.nodeFailed(id)
                }
            }
            if group.chance(0.03) {
                let (a, b) = (group.anyone(), group.anyone())
                if a != b { group.cut.insert([a, b].sorted()) }
            }
            // A healthy node wrongly declared dead: the lease is what keeps its reads right.
            if group.chance(0.01), let primary = group.descriptor.primary { group.nodeFailed(primary) }
            if group.chance(0.2) { group.cut = [] }
            if group.chance(0.02) { group.coordinatorsUp.toggle() }
            if group.chance(0.2) { group.coordinatorsUp = true }
        }
        self.group = group
        found = group.settle()
    }
}

extension ReplicaGroup {
    fileprivate func anyone() -> NodeID { order[Int.random(in: 0..<order.count, using: &random)] }
}
