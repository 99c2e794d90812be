package import Model

/// Agents for whose word a rotation of gossip keys waits: those that have started and are neither failed nor gone. Who is not among
/// them learns the ring by its next session, before it counts again.
package func agentsThatGossip(in topology: Topology) -> [NodeDescriptor] {
    topology.nodes.values
        .filter { $0.session != .none && $0.status != .failed && $0.status != .decommissioned }
        .sorted { $0.id < $1.id }
}
