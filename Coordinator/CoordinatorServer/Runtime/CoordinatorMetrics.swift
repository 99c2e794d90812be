import Catalog
import Consensus
import CoordinatorCore
import CoreMetrics
import LogStorage
import Membership
import Model
import Telemetry
import Transport

/// What `/metrics` says of this member: read out before each answer, so that nothing is kept twice. Labels are bounded: none names a
/// partition, and nodes are counted by zone.
struct CoordinatorMetrics: Sendable {
    private let runtime: CoordinatorRuntime
    private let gossip: GossipService
    private let registry: MetricsRegistry
    private let usage: ProcessMetrics

    init(runtime: CoordinatorRuntime, gossip: GossipService, registry: MetricsRegistry) {
        self.runtime = runtime
        self.gossip = gossip
        self.registry = registry
        usage = ProcessMetrics(registry: registry)
    }

    func collect() async {
        await raft(await runtime.statusNow)
        membership()
        let topology = await runtime.catalogNow.topology
        placement(topology)
        orphans(await runtime.orphansNow)
        keys(topology, behind: await runtime.membersBehindOnGossipKeys.count)
        usage.collect()
    }

    private func raft(_ status: CoordinatorStatus) async {
        let counters = await runtime.counters
        let syncs = await runtime.syncs
        gauge("raft_is_leader", status.leader == status.id ? 1 : 0)
        gauge("raft_has_leader", status.leader == nil ? 0 : 1)
        gauge("raft_term", Double(status.term))
        gauge("raft_commit_index", Double(status.commit))
        gauge("raft_applied_index", Double(status.applied))
        gauge("raft_members_connected", Double(status.members.count { $0.isConnected }))
        // Zero where this member does not lead: then it does not know.
        for peer in status.members where peer.id != status.id && peer.part != .outgoing {
            gauge(
                "raft_peer_lag_entries", [("peer", peer.id.name)],
                peer.match.map { Double(status.lastIndex - min($0, status.lastIndex)) } ?? 0)
        }
        counter("raft_leader_changes_total", counters.leaderChanges)
        counter("raft_state_differences_total", counters.stateDifferences)
        counter("raft_proposals_total", counters.proposals)
        counter("raft_reads_total", counters.linearizableReads)
        counter("raft_messages_total", [("direction", "sent")], counters.sent)
        counter("raft_messages_total", [("direction", "received")], counters.received)
        for reason in MessageDrop.allCases {
            counter("raft_dropped_total", [("reason", reason.rawValue)], status.drops[reason] ?? 0)
        }
        gauge("raft_is_member", status.members.contains { $0.member == status.member } ? 1 : 0)
        counter("log_fsyncs_total", syncs.syncs)
        CounterReading.set("coxswain_log_fsync_seconds_total", to: syncs.seconds, in: registry)
        gauge("disk_free_bytes", Double(runtime.space.free))
        gauge("disk_admits", runtime.space.admits ? 1 : 0)
        gauge("breaker_holds", status.breakerHolds ? 1 : 0)
    }

    private func membership() {
        let members = gossip.members
        for state in MemberStatus.allCases {
            gauge("gossip_members", [("state", "\(state)")], Double(members.count { $0.status == state }))
        }
        let protocolCounters = gossip.protocolCounters
        counter("gossip_probes_total", protocolCounters.probes)
        let streams = gossip.streamCounters
        let unheard = protocolCounters.unheardProbes
        counter("gossip_probe_failures_total", [("kind", "member")], protocolCounters.failedProbes - unheard)
        counter("gossip_probe_failures_total", [("kind", "everybody")], unheard)
        counter("gossip_link_pings_total", [("outcome", "answered")], streams?.answered ?? 0)
        counter("gossip_link_pings_total", [("outcome", "refused")], streams?.refused ?? 0)
        counter("gossip_link_pings_total", [("outcome", "silent")], streams?.silent ?? 0)
        counter("gossip_link_pings_total", [("outcome", "not_asked")], streams?.overflowed ?? 0)
        counter("gossip_probes_saved_by_link_total", protocolCounters.savedByLink)
        counter("gossip_refused_links_total", protocolCounters.refusedLinks)
        counter("gossip_identity_in_use_total", protocolCounters.identitiesInUse)
        counter("gossip_disputed_identities_total", protocolCounters.disputedIdentities)
        counter("gossip_refused_strangers_total", protocolCounters.refusedStrangers)
        counter("gossip_verdicts_total", protocolCounters.verdicts)
        counter("gossip_false_positives_total", protocolCounters.falsePositives)
        counter("gossip_suspicions_total", protocolCounters.suspicions)
        counter("gossip_refutations_total", protocolCounters.refutations)
        counter("gossip_late_ticks_total", protocolCounters.lateTicks)
        gauge("gossip_isolated", gossip.isIsolated ? 1 : 0)
        gauge("gossip_local_health", Double(gossip.localHealth))
        counter("gossip_exchanges_total", protocolCounters.exchanges)
        let ignored = gossip.ignored
        for reason in Swim.DropReason.allCases {
            counter("gossip_ignored_total", [("reason", reason.label)], ignored[reason] ?? 0)
        }
        let socket = gossip.socketCounters
        counter("gossip_datagrams_total", [("direction", "sent")], socket?.sent ?? 0)
        counter("gossip_datagrams_total", [("direction", "received")], socket?.received ?? 0)
        counter("gossip_unsent_total", socket?.unsent ?? 0)
        counter("gossip_decrypt_failures_total", [("reason", "unknown_key")], socket?.unknownKey ?? 0)
        counter("gossip_decrypt_failures_total", [("reason", "forged")], socket?.forged ?? 0)
        counter("gossip_decrypt_failures_total", [("reason", "replayed")], socket?.replayed ?? 0)
        counter("gossip_malformed_total", (socket?.malformed ?? 0) + (socket?.unreadable ?? 0))
    }

    /// How many are behind, only the leader knows; zero at the others.
    private func keys(_ topology: Topology, behind: Int) {
        let ring = topology.gossipKeys
        gauge("gossip_keys", Double(runtime.keys.held.ids.count))
        let age = ring?.sealing.map { BootClock.wallTime().milliseconds - $0.createdAt.milliseconds } ?? 0
        gauge("gossip_key_age_seconds", Double(max(0, age)) / 1_000)
        for step in GossipRotation.Step.allCases {
            gauge("gossip_rotation", [("step", step.rawValue)], ring?.rotation?.step == step ? 1 : 0)
        }
        gauge("gossip_rotation_members_behind", Double(behind))
    }

    /// Every member knows them from the reports; those of one standing are ordered away by themselves, the others wait for people.
    private func orphans(_ found: [Orphan]) {
        for standing in [ReplicaStanding.over, .unknown, .ahead] {
            gauge("orphans", [("standing", standing.rawValue)], Double(found.count { $0.standing == standing }))
        }
    }

    private func placement(_ topology: Topology) {
        gauge("routing_revision", Double(topology.revision.index))
        // The others are active and want for nothing.
        let unsettled = topology.tally.unsettled.compactMap { topology.partitions[$0] }
        for state in PartitionStatus.allCases {
            let settled = state == .active ? topology.partitions.count - unsettled.count : 0
            gauge("partitions", [("state", state.rawValue)], Double(settled + unsettled.count { $0.status == state }))
        }
        gauge("partitions_without_primary", Double(unsettled.count { $0.primary == nil && $0.status == .active }))
        gauge("partitions_forced", Double(topology.partitions.values.count { $0.forcedAt != nil }))
        let short = unsettled.count {
            $0.status == .active && $0.inSync.count < topology.tables[$0.table]?.replicationFactor ?? 1
        }
        gauge("partitions_under_replicated", Double(short))
        let nodes = topology.nodes.values
        for zone in Set(nodes.map(\.zone)).sorted() {
            for state in NodeStatus.allCases {
                gauge(
                    "nodes", [("state", state.rawValue), ("zone", zone.name)],
                    Double(nodes.count { $0.zone == zone && $0.status == state }))
            }
        }
        for kind in ["create-table", "drop-table", "move", "repair", "split", "merge", "transfer-primary", "remove-orphan"] {
            for phase in OperationPhase.allCases {
                let found = topology.operations.values.count { $0.kind.name == kind && $0.phase == phase }
                gauge("operations", [("kind", kind), ("state", phase.rawValue)], Double(found))
            }
        }
        gauge("operations_paused", Double(topology.operations.values.count { $0.pause != nil }))
        gauge("imbalance_ratio", imbalance(topology))
    }

    /// How much more than its fair share of primaries the fullest healthy node leads: 0 is even.
    private func imbalance(_ topology: Topology) -> Double {
        let nodes = topology.nodes.values.filter { $0.status == .healthy && $0.session != .none }
        let led = nodes.map { topology.tally.primaries[$0.id] ?? 0 }
        let total = led.reduce(0, +)
        guard let most = led.max(), total > 0 else { return 0 }
        return Double(most * nodes.count) / Double(total) - 1
    }

    private func gauge(_ name: String, _ value: Double) { gauge(name, [], value) }

    private func gauge(_ name: String, _ labels: [(String, String)], _ value: Double) {
        registry.makeMeter(label: "coxswain_" + name, dimensions: labels).set(value)
    }

    private func counter(_ name: String, _ total: UInt64) { counter(name, [], total) }

    private func counter(_ name: String, _ labels: [(String, String)], _ total: UInt64) {
        CounterReading.set("coxswain_" + name, labels, to: Double(total), in: registry)
    }

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
