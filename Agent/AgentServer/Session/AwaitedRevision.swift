import Model

/// The newest revision that somebody is said to have, and which coordinators were found to go on without it (rule T2).
///
/// What a peer tells is a hint, and can be wrong: after a fault of its memory, or where the group was restored without a history of its
/// own. Waited for without an end, such a revision would keep the agent on its way from one coordinator to the next. So when each of them
/// has been asked and none has it, it is given up. A majority is not enough: only one of them may have applied it yet.
struct AwaitedRevision: Hashable, Sendable {
    enum Verdict: Hashable, Sendable {
        /// This coordinator has had long enough to tell of it; another may have it.
        case lacking(Revision)
        /// None has it.
        case disbelieved(Revision)
    }

    private(set) var revision = Revision.none
    private var patience = Patience()
    /// Since when the coordinator of the moment has been seen to lack this very revision.
    private var lackedSince: LogicalInstant?
    /// Who was asked for it, and went on without. Looked up only.
    private var without: Set<NodeID> = []

    mutating func hear(of newer: Revision) {
        guard newer > revision else { return }
        revision = newer
        lackedSince = nil
        without = []
    }

    /// There is hope: another coordinator, or something that arrives from this one.
    mutating func pause() {
        patience.pause()
        lackedSince = nil
    }

    /// Whether there is no use in going there: it was asked, and what it lacked is still waited for.
    func isLacked(by coordinator: NodeID) -> Bool { without.contains(coordinator) }

    /// - Parameters:
    ///   - own: what the agent has.
    ///   - coordinator: who was asked for what comes behind that when its link was opened.
    ///   - all: everybody who could be asked.
    /// - Returns: nil while nothing is waited for, or there is still hope here.
    mutating func look(
        having own: Revision, from coordinator: NodeID, of all: [NodeID], at now: LogicalInstant
    ) -> Verdict? {
        guard own < revision else {
            patience.end()
            lackedSince = nil
            without = []
            return nil
        }
        patience.begin(at: now)
        let since = lackedSince ?? now
        lackedSince = since
        // As long as the first coordinator is given, however long this one is: what it has is on its way for no longer.
        if now - since >= Patience.first { without.insert(coordinator) }
        if !all.isEmpty, all.allSatisfy(without.contains) {
            defer { self = AwaitedRevision() }
            return .disbelieved(revision)
        }
        return patience.isOver(at: now) ? .lacking(revision) : nil
    }
}
