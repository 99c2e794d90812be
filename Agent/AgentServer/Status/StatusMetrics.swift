import Identity
import Membership
import Model
import Transport

/// `/metrics` of one status, in the Prometheus text format. Labels are bounded: none names a partition or a node.
struct StatusMetrics {
    private var text = ""

    static func render(_ status: AgentStatus, tokens: TokenVerifier.Counters?) -> String {
        var metrics = StatusMetrics()
        metrics.members(status)
        metrics.routing(status)
        metrics.partitions(status)
        metrics.engine(status)
        metrics.machine(status.machine)
        if let tokens { metrics.access(tokens) }
        return metrics.text
    }

    private mutating func family(_ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: String)]) {
        text += "# HELP coxswain_\(name) \(help)\n# TYPE coxswain_\(name) \(type)\n"
        for sample in samples {
            text += "coxswain_\(name)\(sample.labels.isEmpty ? "" : "{\(sample.labels)}") \(sample.value)\n"
        }
    }

    private mutating func members(_ status: AgentStatus) {
        family(
            "gossip_members", "gauge", "Members that this node holds, by their status.",
            MemberStatus.allCases.map { state in
                ("state=\"\(state)\"", String(status.members.count { $0.member.status == state }))
            })
        family("gossip_local_health", "gauge", "Local health multiplier; 0 is healthy.", [("", String(status.localHealth))])
        family(
            "gossip_isolated", "gauge", "1 while nobody answers this node's pings, else 0.",
            [("", status.isIsolated ? "1" : "0")])
        family("gossip_probes_total", "counter", "Probes sent.", [("", String(status.swim.probes))])
        let streams = status.streams ?? StreamProber.Counters()
        family(
            "gossip_probe_failures_total", "counter",
            "Probes that no way answered: the member was silent and helpers were heard, or no helper was heard either.",
            [
                ("kind=\"member\"", String(status.swim.failedProbes - status.swim.unheardProbes)),
                ("kind=\"everybody\"", String(status.swim.unheardProbes)),
            ])
        family(
            "gossip_link_pings_total", "counter", "Pings over members' links, by what came of them.",
            [
                ("outcome=\"answered\"", String(streams.answered)), ("outcome=\"refused\"", String(streams.refused)),
                ("outcome=\"silent\"", String(streams.silent)), ("outcome=\"not_asked\"", String(streams.overflowed)),
            ])
        family(
            "gossip_probes_saved_by_link_total", "counter", "Probes that only the member's link answered.",
            [("", String(status.swim.savedByLink))])
        family(
            "gossip_refused_links_total", "counter", "Links that ended or were refused, and were looked into.",
            [("", String(status.swim.refusedLinks))])
        family(
            "gossip_identity_in_use_total", "counter", "Lives of this node in which another process was found under its name.",
            [("", String(status.swim.identitiesInUse))])
        family(
            "gossip_disputed_identities_total", "counter", "Lives of others of which two processes were found under one name.",
            [("", String(status.swim.disputedIdentities))])
        family(
            "gossip_refused_strangers_total", "counter",
            "Members whom no roster names, forgotten or not taken because there were too many.",
            [("", String(status.swim.refusedStrangers))])
        family("gossip_verdicts_total", "counter", "Members held dead by own judgement.", [("", String(status.swim.verdicts))])
        family(
            "gossip_false_positives_total", "counter", "Members held dead who refuted it.",
            [("", String(status.swim.falsePositives))])
        family(
            "gossip_exchanges_total", "counter", "Comparisons of what members hold, begun here.",
            [("", String(status.swim.exchanges))])
        family(
            "gossip_ignored_total", "counter", "Messages of members, and rumours in them, that had no effect here, by reason.",
            Swim.DropReason.allCases.map { ("reason=\"\($0.label)\"", String(status.ignoredGossip[$0] ?? 0)) })
        let datagrams = status.datagrams ?? GossipSocket.Counters()
        family(
            "gossip_datagrams_total", "counter", "Datagrams of gossip, by direction; those that did not open too.",
            [("direction=\"sent\"", String(datagrams.sent)), ("direction=\"received\"", String(datagrams.received))])
        family(
            "gossip_unsent_total", "counter",
            "Datagrams of gossip that were not sent: no such address, or the socket was busy.",
            [("", String(datagrams.unsent))])
        family(
            "gossip_decrypt_failures_total", "counter", "Datagrams that did not open.",
            [
                ("reason=\"unknown_key\"", String(datagrams.unknownKey)), ("reason=\"forged\"", String(datagrams.forged)),
                ("reason=\"replayed\"", String(datagrams.replayed)),
            ])
        family(
            "gossip_keys", "gauge", "Keys with which gossip is opened here.", [("", String(status.gossipKeys?.ids.count ?? 0))])
        family(
            "gossip_malformed_total", "counter", "Datagrams that were none of ours.",
            [("", String(datagrams.malformed + datagrams.unreadable))])
        family("gossip_suspicions_total", "counter", "Suspicions held.", [("", String(status.swim.suspicions))])
        family(
            "gossip_refutations_total", "counter", "Suspicions of this node refuted.", [("", String(status.swim.refutations))])
        family("gossip_late_ticks_total", "counter", "Pauses of this process noticed.", [("", String(status.swim.lateTicks))])
    }

    private mutating func routing(_ status: AgentStatus) {
        family("routing_revision", "gauge", "Index of the applied routing revision.", [("", String(status.revision.index))])
        family(
            "routing_newest_revision", "gauge", "Index of the newest revision heard of.",
            [("", String(status.newestRevision.index))])
        family(
            "routing_revisions_disbelieved_total", "counter", "Revisions heard of that no coordinator had.",
            [("", String(status.swim.disbelievedRevisions))])
        family(
            "routing_age_seconds", "gauge", "Seconds since a coordinator last confirmed the revision.",
            [("", String(status.revisionAge.seconds))])
        family(
            "coordinator_connected", "gauge", "1 while a session with a coordinator stands, else 0.",
            [("", status.connectedTo == nil ? "0" : "1")])
    }

    private mutating func partitions(_ status: AgentStatus) {
        let roles = ["primary", "in-sync", "learner"]
        family(
            "partitions", "gauge", "Replicas on this node, by role.",
            roles.map { role in ("role=\"\(role)\"", String(status.partitions.count { $0.roleName == role })) })
        family(
            "replicas_stray", "gauge", "Copies on this node's disk that the topology does not place here.",
            [("", String(status.inventory?.strayCount ?? 0))])
        family(
            "partitions_damaged", "gauge", "Replicas here that do not hold what they acknowledged.",
            [("", String(status.damaged.count))])
        family("partitions_fenced", "gauge", "Partitions led here that refuse writes.", [("", String(status.fenced.count))])
        family(
            "partitions_fenced_no_quorum", "gauge",
            "Partitions led here that refuse writes until the coordinators have a quorum again.",
            [("", String(status.fencedWithoutQuorum.count))])
        family(
            "partitions_without_lease", "gauge", "Partitions led here that wait for a lease.",
            [("", String(status.withoutLease.count))])
        family(
            "replication_lag_seconds", "gauge", "Seconds of the largest lag among the replicas.",
            [("", String((status.partitions.map(\.lag).max() ?? .zero).seconds))])
        family(
            "reads_per_second", "gauge", "Reads served in a second.",
            [("", String(status.partitions.reduce(0) { $0 + $1.readsPerSecond }))]
        )
        family(
            "writes_per_second", "gauge", "Writes applied in a second.",
            [("", String(status.partitions.reduce(0) { $0 + $1.writesPerSecond }))])
        family(
            "engine_bytes", "gauge", "Bytes of the replicas in the engine.",
            [("", String(status.partitions.reduce(0) { $0 &+ $1.bytes }))])
        family(
            "operations_running", "gauge", "Operations in which this node takes part.", [("", String(status.operations.count))])
    }

    private mutating func engine(_ status: AgentStatus) {
        family(
            "engine_health", "gauge", "1 for the present state.",
            ["healthy", "degraded", "failed"].map { ("state=\"\($0)\"", status.engine.name == $0 ? "1" : "0") })
        family(
            "engine_storages_waiting", "gauge", "Storages whose work waits for room or for something else that may pass.",
            [("", String(status.waitingStorages))])
        family(
            "engine_storages_unreadable", "gauge", "Storages that could not be opened at the start and are still on the disk.",
            [("", String(status.unreadable.count))])
        family("log_fsyncs_total", "counter", "Times the log was forced to disk.", [("", String(status.fsyncs))])
        family("log_bytes", "gauge", "Bytes of the log on disk.", [("", String(status.logBytes))])
        family("uptime_seconds", "gauge", "Seconds since the process started.", [("", String(status.uptime.seconds))])
    }

    private mutating func machine(_ load: MachineLoad) {
        family("machine_cpu_ratio", "gauge", "Processors in use, of 1.", [("", String(load.cpuPercent / 100))])
        family(
            "machine_memory_bytes", "gauge", "Bytes of the machine's memory.",
            [("state=\"total\"", String(load.memoryTotalBytes)), ("state=\"free\"", String(load.memoryFreeBytes))])
        family(
            "machine_disk_bytes", "gauge", "Bytes of the disk that holds the data folder.",
            [("state=\"total\"", String(load.diskTotalBytes)), ("state=\"free\"", String(load.diskFreeBytes))])
    }

    private mutating func access(_ tokens: TokenVerifier.Counters) {
        let refused = tokens.refused.sorted { $0.key < $1.key }.map { ("result=\"\($0.key)\"", String($0.value)) }
        family(
            "jwt_verify_total", "counter", "Tokens seen, by result.",
            [("result=\"verified\"", String(tokens.verified)), ("result=\"cached\"", String(tokens.cached))] + refused)
    }
}
