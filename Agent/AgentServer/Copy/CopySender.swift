// One copy at the end that sends it.
//
// A copy that breaks leaves the rows up to its cursor, as they were where it stood. The next one is of a later snapshot: it brings
// these rows to where that stands, with the entries between the two out of the primary's log, and then goes on behind the cursor. So
// what is stored is at every moment as the source was at one point of its history, and the chain of checksums proves that it is the
// same history. Where the log does not reach back, or would be longer than what is stored, the copy begins anew.
//
// A copy that takes long does the same to itself from time to time: while a snapshot is held, the partition's log is kept back to it.

import Compression
import Engine
import Logging
package import Model
import Replication
import Wire

struct CopySender {
    /// Chunks that may be on their way before the receiver has stored them.
    private static let credit: UInt64 = 4

    private let order: CopyOrder
    private let engine: any StorageEngine
    private let host: any CopyHost
    private let line: CopyLine
    private let pacer: CopyPacer
    private let logger: Logger

    private var snapshot: any StorageSnapshot
    private var takenAt = ContinuousClock.now
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

    /// Returns when the receiver has it all on disk.
    mutating func run() async throws {
        try await begin()
        while true {
            let rows = try await snapshot.rows(after: cursor, byteLimit: RowBlock.bytes)
            guard let last = rows.last else { break }
            try await send(RowBlock(rows))
            cursor = last.key
            if await !host.mayHold(order.partition, for: takenAt.duration(to: .now)) { try await renew() }
        }
        // Once at least: which keys are forgotten, the learner must know in any case.
        var key: IdempotencyKey?
        repeat {
            let record = try await snapshot.writes(after: key, byteLimit: RowBlock.bytes)
            try await send(RowBlock([], record))
            key = record.writes.last?.key
        } while key != nil
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
                    start: start, advances: true)))
        return try await hearResume()
    }

    private mutating func hearResume() async throws -> LogPoint? {
        guard case .resume(let chunk, let after, let stands) = try await line.hear() else {
            throw CopyFailure.unexpected("no resume after begin")
        }
        (number, stored, cursor) = (chunk, chunk, after)
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
        let frame = try Frame.pack(block)
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
