// What must hold when a history has come to rest, and how it looks when it does not.

import Model
import Movement
import Replication
@testable import AgentCore

extension World {
    /// Heals everything, waits for rest, and states what must hold then.
    func settle() -> [String] {
        loss = 0
        cut = []
        coordinatorsUp = true
        for id in order { restart(id) }
        let rested = run(until: { self.isAtRest }, atMost: .seconds(60))
        var found = violations + damages
        guard rested else { return found + ["no rest: \(describe())"] }
        var all: Set<UInt64> = []
        for partition in catalog.topology.partitions.values.sorted(by: { $0.id < $1.id }) {
            let copies = partition.replicas.compactMap { machines[$0.node]!.engine[partition.id] }
            if copies.count != partition.replicas.count { found.append("\(partition.id) lacks copies") }
            for copy in copies.dropFirst() where copy.rows != copies[0].rows { found.append("\(partition.id) differs") }
            all.formUnion(copies.first?.rows ?? [])
        }
        let lost = acknowledged.subtracting(all)
        if !lost.isEmpty { found.append("\(lost.count) acknowledged writes are lost: \(lost.sorted().prefix(5))") }
        for id in order {
            for (partition, held) in machines[id]!.engine {
                let descriptor = catalog.topology.partitions[partition]
                if descriptor?.replica(on: id)?.storage != held.storage { found.append("\(id) keeps \(partition) for nobody") }
            }
        }
        return found
    }

    var isAtRest: Bool {
        guard catalog.topology.operations.values.allSatisfy({ $0.phase != .running && $0.cleanups.isEmpty }) else {
            return false
        }
        return catalog.topology.partitions.values.allSatisfy { partition in
            guard let primary = partition.primary, partition.learners.isEmpty else { return false }
            let leader = machines[primary]!.core.replicas(at: now).first { $0.partition == partition.id }
            guard let leader, leader.isServing, leader.descriptor?.epoch == partition.epoch, !leader.isFenced else {
                return false
            }
            return partition.replicas.allSatisfy { machines[$0.node]!.engine[partition.id]?.applied == leader.last }
        }
    }

    func describe() -> String {
        var lines: [String] = []
        for partition in catalog.topology.partitions.values.sorted(by: { $0.id < $1.id }) {
            lines.append(
                "\(partition.id) \(partition.epoch) \(partition.status) primary=\(partition.primary?.name ?? "-") "
                    + "inSync=\(partition.inSync) learners=\(partition.learners) op=\(partition.operation?.description ?? "-")")
            for replica in partition.replicas {
                let status = machines[replica.node]!.core.replicas(at: now).first { $0.partition == partition.id }
                lines.append(
                    "   \(replica.node): "
                        + (status.map {
                            "\($0.descriptor?.epoch.description ?? "-") last=\($0.last) commit=\($0.commit) applied=\($0.applied) "
                                + "serving=\($0.isServing) fenced=\($0.isFenced) damage=\($0.damage ?? "-")"
                        } ?? "nothing"))
            }
        }
        for operation in catalog.topology.operations.values.sorted(by: { $0.id < $1.id })
        where operation.phase == .running || !operation.cleanups.isEmpty {
            lines.append("op \(operation.id) \(operation.kind) \(operation.step) \(operation.phase) \(operation.cleanups)")
        }
        return lines.joined(separator: "\n")
    }
}
