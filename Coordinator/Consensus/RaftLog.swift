// One member's log in memory: what follows the last compaction, what of it is on disk, what is committed, what has been given to the
// state machine.
//
// Durability is tracked by writes, not by indices: a write that was under way when its entries were cut no longer speaks for the
// indices that were cut, even if the same entries stand there again later. (An acknowledgement by index, or by index and term, can
// come late and speak for an entry that an unfinished later write is about to replace on disk.)

package import Model

package struct RaftLog: Sendable {
    /// The last entry that is compacted away; what a snapshot stands for.
    package private(set) var base: EntryID
    /// Consecutive from `base.index + 1`.
    package private(set) var entries: [Entry]
    /// Everything up to here is on this member's disk.
    package private(set) var stable: LogIndex
    package private(set) var commit: LogIndex
    /// Everything up to here has gone to the state machine.
    package private(set) var applied: LogIndex
    /// Entries up to here have gone to a write.
    private var written: LogIndex
    private var writes: [Write] = []
    /// The configurations in the log with their places, oldest first; never empty.
    private var configurations: [PlacedConfiguration]

    #if MUTANTS
        var mutant: Mutant?
    #endif

    private struct Write: Sendable {
        let sequence: UInt64
        var last: LogIndex
        let startedAt: LogicalInstant
    }

    private struct PlacedConfiguration: Sendable {
        let index: LogIndex
        let configuration: MemberConfiguration

        init(index: LogIndex, configuration: MemberConfiguration) {
            self.index = index
            self.configuration = configuration
        }

        init(of snapshot: Snapshot) {
            self.init(index: snapshot.configurationIndex, configuration: snapshot.configuration)
        }
    }

    /// A log as it was read back from disk.
    /// - Precondition: `entries` are consecutive and reach back to the snapshot.
    package init(snapshot: Snapshot, entries: [Entry] = [], commit: LogIndex = .zero) {
        base = snapshot.id
        self.entries = []
        stable = snapshot.id.index
        self.commit = snapshot.id.index
        applied = snapshot.id.index
        written = snapshot.id.index
        configurations = [PlacedConfiguration(of: snapshot)]
        for entry in entries where entry.id.index > base.index { append(entry) }
        stable = last.index
        written = last.index
        self.commit = max(self.commit, min(commit, last.index))
    }

    package var last: EntryID { entries.last?.id ?? base }
    package var configuration: MemberConfiguration { configurations[configurations.count - 1].configuration }
    /// Where the configuration in force stands, compacted away or not; zero where it is the founding one.
    package var configurationIndex: LogIndex { configurations[configurations.count - 1].index }
    /// What was in force before a configuration that is not known to be committed; nil when there is no such one.
    package var configurationBefore: MemberConfiguration? {
        guard configurationIndex > commit, configurations.count > 1 else { return nil }
        return configurations[configurations.count - 2].configuration
    }
    package var oldestWriteStartedAt: LogicalInstant? { writes.first?.startedAt }

    /// The configuration in force at `index`, which is not compacted away.
    package func configuration(at index: LogIndex) -> MemberConfiguration { placedConfiguration(at: index).configuration }

    /// Where the configuration in force at `index` stands.
    package func configurationIndex(at index: LogIndex) -> LogIndex { placedConfiguration(at: index).index }

    private func placedConfiguration(at index: LogIndex) -> PlacedConfiguration {
        configurations.last { $0.index <= index } ?? configurations[0]
    }

    /// The term of the entry at `index`; nil when it is compacted away or not yet there.
    package func term(at index: LogIndex) -> Term? {
        if index == base.index { return base.term }
        guard index > base.index, index <= last.index else { return nil }
        return entries[offset(of: index)].id.term
    }

    package func holds(_ id: EntryID) -> Bool { term(at: id.index) == id.term }

    /// Entries from `first` on, one at least where there is one, and no more than `bytes`.
    package func entries(from first: LogIndex, bytes: Int) -> [Entry] {
        guard first > base.index, first <= last.index else { return [] }
        var weight = 0
        let tail = entries[offset(of: first)...]
        let count = tail.prefix { entry in
            let isFirst = weight == 0
            weight += entry.content.weight
            return isFirst || weight <= bytes
        }.count
        return Array(tail.prefix(count))
    }

    /// Where the logs agree at the latest, if another one has `id` at its end or at a place that did not match: the last entry at or
    /// before `id.index` whose term is not above `id.term`. One step back for each term, not for each entry.
    package func agreement(atLatest id: EntryID) -> EntryID {
        var index = min(id.index, last.index)
        while index > base.index, let term = term(at: index), term > id.term { index = index.previous }
        guard let term = term(at: index) else { return base }
        return EntryID(term: term, index: index)
    }

    // MARK: - Growing and cutting

    package mutating func append(_ entry: Entry) {
        precondition(entry.id.index == last.index.next, "entry \(entry.id) does not follow \(last)")
        precondition(entry.id.term >= last.term, "entry \(entry.id) goes back behind \(last)")
        entries.append(entry)
        if case .configuration(let configuration) = entry.content {
            configurations.append(PlacedConfiguration(index: entry.id.index, configuration: configuration))
        }
    }

    package enum MergeOutcome: Hashable, Sendable {
        /// Equal to the leader's log up to here.
        case matched(LogIndex)
        case rejected(hint: EntryID)
        case conflictWithCommitted(EntryID)
    }

    /// Takes a leader's entries. Nothing that matches is ever cut, so an old, doubled or overtaken append does no harm.
    package mutating func merge(_ new: [Entry], after previous: EntryID) -> MergeOutcome {
        // Entries at or before `base` are committed, and so equal to the leader's.
        if previous.index >= base.index {
            guard holds(previous) else { return .rejected(hint: agreement(atLatest: previous)) }
        }
        if mutated(.cutsMatchingEntries), holds(previous), previous.index >= commit, previous.index < last.index {
            cut(from: previous.index.next)
        }
        let fresh = new.drop { $0.id.index <= base.index || holds($0.id) }
        if let first = fresh.first {
            guard first.id.index > commit else { return .conflictWithCommitted(first.id) }
            if first.id.index <= last.index { cut(from: first.id.index) }
            for entry in fresh { append(entry) }
        }
        return .matched(max(previous.index, new.last?.id.index ?? .zero))
    }

    private mutating func cut(from index: LogIndex) {
        precondition(index > commit, "cut at \(index) below commit \(commit)")
        entries.removeSubrange(offset(of: index)...)
        if !mutated(.keepsCutConfiguration) { configurations.removeAll { $0.index >= index && $0.index > base.index } }
        withdrawWrites(from: index)
    }

    private mutating func withdrawWrites(from index: LogIndex) {
        stable = min(stable, index.previous)
        written = min(written, index.previous)
        if mutated(.oldWritesSpeakForNew) { return }
        for at in writes.indices { writes[at].last = min(writes[at].last, index.previous) }
    }

    // MARK: - Disk

    /// The entries that no write has taken yet; the caller writes them.
    package mutating func takeUnwritten() -> [Entry] {
        guard written < last.index else { return [] }
        let fresh = Array(entries[offset(of: written.next)...])
        written = last.index
        return fresh
    }

    package mutating func beganWrite(_ sequence: UInt64, at now: LogicalInstant) {
        writes.append(Write(sequence: sequence, last: written, startedAt: now))
    }

    /// Every write up to `sequence` is durable.
    package mutating func finishedWrites(through sequence: UInt64) {
        let done = writes.prefix { $0.sequence <= sequence }
        if let newest = done.last { stable = max(stable, newest.last) }
        writes.removeFirst(done.count)
    }

    // MARK: - Commit, apply, compact

    /// - Precondition: `index` is in the log.
    package mutating func commit(to index: LogIndex) {
        guard index > commit else { return }
        precondition(index <= last.index, "commit \(index) beyond \(last)")
        commit = index
    }

    package mutating func takeCommitted() -> [Entry] {
        guard applied < commit else { return [] }
        let ready = Array(entries[offset(of: applied.next)...offset(of: commit)])
        applied = commit
        return ready
    }

    /// Up to where entries may go when a snapshot covers them up to `index`: what is kept behind it serves followers that are a little
    /// late, and is bounded by count and by bytes.
    package func droppable(coveredThrough index: LogIndex, keeping count: UInt64, bytes: Int) -> LogIndex {
        var (droppable, weight) = (index, 0)
        while droppable > base.index, index.number - droppable.number < count {
            weight += entries[offset(of: droppable)].content.weight
            guard weight <= bytes else { break }
            droppable = droppable.previous
        }
        return droppable
    }

    /// Drops the entries up to `index`, which a durable snapshot stands for.
    package mutating func compact(through index: LogIndex) {
        guard index > base.index, index <= applied, let term = term(at: index) else { return }
        let inForce = placedConfiguration(at: index)
        entries.removeFirst(offset(of: index) + 1)
        base = EntryID(term: term, index: index)
        configurations.removeAll { $0.index <= index }
        configurations.insert(inForce, at: 0)
    }

    /// Begins anew at a snapshot from the leader. It counts as stable when the write that carries it is.
    package mutating func restore(_ snapshot: Snapshot) {
        precondition(snapshot.id.index > commit, "snapshot \(snapshot.id) behind commit \(commit)")
        withdrawWrites(from: LogIndex(1))
        base = snapshot.id
        entries = []
        stable = .zero
        written = snapshot.id.index
        commit = snapshot.id.index
        applied = snapshot.id.index
        configurations = [PlacedConfiguration(of: snapshot)]
    }

    private func offset(of index: LogIndex) -> Int { Int(index.number - base.index.number) - 1 }
}
