import Model

/// Two of a failover's three clocks, as its leader sees them: from the first suspicion of a node to the first report of its death
/// (detect), and from there to the committed entry (decide). The third runs at the agents that take over.
struct FailoverClock: Sendable {
    private var suspectedAt: [NodeID: LogicalInstant] = [:]
    private var accusedAt: [NodeID: LogicalInstant] = [:]

    mutating func suspected(_ node: NodeID, in topology: Topology, at now: LogicalInstant) {
        if mayFail(node, in: topology), suspectedAt[node] == nil { suspectedAt[node] = now }
    }

    mutating func alive(_ node: NodeID) {
        suspectedAt[node] = nil
        accusedAt[node] = nil
    }

    /// - Returns: how long detection took; nil when it is not the first report, or this member never suspected the node.
    mutating func accused(_ node: NodeID, in topology: Topology, at now: LogicalInstant) -> Span? {
        guard mayFail(node, in: topology), accusedAt[node] == nil else { return nil }
        accusedAt[node] = now
        return suspectedAt[node].map { now - $0 }
    }

    /// Of whom the topology knows nothing, no failure is ever committed, and nothing would end the measuring: of such there may be any
    /// number.
    private func mayFail(_ node: NodeID, in topology: Topology) -> Bool {
        topology.nodes[node].map { $0.status != .failed && $0.status != .decommissioned } ?? false
    }

    /// - Returns: how long the decision took; nil when nobody had reported the death here.
    mutating func failed(_ node: NodeID, at now: LogicalInstant) -> Span? {
        let start = accusedAt[node]
        alive(node)
        return start.map { now - $0 }
    }
}
