/// What each series means, with its unit: the `# HELP` line of every name that a registry may show. A name without one is shown with
/// itself, so that a forgotten line is seen; a test asks the running programs for theirs.
enum MetricHelp {
    static func text(of name: String) -> String { texts[name] ?? name }

    private static let texts: [String: String] = [
        "coxswain_api_inflight_requests": "Requests to the control API that are being answered.",
        "coxswain_api_request_duration_seconds": "Seconds to answer a request to the control API, by route, method and code.",
        "coxswain_breaker_holds": "1 while so many nodes are failed that nothing is copied, else 0.",
        "coxswain_disk_admits": "1 while the disk has space for changes that people ask for, else 0.",
        "coxswain_disk_free_bytes": "Free bytes of the file system under the data folder.",
        "coxswain_failover_decide_seconds":
            "Seconds from the first report of a node's death to the committed entry that gives its partitions other primaries.",
        "coxswain_failover_detect_seconds":
            "Seconds from the first suspicion of a node at this member to the first report of its death.",
        "coxswain_failover_recover_seconds":
            "Seconds from learning that this node takes over a partition of a failed one to serving it.",
        "coxswain_gossip_decrypt_failures_total": "Datagrams that did not open, or that came before.",
        "coxswain_gossip_key_age_seconds": "Seconds since the cluster got the key that seals gossip.",
        "coxswain_gossip_keys": "Keys with which gossip is opened here.",
        "coxswain_gossip_late_ticks_total": "Pauses of this process that its failure detector noticed.",
        "coxswain_gossip_local_health": "Local health multiplier of the failure detector; 0 is healthy.",
        "coxswain_gossip_malformed_total": "Datagrams that could not be read.",
        "coxswain_gossip_members": "Members that this one holds, by their status.",
        "coxswain_gossip_false_positives_total": "Members held dead who refuted it.",
        "coxswain_gossip_probe_failures_total":
            "Probes that no way answered: the member was silent and helpers were heard, or no helper was heard either.",
        "coxswain_gossip_link_pings_total": "Pings over members' links, by what came of them.",
        "coxswain_gossip_isolated": "1 while nobody answers this member's pings, else 0.",
        "coxswain_gossip_probes_saved_by_link_total": "Probes that only the member's link answered.",
        "coxswain_gossip_refused_links_total": "Links that ended or were refused, and were looked into.",
        "coxswain_gossip_verdicts_total": "Members held dead by own judgement.",
        "coxswain_gossip_probe_rtt_seconds": "Seconds from a ping to its answer, where no helper was asked.",
        "coxswain_gossip_probes_total": "Probes sent.",
        "coxswain_gossip_refutations_total": "Suspicions of this member that it refuted.",
        "coxswain_gossip_rotation": "1 at the step of a rotation of gossip keys that is under way.",
        "coxswain_gossip_rotation_members_behind":
            "Live members that have not done that step; 0 where this member does not lead.",
        "coxswain_gossip_suspicions_total": "Suspicions held.",
        "coxswain_imbalance_ratio": "How much more than its fair share of primaries the fullest healthy node leads; 0 is even.",
        "coxswain_jwt_verify_seconds": "Seconds to judge a bearer's token, found in the cache or not.",
        "coxswain_log_fsync_seconds_total": "Seconds spent in forcing the log to disk.",
        "coxswain_log_fsyncs_total": "Times the log was forced to disk.",
        "coxswain_metrics_dropped_total": "Series that were asked for and are not shown: too many, or of two kinds.",
        "coxswain_nodes": "Nodes, by zone and committed status.",
        "coxswain_operations": "Operations in the catalog, by kind and state.",
        "coxswain_partitions": "Partitions, by status.",
        "coxswain_partitions_under_replicated": "Active partitions with fewer copies in sync than their table asks for.",
        "coxswain_partitions_without_primary": "Active partitions that wait for their last in-sync node.",
        "coxswain_raft_applied_index": "Index of the last entry applied here.",
        "coxswain_raft_commit_duration_seconds": "Seconds from handing a command in to its answer.",
        "coxswain_raft_commit_index": "Index of the last entry that is known here to be committed.",
        "coxswain_raft_fsync_duration_seconds": "Seconds from handing entries to the disk to their being on it.",
        "coxswain_raft_has_leader": "1 while this member knows a leader, else 0.",
        "coxswain_raft_is_leader": "1 while this member leads, else 0.",
        "coxswain_raft_leader_changes_total": "Times this member saw the leader change.",
        "coxswain_raft_state_differences_total": "Marks of other members' states unlike this one's: each is damage.",
        "coxswain_raft_dropped_total": "Messages between members that were not taken, or not sent, by reason.",
        "coxswain_raft_is_member": "Whether this store belongs to the group, as far as it knows.",
        "coxswain_raft_members_connected": "Members to which a link stands, this one included.",
        "coxswain_raft_messages_total": "Messages between members, by direction.",
        "coxswain_raft_peer_lag_entries": "Entries that a member is behind; 0 where this member does not lead.",
        "coxswain_raft_proposals_total": "Commands handed in at this member.",
        "coxswain_raft_reads_total": "Linearizable reads asked of this member.",
        "coxswain_raft_term": "Raft term.",
        "coxswain_routing_propagation_seconds":
            "Seconds from the leader's stamp on a change of the topology to its being applied here, by the two clocks.",
        "coxswain_routing_revision": "Index of the applied routing revision.",
        "coxswain_replication_dropped_prepares_total":
            "Prepares of peers that were not taken, since too many bytes waited for the log; they are sent again.",
        "coxswain_routing_stale_rejects_total": "Requests refused because their route was an old one, or none to this node.",
        "process_cpu_seconds_total": "Seconds of processor time that this process has used.",
        "process_open_fds": "Open descriptors of this process.",
        "process_resident_memory_bytes": "Bytes of memory that this process occupies.",
    ]
}
