import Model

/// Two of a failover's three clocks, as its leader sees them: from the first suspicion of a node to the first report of its death
/// (detect), and from there to the committed entry (decide). The third runs at the agents that take over.
struct FailoverClock: Sendable {
    private var suspectedAt: [NodeID: LogicalInstant] = [:]
    private var accusedAt: [NodeID: LogicalInstant] = [:]

    mutating func suspected(_ node: NodeID, at now: LogicalInstant) {
        if suspectedAt[node] == nil { suspectedAt[node] = now }
    }

    mutating func alive(_ node: NodeID) {
        suspectedAt[node] = nil
        accusedAt[node] = nil
    }

    /// - Returns: how long detection took; nil when it is not the first report, or this member never suspected the node.
    mutating func accused(_ node: NodeID, at now: LogicalInstant) -> Span? {
        guard accusedAt[node] == nil else { return nil }
        accusedAt[node] = now
        return suspectedAt[node].map { now - $0 }
    }

    /// - Returns: how long the decision took; nil when nobody had reported the death here.
    mutating func failed(_ node: NodeID, at now: LogicalInstant) -> Span? {
        let start = accusedAt[node]
        alive(node)
        return start.map { now - $0 }
    }
}
