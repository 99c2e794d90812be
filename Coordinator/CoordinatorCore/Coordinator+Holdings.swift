// What this member keeps of things under way, in numbers: all of it ends, and what has ended must be gone, or the process grows with its
// age.

import Consensus

extension Coordinator {
    /// How many of each there are; none of them when nothing is under way.
    package var holdings: [(what: String, count: Int)] {
        let own: [(what: String, count: Int)] = [
            ("waiting commands", waiting.queue.count), ("commands handed in", handedIn.values.reduce(0) { $0 + $1.count }),
            ("commands passed on", waiting.passedOn.count), ("fresh reads", freshReads.count),
            ("own proposals", underWay.count), ("wishes of operators", groupRequests.count),
            ("absent nodes", absentSince.count), ("transfers under way", transfers.count),
        ]
        return own + raft.holdings
    }
}
