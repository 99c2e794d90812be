import CoreMetrics
import LogStorage
import Model
import Telemetry

/// What `/metrics` says of this member, set before each reading.
struct CoordinatorMetrics: Sendable {
    let runtime: CoordinatorRuntime
    let registry: MetricsRegistry

    func collect() async {
        let status = await runtime.statusNow
        let counters = await runtime.counters
        let syncs = await runtime.syncs
        gauge("coxswain_raft_term", Double(status.term))
        gauge("coxswain_raft_commit_index", Double(status.commit))
        gauge("coxswain_raft_applied_index", Double(status.applied))
        gauge("coxswain_raft_is_leader", status.leader == status.id ? 1 : 0)
        gauge("coxswain_raft_has_leader", status.leader == nil ? 0 : 1)
        gauge("coxswain_raft_leader_changes", Double(counters.leaderChanges))
        gauge("coxswain_raft_members_connected", Double(status.members.count { $0.isConnected }))
        gauge("coxswain_coordinator_proposals", Double(counters.proposals))
        gauge("coxswain_coordinator_linearizable_reads", Double(counters.linearizableReads))
        gauge("coxswain_coordinator_malformed_messages", Double(counters.malformed))
        gauge("coxswain_log_syncs", Double(syncs.syncs))
        gauge("coxswain_log_sync_seconds", syncs.seconds)
        gauge("coxswain_breaker_holds", status.breakerHolds ? 1 : 0)
    }

    private func gauge(_ label: String, _ value: Double) { registry.makeMeter(label: label, dimensions: []).set(value) }

    func readiness() async -> Readiness {
        let status = await runtime.statusNow
        return Readiness([
            .init("leader", problem: status.leader == nil ? "no leader is known" : nil),
            .init(
                "quorum",
                problem: status.members.count { $0.isConnected } * 2 > status.members.count
                    ? nil : "fewer than half of the members are connected"),
        ])
    }
}
