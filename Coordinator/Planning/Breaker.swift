package import Model

/// Whether so many nodes failed within one window of time that nothing is copied (rule F4): a rack that lost its power will be back
/// before its data could be copied, and copying it would take the rest of the cluster down too.
///
/// A function of what is committed, so that every leader says the same, and it needs no memory: a node that returns, or is
/// decommissioned, is no failed one any more. An operator ends it by setting `breaker_percent` to 100.
/// - Parameter failedAt: when the nodes that are failed now were declared so, by the log's clock.
/// - Complexity: O(nodes · log nodes).
package func breakerHolds(in topology: Topology, failedAt: [NodeID: WallTime]) -> Bool {
    let members = topology.nodes.values.filter { $0.status != .decommissioned }
    let failures = members.filter { $0.status == .failed }.compactMap { failedAt[$0.id]?.milliseconds }.sorted()
    // One node is a failure, not a mass of them, however few there are.
    guard failures.count > 1 else { return false }
    let percent = topology.configured(ConfigurationRules.breakerPercent) ?? ConfigurationRules.breakerPercent.standard
    let seconds = topology.configured(ConfigurationRules.breakerWindow) ?? ConfigurationRules.breakerWindow.standard
    let window = Span.seconds(Int64(seconds)).milliseconds
    var first = failures.startIndex
    for last in failures.indices {
        while failures[last] - failures[first] > window { first += 1 }
        let together = last - first + 1
        if together > 1, together * 100 > percent * members.count { return true }
    }
    return false
}
