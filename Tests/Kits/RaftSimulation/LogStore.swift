// A simulated member's disk in the product's shape: segments with the product's records and recovery (DurableLog), snapshots written
// beside, synced and renamed. A value: it turns writes into steps for a disk, and a disk into what a start finds.

package import Consensus
import DurableLog
package import Model
package import SimulationKit

package struct LogStore: Sendable {
    struct Segment: Sendable {
        let number: UInt64
        /// The highest index that any of its records names.
        var last: LogIndex
    }

    /// What a start makes of a disk.
    package enum Finding {
        case store(Recovered)
        /// No file says whose store this is.
        case empty
        /// It cannot be read back whole.
        case damaged
    }

    /// A store as it is after a start.
    package struct Recovered {
        package var log: LogStore
        package let member: MemberID
        package let hardState: HardState
        /// Nil in a new store.
        package let snapshot: Snapshot?
        package let entries: [Entry]
        /// What must be done before anything is answered for.
        package let opening: [DiskStep]
    }

    static let segmentBytes = 8_192
    static let nameFile = "store"

    private var tail: SegmentTail
    private(set) var segments: [Segment]
    private var hardState: HardState
    /// The last segment was made, and the process died before the vote that begins it was written: the next write owes it, or it would
    /// go with the older segments.
    private var owesHardState = false
    private var snapshots: [LogIndex]
    var mutant: ShellMutant?

    // MARK: - New stores

    /// The files of a store that holds nothing yet.
    package static func make(_ member: MemberID, store: StoreID) -> (log: LogStore, steps: [DiskStep]) {
        let header = SegmentHeader(firstOf: store, capacity: segmentBytes)
        var name = ByteWriter()
        name.put(member.description)
        name.put(store.number)
        name.put(UInt64(CRC32C.of(name.bytes)))
        let log = LogStore(
            tail: SegmentTail(of: header), segments: [Segment(number: 1, last: .zero)], hardState: HardState(), snapshots: [])
        let steps =
            Self.making(header) + [
                .write(file: "store.tmp", at: 0, name.bytes), .sync(file: "store.tmp"), .rename("store.tmp", to: nameFile),
                .syncFolder,
            ]
        return (log, steps)
    }

    private static func making(_ header: SegmentHeader, mutant: ShellMutant? = nil) -> [DiskStep] {
        var bytes = header.encoded
        bytes += repeatElement(0, count: header.capacity - bytes.count)
        var steps: [DiskStep] = [
            .write(file: "next.tmp", at: 0, bytes), .sync(file: "next.tmp"),
            .rename("next.tmp", to: path(ofSegment: header.segment)),
        ]
        if mutant != .forgetsFolder { steps.append(.syncFolder) }
        return steps
    }

    static func path(ofSegment number: UInt64) -> String { "segment-" + padded(number) }
    static func path(ofSnapshot index: LogIndex) -> String { "snapshot-" + padded(index.number) }

    private static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(8 - digits.count, 0)) + digits
    }

    // MARK: - Writing

    /// The steps that make all of `batch` durable, in one sync where there is no snapshot and no new segment.
    package mutating func steps(for batch: [Persist]) -> [DiskStep] {
        var steps: [DiskStep] = []
        for snapshot in batch.compactMap(\.snapshot) { steps += saving(snapshot) }
        var lines: [LogLine] = []
        var last = LogIndex.zero
        let former = hardState
        for write in batch {
            if write.replacesLog, let snapshot = write.snapshot, mutant != .forgetsReset { lines.append(.reset(snapshot.id)) }
            hardState = write.hardState
            let isDue = write.hardStateChanged || write.replacesLog || (owesHardState && write.needsWrite)
            if isDue, mutant != .forgetsVote || !write.entries.isEmpty {
                lines.append(.hardState(write.hardState))
                owesHardState = false
            }
            lines += write.entries.map(LogLine.entry)
            last = max(last, write.entries.last?.id.index ?? .zero)
        }
        if !lines.isEmpty { steps += appending(lines, behind: former, last: last) }
        return steps
    }

    /// The steps that make `lines` durable together.
    ///
    /// - Parameters:
    ///   - former: what was in force before them.
    ///   - last: the highest index among them.
    private mutating func appending(_ lines: [LogLine], behind former: HardState, last: LogIndex) -> [DiskStep] {
        var steps: [DiskStep] = []
        var bytes: [UInt8] = []
        var next = tail
        let records = lines.map(\.record)
        var place = tail.end
        let room = { (records: [NewRecord]) in records.reduce(0) { $0 + RecordFormat.encodedBytes(payload: $1.payload.count) } }
        if room(records) <= tail.room {
            next.encode(batch: records, into: &bytes)
        } else {
            // The former one: what the new one says to be committed may be in this batch, and torn off it.
            let all = (mutant == .dropsVote ? [] : [LogLine.hardState(former).record]) + records
            let header = tail.successor(capacity: max(Self.segmentBytes, SegmentHeader.bytes + room(all)))
            next = SegmentTail(of: header)
            place = next.end
            next.encode(batch: all, into: &bytes)
            steps += Self.making(header, mutant: mutant)
            segments.append(Segment(number: header.segment, last: .zero))
        }
        tail = next
        segments[segments.count - 1].last = max(segments[segments.count - 1].last, last)
        let file = Self.path(ofSegment: tail.header.segment)
        steps.append(.write(file: file, at: place, bytes))
        if mutant != .neverSyncs { steps.append(.sync(file: file)) }
        return steps
    }

    /// Says in the log that what stands in it is void, before anything is added to it: the next start would take what follows for void
    /// as well.
    private mutating func resetting(at snapshot: EntryID) -> [DiskStep] {
        owesHardState = false
        return appending([.reset(snapshot), .hardState(hardState)], behind: hardState, last: .zero)
    }

    private mutating func saving(_ snapshot: Snapshot) -> [DiskStep] {
        let file = Self.path(ofSnapshot: snapshot.id.index)
        var steps: [DiskStep] = [.write(file: "snapshot.tmp", at: 0, snapshot.encoded)]
        if mutant != .renamesBeforeSync { steps.append(.sync(file: "snapshot.tmp")) }
        steps += [.rename("snapshot.tmp", to: file), .syncFolder]
        for older in snapshots where older < snapshot.id.index { steps.append(.remove(Self.path(ofSnapshot: older))) }
        snapshots = [snapshot.id.index]
        return steps
    }

    /// Removes the oldest segments as long as a durable snapshot covers all of each.
    mutating func dropping(through covered: LogIndex) -> [DiskStep] {
        var steps: [DiskStep] = []
        while segments.count > 1, segments[0].last <= covered {
            steps.append(.remove(Self.path(ofSegment: segments[0].number)))
            segments.removeFirst()
        }
        return steps.isEmpty ? [] : steps + [.syncFolder]
    }

    // MARK: - Reading back

    package static func find(on disk: SimulatedDisk, mutant: ShellMutant? = nil) -> Finding {
        guard let name = disk.bytes(of: nameFile) else { return .empty }
        var reader = ByteReader(name)
        guard let text = reader.takeText(), let number = reader.take(), let sum = reader.take(),
            let member = try? MemberID(text: text),
            name.count >= 8, sum == UInt64(CRC32C.of(Array(name.prefix(name.count - 8))))
        else { return .damaged }
        let files = disk.files
        var opening: [DiskStep] = files.filter { $0.hasSuffix(".tmp") }.map(DiskStep.remove)

        var snapshot: Snapshot?
        if let newest = files.last(where: { $0.hasPrefix("snapshot-") }) {
            guard let found = Snapshot(encoded: disk.bytes(of: newest) ?? []) else { return .damaged }
            snapshot = found
        }
        guard let replay = Replay(files: files, disk: disk, store: StoreID(number), mutant: mutant), let tail = replay.tail
        else {
            return .damaged
        }
        if mutant != .writesBehindTornTail { opening += replay.repairs }
        if mutant != .trustsCache {
            // A process that died between a write and its sync, or a rename and the folder's, left what can be read and is not durable.
            opening += files.filter { !$0.hasSuffix(".tmp") }.map { DiskStep.sync(file: $0) } + [.syncFolder]
        }
        guard let (entries, mustReset) = replay.finish(snapshot, mutant) else { return .damaged }
        // What is known to be committed was on disk before that was written down.
        let end = max(entries.last?.id.index ?? .zero, snapshot?.id.index ?? .zero)
        guard replay.hardState.commit <= end || mutant == .cutsAtDamage else { return .damaged }
        var log = LogStore(
            tail: tail, segments: replay.segments, hardState: replay.hardState,
            owesHardState: !replay.lastSegmentHasHardState && mutant != .dropsVote,
            snapshots: snapshot.map { [$0.id.index] } ?? [], mutant: mutant)
        if let snapshot, mustReset, mutant != .forgetsVoidLog { opening += log.resetting(at: snapshot.id) }
        return .store(
            Recovered(
                log: log, member: member, hardState: replay.hardState, snapshot: snapshot, entries: entries, opening: opening))
    }
}

/// The records of all segments, as the log that they amount to.
private struct Replay {
    var hardState = HardState()
    var tail: SegmentTail?
    var segments: [LogStore.Segment] = []
    var repairs: [DiskStep] = []
    var lastSegmentHasHardState = false
    private var entries: [Entry] = []
    /// Whether the first segment that is there is not the first that ever was.
    private var beginsLate = false

    /// Nil when the log is damaged.
    init?(files: [String], disk: SimulatedDisk, store: StoreID, mutant: ShellMutant?) {
        let numbers = files.filter { $0.hasPrefix("segment-") }.compactMap { UInt64($0.dropFirst("segment-".count)) }
        beginsLate = numbers.first != 1
        var recovery = LogRecovery(store: store)
        for number in numbers {
            let file = LogStore.path(ofSegment: number)
            let bytes = disk.bytes(of: file) ?? []
            segments.append(LogStore.Segment(number: number, last: .zero))
            lastSegmentHasHardState = false
            var isReadable = true
            let verdict = bytes.withUnsafeBytes { bytes in
                recovery.take(segment: number, bytes: bytes, isLast: number == numbers.last) { record, _ in
                    guard let line = LogLine(record) else {
                        isReadable = false
                        return
                    }
                    take(line)
                }
            }
            guard isReadable else { return nil }
            tail = recovery.tail
            switch verdict {
            case .clean: break
            case .torn(let torn): repairs = cutting(torn.bytes, of: file)
            case .damaged:
                guard mutant == .cutsAtDamage, let tail, tail.header.segment == number else { return nil }
                let place = min(tail.end, bytes.count)
                repairs = [.write(file: file, at: place, Array(repeating: 0, count: bytes.count - place))]
                return
            }
        }
    }

    /// The word that closes a header goes first, durably: without it the tail is torn, whatever an interruption leaves of the rest. The
    /// tail may end within it, where zeros are its last bytes.
    private func cutting(_ tail: Range<Int>, of file: String) -> [DiskStep] {
        let closing = tail.lowerBound + 16
        let first: [DiskStep] =
            closing < tail.upperBound
            ? [.write(file: file, at: closing, Array(repeating: 0, count: 8)), .sync(file: file)] : []
        return first + [.write(file: file, at: tail.lowerBound, Array(repeating: 0, count: tail.count))]
    }

    /// By the rule that the product's `RaftReplay` follows, told once more on purpose: the simulation imports no shell.
    private mutating func take(_ line: LogLine) {
        switch line {
        case .entry(let entry):
            if let first = entries.first?.id.index, entry.id.index >= first,
                entry.id.index.number - first.number <= UInt64(entries.count)
            {
                entries.removeLast(entries.count - Int(entry.id.index.number - first.number))
            } else {
                entries = []
            }
            entries.append(entry)
            segments[segments.count - 1].last = max(segments[segments.count - 1].last, entry.id.index)
        case .hardState(let state):
            hardState = state
            lastSegmentHasHardState = true
        case .reset: entries = []
        }
    }

    /// The entries behind the snapshot. One that contradicts it at its index ends the log there, and so does a log that ends before it:
    /// the snapshot came from a leader, and the process died before the record that says so was durable. It must be said then.
    /// Nil when something is missing between them.
    func finish(_ snapshot: Snapshot?, _ mutant: ShellMutant?) -> (entries: [Entry], mustReset: Bool)? {
        let covered = snapshot?.id ?? .zero
        if snapshot == nil, beginsLate { return nil }
        guard let first = entries.first?.id.index, let last = entries.last?.id.index else { return ([], false) }
        guard first <= covered.index.next else { return nil }
        let contradicts = entries.contains { $0.id.index == covered.index && $0.id.term != covered.term }
        if contradicts || last < covered.index, mutant != .forgetsReset { return ([], true) }
        return (entries.filter { $0.id.index > covered.index }, false)
    }
}
