// Nothing may be kept of what has ended: what processes hold when all has come to rest, each kind of it against a small bound.

import AgentCore
import Consensus
import CoordinatorCore
import Model

extension ClusterChecks {
    /// What is kept of something that has ended; nil when nothing is. Looked at again for a while, since an idle cluster too has an append
    /// or a command under way at times.
    func remains(in processes: [ClusterProcess?], _ options: ClusterOptions) -> String? {
        for process in processes {
            if let agent = process?.agent, let what = remains(in: agent) { return "\(agent.node) keeps \(what)" }
            guard let member = process?.coordinator, let what = remains(in: member, options) else { continue }
            return "\(member.id) keeps \(what)"
        }
        return nil
    }

    private func remains(in agent: AgentProcess) -> String? {
        guard agent.callers.isEmpty else { return "\(agent.callers.count) callers who wait" }
        guard agent.lane.isEmpty else { return "\(agent.lane.count) things for its engine to do" }
        if let id = agent.core.overlongLogs.first { return "too much of the log of \(id)" }
        return agent.core.holdings.first { $0.count > bound(of: $0.what) }.map { "\($0.count) \($0.what)" }
    }

    private func bound(of what: String) -> Int {
        switch what {
        // One that shows that the log can be written.
        case "appends": 1
        case "changes": truth.partitions.count + truth.retired.count
        case "proposals": truth.partitions.count
        // Those that were refused are kept as long as the epoch: that each member leaves, and that one comes.
        case "proposals of replicas": truth.partitions.count * ((truth.tables.values.map(\.replicationFactor).max() ?? 0) + 1)
        default: 0
        }
    }

    private func remains(in member: CoordinatorProcess, _ options: ClusterOptions) -> String? {
        guard member.unanswered == 0 else { return "\(member.unanswered) callers who wait" }
        let entries = member.core.raft.log.entries.count
        let most = options.coordinator.snapshotEntries + options.raft.trailingEntries + Self.uncountedEntries
        guard entries <= most else { return "\(entries) entries, and \(most) are enough" }
        // Who is gone for good is absent for as long. Whoever is out of the group hears of no end any more: what was under way in its
        // catalog stays so.
        return member.core.holdings.first {
            $0.count > ($0.what == "absent nodes" && losses.gone != nil ? 1 : 0)
                && ($0.what != "transfers under way" || isMember(member.id))
        }.map { "\($0.count) \($0.what)" }
    }

    /// Entries that call for no snapshot: leaders begin their terms with one.
    private static let uncountedEntries: UInt64 = 40
}
