package import Model

/// What must hold of every committed topology. Checked after each change in debug builds, and by tests and simulations.
package enum Invariants {
    /// What is wrong with the topology; empty when nothing is.
    package static func violations(in topology: Topology) -> [String] {
        var found: [String] = []
        for table in topology.tables.values.sorted(by: { $0.id < $1.id }) {
            found += coverage(of: table.id, in: topology)
        }
        for partition in topology.partitions.values.sorted(by: { $0.id < $1.id }) {
            found += violations(of: partition, in: topology)
        }
        for operation in topology.operations.values.sorted(by: { $0.id < $1.id }) where operation.phase == .running {
            guard operation.step != .dropSource else { continue }
            for id in operation.kind.partitions where topology.partitions[id]?.operation != operation.id {
                found.append("operation \(operation.id) runs, but partition \(id) does not name it")
            }
        }
        return found
    }

    /// The ranges of a table's partitions hold each key exactly once (rule M8).
    package static func coverage(of table: TableID, in topology: Topology) -> [String] {
        let partitions = topology.partitions(of: table)
        guard let first = partitions.first, let last = partitions.last else { return ["table \(table) has no partition"] }
        var found: [String] = []
        if first.range.low != .least { found.append("table \(table) has no partition below \(first.range.low)") }
        if last.range.high != nil { found.append("table \(table) has no partition from \(last.range) on") }
        for (left, right) in zip(partitions, partitions.dropFirst()) where left.range.high != right.range.low {
            found.append("table \(table): \(left.range) does not meet \(right.range)")
        }
        return found
    }

    private static func violations(of partition: PartitionDescriptor, in topology: Topology) -> [String] {
        var found: [String] = []
        let name = "partition \(partition.id)"
        if topology.tables[partition.table] == nil { found.append("\(name) belongs to no table") }
        if topology.retired[partition.id] != nil { found.append("\(name) is retired and lives") }
        if partition.inSync.isEmpty { found.append("\(name) has no in-sync member") }
        if let primary = partition.primary, !partition.inSync.contains(primary) {
            found.append("\(name)'s primary \(primary) is not in sync")
        }
        if partition.primary != nil, let lost = partition.replicas.first(where: \.isDamaged) {
            found.append("\(name) is led, and its copy on \(lost.node) counts as damaged")
        }
        if partition.primary == nil, partition.inSync.count > 1 { found.append("\(name) has members in sync, but no primary") }
        if Set(partition.replicas.map(\.node)).count != partition.replicas.count {
            found.append("\(name) has two replicas on one node")
        }
        if let id = partition.operation {
            let operation = topology.operations[id]
            if operation?.phase != .running || !(operation?.kind.partitions.contains(partition.id) ?? false) {
                found.append("\(name) names operation \(id), which does not run on it")
            }
        }
        for parent in partition.parents {
            let origin = partition.origin
            let isBehind =
                parent.end.epoch <= origin.epoch && parent.end.run <= origin.run && parent.end.sequence <= origin.sequence
            if !isBehind || origin.epoch >= partition.epoch {
                found.append("\(name) starts before the end of \(parent.partition)")
            }
            if topology.retired[parent.partition]?.children != [partition.id] {
                found.append("\(name) came out of \(parent.partition), which does not name it")
            }
        }
        return found
    }

    /// Epochs rise by one or stay, what has gone does not come back, and of an in-sync set a member stays in it unless an operator gave
    /// up all of it (rules E1, R6).
    package static func violations(from old: Topology, to new: Topology) -> [String] {
        var found: [String] = []
        for (id, partition) in new.partitions.sorted(by: { $0.key < $1.key }) {
            guard let before = old.partitions[id] else { continue }
            let isSame = partition.primary == before.primary && partition.replicas == before.replicas
            if partition.epoch != before.epoch && partition.epoch != before.epoch.next {
                found.append("partition \(id) went from \(before.epoch) to \(partition.epoch)")
            }
            if !isSame && partition.epoch == before.epoch {
                found.append("partition \(id) changed hands at \(partition.epoch)")
            }
            let isForced = partition.forcedAt == partition.epoch && partition.forcedAt != before.forcedAt
            if Set(partition.inSync).isDisjoint(with: before.inSync), !isForced {
                found.append("partition \(id) lost its whole in-sync set at \(partition.epoch)")
            }
            if partition.forcedAt != before.forcedAt, !isForced || partition.replicas.map(\.node) != [partition.primary] {
                found.append("partition \(id) was forced at \(partition.epoch), and others than its primary hold it")
            }
        }
        for id in old.retired.keys.sorted() where new.partitions[id] != nil { found.append("partition \(id) came back") }
        return found
    }
}
