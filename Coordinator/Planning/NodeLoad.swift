import Catalog
package import Model

/// How many copies and primaries each node holds, and in how many operations it takes part, by the committed topology. The planners'
/// measure of balance; ties go to the lower node name, so that a plan is a function of its inputs.
package struct NodeLoad: Sendable {
    package private(set) var replicas: [NodeID: Int] = [:]
    package private(set) var primaries: [NodeID: Int] = [:]
    package private(set) var operations: [NodeID: Int] = [:]

    package init(of topology: Topology) {
        replicas = topology.tally.replicas
        primaries = topology.tally.primaries
        for operation in topology.operations.values {
            for node in operation.occupiedNodes { operations[node, default: 0] += 1 }
        }
    }

    package func replicas(on node: NodeID) -> Int { replicas[node] ?? 0 }
    package func primaries(on node: NodeID) -> Int { primaries[node] ?? 0 }
    package func operations(on node: NodeID) -> Int { operations[node] ?? 0 }

    mutating func addReplica(on node: NodeID) { replicas[node, default: 0] += 1 }
    mutating func addPrimary(on node: NodeID) { primaries[node, default: 0] += 1 }

    /// Counts a transfer at both of its nodes. The catalog bounds moves and repairs only; who plans several transfers bounds them alike.
    mutating func addTransfer(from giver: NodeID, to taker: NodeID) {
        for node in [giver, taker] { operations[node, default: 0] += 1 }
    }

    /// Counts what is planned as if it had begun.
    mutating func add(_ plan: MovePlan) {
        addReplica(on: plan.target.node)
        operations[plan.target.node, default: 0] += 1
        if let source = plan.source { operations[source, default: 0] += 1 }
    }
}
