// What this node keeps of things under way, in numbers: all of it ends, and what has ended must be gone, or the process grows with its age.

import Replication

extension AgentCore {
    /// How many of each there are. When nothing is under way all are none, but for appends, of which an idle node makes some too, and
    /// `changes`: one for each partition that is or was.
    package var holdings: [(what: String, count: Int)] {
        let own: [(what: String, count: Int)] = [
            ("appends", outstanding.count), ("inputs", pending.count + touched.count),
            ("installations", installing.count + locals.values.count { $0.installation != nil }),
            ("removals", dropping.count + locals.values.count { $0.isDropping }),
            ("copies under way", locals.values.reduce(0) { $0 + $1.copying.count + $1.stopping.count }),
            ("cleanups", dueAt.count), ("outgrown", outgrown.count), ("overtaken", overtaken.count),
            ("remnants", remnants.count), ("mistrusted", mistrusted.count), ("proposals", proposals.count),
            ("wanted splits", wantedSplit == nil ? 0 : 1), ("changes", changedAt.count),
        ]
        var ofReplicas: [String: Int] = [:]
        for local in locals.values {
            for (what, count) in local.replica?.holdings ?? [] { ofReplicas["\(what) of replicas", default: 0] += count }
        }
        return own + ofReplicas.sorted { $0.key < $1.key }.map { (what: $0.key, count: $0.value) }
    }
}
