// One copy at the end that sends it.
//
// A copy that breaks leaves the rows up to its cursor, as they were where it stood. The next one is of a later snapshot: it brings
// these rows to where that stands, with the entries between the two out of the primary's log, and then goes on behind the cursor. So
// what is stored is at every moment as the source was at one point of its history, and the chain of checksums proves that it is the
// same history. Where the log does not reach back, or would be longer than what is stored, the copy begins anew.
//
// A copy that takes long does the same to itself from time to time: while a snapshot is held, the partition's log is kept back to it.
//
// Where the snapshot has an image of its file, that is sent page by page instead. It is of one snapshot from the first page to the last,
// so it goes on only while that is held, over another link too; else the copy begins anew, by rows.

import Compression
import Engine
import Logging
package import Model
import Replication
import Wire

struct CopySender {
    /// Chunks that may be on their way before the receiver has stored them.
    private static let credit: UInt64 = 4
    /// Frames that it says at most without hearing one: those chunks, one more that waits for room, and an end.
    static let ahead = credit + 2

    private let order: CopyOrder
    private let engine: any StorageEngine
    private let host: any CopyHost
    private var line: CopyLine
    private let pacer: CopyPacer
    private let logger: Logger

    private var snapshot: any StorageSnapshot
    private var takenAt = ContinuousClock.now
    /// The pages that are offered in the place of rows.
    private var image: PageImage?
    /// The receiver has taken the offer, and it stands.
    private(set) var isByPages = false
    /// It was taken, whatever came of it.
    private(set) var hasTriedPages = false
    /// All of it was sent.
    private(set) var hasEnded = false
    /// The next chunk, and how many are stored.
    private var (number, stored): (UInt64, UInt64) = (0, 0)
    /// The last row's key.
    private var cursor: Key?
    private var progress: CopyProgress

    init(
        order: CopyOrder, of snapshot: any StorageSnapshot, out engine: any StorageEngine, host: any CopyHost,
        on line: CopyLine, pacer: CopyPacer, logger: Logger
    ) {
        self.order = order
        self.snapshot = snapshot
        image = snapshot.image
        self.engine = engine
        self.host = host
        self.line = line
        self.pacer = pacer
        self.logger = logger
        progress = CopyProgress(operation: order.operation)
    }

    /// Where the snapshot stands.
    private var start: LogPoint { snapshot.point }

    func close() async { await snapshot.close() }

    /// Goes on over another link to the same receiver.
    mutating func redial(over line: CopyLine) { self.line = line }

    /// Returns when the receiver has it all on disk.
    mutating func run() async throws {
        try await begin()
        if isByPages { try await sendPages() }
        if !isByPages {
            // Rows are brought on to later snapshots.
            image = nil
            try await sendRows()
        }
        hasEnded = true
        try await line.say(.end)
        while true {
            switch try await line.hear() {
            case .stored: continue
            case .finished:
                progress.isDone = true
                return await host.copyProgressed(progress)
            default: throw CopyFailure.unexpected("no finish after the end")
            }
        }
    }

    private mutating func sendRows() async throws {
        while true {
            let rows = try await snapshot.rows(after: cursor, byteLimit: RowBlock.bytes)
            guard let last = rows.last else { break }
            try await send(RowBlock(rows))
            cursor = last.key
            let isHeld = await host.mayHold(order.partition, for: takenAt.duration(to: .now), isImage: false)
            if !isHeld { try await renew() }
        }
        // Once at least: which keys are forgotten, the learner must know in any case.
        var key: IdempotencyKey?
        repeat {
            let record = try await snapshot.writes(after: key, byteLimit: RowBlock.bytes)
            try await send(RowBlock([], record))
            key = record.writes.last?.key
        } while key != nil
    }

    /// Sends all that the receiver lacks of the image, or begins anew by rows.
    private mutating func sendPages() async throws {
        guard let image else { return }
        logger.info(
            "copy goes page by page",
            metadata: [
                "partition": "\(order.partition)", "target": "\(order.target)", "pages": "\(image.pages)",
                "chunks": "\(number)",
            ])
        while true {
            let (before, isTooFar) = number.multipliedReportingOverflow(by: UInt64(PageRun.most))
            guard !isTooFar, before < image.pages else { return }
            let run: PageRun
            do throws(EngineError) {
                run = PageRun(first: before + 1, bytes: try await snapshot.pages(from: before + 1, limit: PageRun.most))
            } catch {
                // A page that is damaged, or was never written, may be one that nobody uses: rows tell.
                return try await goOverToRows(because: "\(error)")
            }
            try await send(RowBlock(pages: run))
            guard await host.mayHold(order.partition, for: takenAt.duration(to: .now), isImage: true) else {
                return try await goOverToRows(because: "the snapshot has been held for too long")
            }
        }
    }

    private mutating func goOverToRows(because why: String) async throws {
        logger.notice(
            "copy goes over to rows",
            metadata: ["partition": "\(order.partition)", "target": "\(order.target)", "cause": "\(why)"])
        // Nor is it gone on with over another link.
        (image, isByPages) = (nil, false)
        try await settle()
        snapshot = try await engine.renew(snapshot, in: order.storage)
        takenAt = .now
        try await begin()
    }

    /// Goes on where an earlier try has ended, or begins anew.
    private mutating func begin() async throws {
        var stands = try await offer()
        var entries: [Entry] = []
        if let point = stands {
            if let between = await changes(after: point, through: start) {
                entries = between
            } else {
                try await line.say(.anew)
                stands = try await hearResume()
            }
        }
        await host.copyStands(order.partition, on: order.target, at: entries.isEmpty ? start : stands ?? start)
        guard !entries.isEmpty else { return }
        logger.info(
            "copy goes on",
            metadata: [
                "partition": "\(order.partition)", "target": "\(order.target)", "chunks": "\(number)",
                "entries": "\(entries.count)",
            ])
        try await bringOn(by: entries)
    }

    /// Takes a later snapshot in place of this one, and brings the receiver there. Not where that would cost more than it saves: that
    /// is decided by what has been written so far, for this one is let go of before the later one is taken.
    private mutating func renew() async throws {
        takenAt = .now
        let held = try await engine.state(of: order.storage)?.partitions.first { $0.partition == order.partition }
        guard let held else { throw EngineError.unknownPartition(order.partition, order.storage) }
        let old = start
        if held.point != old, await changes(after: old, through: held.point) == nil { return }
        snapshot = try await engine.renew(snapshot, in: order.storage)
        guard start != old else { return }
        // All of them, up to where the later one stands: what was written since the decision is not in what the receiver holds. The log
        // is kept back to there; should it be given up in this moment, or be led by another, this try is over.
        let entries = await host.changes(of: order.partition, after: old, through: start, in: order.term)
        guard let entries else { throw CopyFailure.unexpected("a log that does not reach back to what is stored") }
        try await settle()
        guard try await offer() == old else { throw CopyFailure.unexpected("a copy that has moved by itself") }
        try await bringOn(by: entries)
    }

    /// - Returns: where the receiver stands, if that is elsewhere than the snapshot.
    private mutating func offer() async throws -> LogPoint? {
        try await line.say(
            .begin(
                CopyStart(
                    partition: order.partition, epoch: order.epoch, term: order.term, storage: order.targetStorage,
                    start: start, advances: true, image: image)))
        return try await hearResume()
    }

    private mutating func hearResume() async throws -> LogPoint? {
        guard case .resume(let chunk, let after, let stands, let pages) = try await line.hear() else {
            throw CopyFailure.unexpected("no resume after begin")
        }
        guard !pages || image != nil && stands == nil else { throw CopyFailure.unexpected("pages that were not offered") }
        (number, stored, cursor, isByPages) = (chunk, chunk, after, pages)
        hasTriedPages = hasTriedPages || pages
        return stands == start ? nil : stands
    }

    /// What brings the chunks that are stored from one point to another; nil: beginning anew is the only way, or the shorter one.
    private func changes(after point: LogPoint, through end: LogPoint) async -> [Entry]? {
        let entries = await host.changes(of: order.partition, after: point, through: end, in: order.term)
        guard let entries else { return nil }
        let size = entries.reduce(0) { $0 + $1.body.byteCount }
        return UInt64(size) <= number.multipliedReportingOverflow(by: UInt64(RowBlock.bytes)).partialValue ? entries : nil
    }

    private mutating func bringOn(by entries: [Entry]) async throws {
        for block in Self.blocks(of: entries) { try await send(block) }
        try await settle()
        await host.copyStands(order.partition, on: order.target, at: start)
    }

    private static func blocks(of entries: [Entry]) -> [RowBlock] {
        var (blocks, block, size) = ([RowBlock](), [Entry](), 0)
        for entry in entries {
            if !block.isEmpty, size + entry.body.byteCount > RowBlock.bytes {
                blocks.append(RowBlock(entries: block))
                (block, size) = ([], 0)
            }
            block.append(entry)
            size += entry.body.byteCount
        }
        return blocks + (block.isEmpty ? [] : [RowBlock(entries: block)])
    }

    private mutating func send(_ block: RowBlock) async throws {
        let block = block.serialized()
        try await pacer.pass(block.count)
        // Pages have checksums of their own.
        let frame = try Frame.pack(block, FrameOptions(contentChecksum: !isByPages))
        try await line.say(.chunk(number, frame))
        number += 1
        progress.add(raw: block.count, wire: frame.count)
        let (stored, bytes) = (stored, progress.rawBytes)
        line.note { ($0.chunks, $0.bytes) = (stored, bytes) }
        while number > self.stored + Self.credit { try await hearStored() }
        await host.copyProgressed(progress)
    }

    /// Waits until everything that was sent is stored.
    private mutating func settle() async throws {
        while stored < number { try await hearStored() }
    }

    private mutating func hearStored() async throws {
        guard case .stored(let chunk) = try await line.hear() else {
            throw CopyFailure.unexpected("neither stored nor refused")
        }
        // More than was sent is not believed.
        let stored = min(chunk, number - 1) + 1
        self.stored = stored
        line.note { $0.chunks = stored }
    }
}

extension StorageSnapshot {
    /// Where in the history of its partition it stands.
    fileprivate var point: LogPoint { state.point }
}

extension PartitionState {
    fileprivate var point: LogPoint { LogPoint(position: applied, checksum: checksum) }
}

/// How far a copy has come, for people.
package struct CopyProgress: Hashable, Sendable {
    package let operation: OperationID?
    package private(set) var rawBytes: UInt64 = 0
    package private(set) var wireBytes: UInt64 = 0
    package var isDone = false

    init(operation: OperationID?) { self.operation = operation }

    mutating func add(raw: Int, wire: Int) {
        rawBytes += UInt64(raw)
        wireBytes += UInt64(wire)
    }
}
