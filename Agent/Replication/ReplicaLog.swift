// One partition's entries in memory: the part of its log that may still be cut, applied or re-sent.

package import Model

/// The entries after `base`, contiguous and chained. What stands at or before `base` is in the engine, on disk.
package struct ReplicaLog: Hashable, Sendable {
    package private(set) var base: LogPoint
    private var entries: [Entry] = []
    package private(set) var byteCount = 0

    package init(base: LogPoint = .start) { self.base = base }

    package var last: LogPoint { entries.last?.point ?? base }
    package var lastSequence: UInt64 { base.sequence + UInt64(entries.count) }
    package var count: Int { entries.count }

    /// The entry there, if it is still held.
    package func entry(at sequence: UInt64) -> Entry? {
        guard sequence > base.sequence, sequence <= lastSequence else { return nil }
        return entries[Int(sequence - base.sequence - 1)]
    }

    /// Position and chain value there; nil before the base and past the end.
    package func point(at sequence: UInt64) -> LogPoint? {
        sequence == base.sequence ? base : entry(at: sequence)?.point
    }

    /// The entries in `first...last`, as many as fit `bytes` and `limit`, but one at least.
    package func entries(from first: UInt64, through last: UInt64, bytes: Int, limit: Int) -> [Entry] {
        guard first > base.sequence, first <= min(last, lastSequence) else { return [] }
        var taken: [Entry] = []
        var size = 0
        for sequence in first...min(last, lastSequence) {
            let next = entries[Int(sequence - base.sequence - 1)]
            if !taken.isEmpty, size + next.body.byteCount > bytes || taken.count >= limit { break }
            size += next.body.byteCount
            taken.append(next)
        }
        return taken
    }

    /// Every entry held after `sequence`.
    package func entries(after sequence: UInt64) -> ArraySlice<Entry> {
        entries.dropFirst(Int(min(max(sequence, base.sequence) - base.sequence, UInt64(entries.count))))
    }

    /// - Precondition: `entry.follows(last)`.
    package mutating func append(_ entry: Entry) {
        precondition(entry.position.sequence == lastSequence + 1, "entry \(entry.position) does not follow \(last)")
        entries.append(entry)
        byteCount += entry.body.byteCount
    }

    /// Makes and appends the next entry of `term`.
    package mutating func order(_ body: EntryBody, in term: Term) -> Entry {
        precondition(term >= last.position.term, "\(term) orders after \(last.position)")
        let entry = Entry(position: Position(term, lastSequence + 1), body: body, after: last.checksum)
        append(entry)
        return entry
    }

    /// Takes back every entry after `sequence`.
    package mutating func cut(through sequence: UInt64) {
        precondition(sequence >= base.sequence, "a cut to \(sequence) goes below the base \(base)")
        while lastSequence > sequence { byteCount -= entries.removeLast().body.byteCount }
    }

    /// Forgets the entries up to `sequence`: the engine has them on disk.
    package mutating func forget(through sequence: UInt64) {
        guard let point = point(at: min(sequence, lastSequence)), point.sequence > base.sequence else { return }
        let gone = Int(point.sequence - base.sequence)
        for entry in entries[..<gone] { byteCount -= entry.body.byteCount }
        entries.removeFirst(gone)
        base = point
    }

    /// The newest held point that is not newer than `hint` in term or sequence: where a log that has `hint` may agree with this
    /// one (Raft, end of section 5.3; each exchange skips a whole term).
    package func candidate(for hint: Position) -> LogPoint? {
        var sequence = min(hint.sequence, lastSequence)
        while let point = point(at: sequence) {
            if point.position.term <= hint.term { return point }
            guard sequence > base.sequence else { return nil }
            sequence -= 1
        }
        return nil
    }

    /// The last split or merge record that nothing after it has cancelled.
    package var openSplit: (operation: OperationID, point: LogPoint)? {
        for entry in entries.reversed() {
            switch entry.body {
            case .cancelSplit, .write: return nil
            case .split(let operation): return (operation, entry.point)
            case .opening, .verify: continue
            }
        }
        return nil
    }
}
