// A snapshot on its way from a primary to a learner: rows in key order, a chunk of about a mebibyte at a time, compressed, a few
// chunks ahead of the receiver's disk. The copy stands at the position of the snapshot; what was written since follows as
// prepares, from a log that is kept back to there.
//
// A copy that breaks leaves the rows up to its cursor, as they were where it stood. The next one is of a later snapshot: it brings
// these rows to where that stands, with the entries between the two out of the primary's log, and then goes on behind the cursor. So
// what is stored is at every moment as the source was at one point of its history, and the chain of checksums proves that it is the
// same history. Where the log does not reach back, or would be longer than what is stored, the copy begins anew.

import Compression
import Engine
import Logging
package import Model
import Replication
import Transport
import Wire

struct CopyStreams: SnapshotStreams {
    /// Chunks that may be on their way before the receiver has stored them.
    private static let credit: UInt64 = 4

    let engine: any StorageEngine
    let endpoint: LinkEndpoint
    let host: any CopyHost
    let logger: Logger
    private let outgoing: CopyPacer
    private let incoming: CopyPacer

    init(
        engine: any StorageEngine, endpoint: LinkEndpoint, host: any CopyHost, meters: AgentMeters = AgentMeters(),
        logger: Logger
    ) {
        self.engine = engine
        self.endpoint = endpoint
        self.host = host
        self.logger = logger
        outgoing = CopyPacer(rate: { host.copyRate }, moved: meters.sentCopies, waits: meters.copyPauses)
        incoming = CopyPacer(rate: { host.copyRate }, moved: meters.receivedCopies, waits: meters.copyPauses)
    }

    // MARK: - Sending

    func send(_ order: CopyOrder) async throws {
        let link = try await LinkDialer(endpoint: endpoint).connect(
            to: order.targetAddress, expecting: order.target, conversation: .copy)
        let line = CopyLine(link, silence: host.copySilence)
        do {
            let snapshot = try await engine.snapshot(of: order.partition, in: order.storage)
            do {
                try await line.guarded { try await send(order, snapshot, on: line) }
            } catch {
                await snapshot.close()
                throw error
            }
            await snapshot.close()
        } catch {
            link.abort()
            throw error
        }
        await link.close()
    }

    private func send(_ order: CopyOrder, _ snapshot: any StorageSnapshot, on line: CopyLine) async throws {
        let start = LogPoint(position: snapshot.state.applied, checksum: snapshot.state.checksum)
        let copy = CopyStart(
            partition: order.partition, epoch: order.epoch, term: order.term, storage: order.targetStorage, start: start,
            advances: true)
        try await line.say(.begin(copy))
        var (resume, entries) = (try await hearResume(on: line), [Entry]())
        if let stands = resume.stands, stands != start {
            if let between = await changes(order, after: stands, through: start, chunks: resume.chunk) {
                entries = between
            } else {
                try await line.say(.anew)
                resume = try await hearResume(on: line)
            }
        }
        await host.copyStands(order.partition, on: order.target, at: entries.isEmpty ? start : resume.stands ?? start)
        var (number, after) = (resume.chunk, resume.after)
        var progress = CopyProgress(operation: order.operation)
        var stored = number
        func send(_ block: RowBlock) async throws {
            let block = block.serialized()
            try await outgoing.pass(block.count)
            let frame = try Frame.pack(block)
            try await line.say(.chunk(number, frame))
            number += 1
            progress.add(raw: block.count, wire: frame.count)
            line.note { ($0.chunks, $0.bytes) = (stored, progress.rawBytes) }
            while number > stored + Self.credit { stored = try await hearStored(on: line) + 1 }
            await host.copyProgressed(progress)
        }
        if !entries.isEmpty {
            logger.info(
                "copy goes on",
                metadata: [
                    "partition": "\(order.partition)", "target": "\(order.target)", "chunks": "\(number)",
                    "entries": "\(entries.count)",
                ])
            for block in Self.blocks(of: entries) { try await send(block) }
            while stored < number { stored = try await hearStored(on: line) + 1 }
            await host.copyStands(order.partition, on: order.target, at: start)
        }
        while true {
            let rows = try await snapshot.rows(after: after, byteLimit: RowBlock.bytes)
            guard let last = rows.last else { break }
            try await send(RowBlock(rows))
            after = last.key
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
                await host.copyProgressed(progress)
                return
            default: throw CopyFailure.unexpected("no finish after the end")
            }
        }
    }

    private func hearResume(on line: CopyLine) async throws -> (chunk: UInt64, after: Key?, stands: LogPoint?) {
        guard case .resume(let chunk, let after, let stands) = try await line.hear() else {
            throw CopyFailure.unexpected("no resume after begin")
        }
        return (chunk, after, stands)
    }

    /// What brings the chunks that are stored to where the copy starts; nil: beginning anew is the only way, or the shorter one.
    private func changes(
        _ order: CopyOrder, after point: LogPoint, through end: LogPoint, chunks: UInt64
    ) async -> [Entry]? {
        let entries = await host.changes(of: order.partition, after: point, through: end, in: order.term)
        guard let entries else { return nil }
        let size = entries.reduce(0) { $0 + $1.body.byteCount }
        return UInt64(size) <= chunks.multipliedReportingOverflow(by: UInt64(RowBlock.bytes)).partialValue ? entries : nil
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

    private func hearStored(on line: CopyLine) async throws -> UInt64 {
        guard case .stored(let number) = try await line.hear() else {
            throw CopyFailure.unexpected("neither stored nor refused")
        }
        line.note { $0.chunks = number + 1 }
        return number
    }

    // MARK: - Receiving

    func receive(on link: Link) async {
        let line = CopyLine(link, silence: host.copySilence)
        do {
            try await line.guarded { try await store(from: line) }
        } catch {
            logger.warning("a copy did not arrive", metadata: ["sender": "\(link.peer.node)", "error": "\(error)"])
            // Where the link still stands, the sender had better know why.
            if !link.isClosed { try? await line.guarded { try await line.say(.refused("\(error)")) } }
        }
    }

    private func store(from line: CopyLine) async throws {
        guard case .begin(let copy) = try await line.hear() else {
            throw CopyFailure.unexpected("no begin")
        }
        var begun = try await begin(copy, advancing: copy.advances, on: line)
        while true {
            switch try await line.hear() {
            case .anew: begun = try await begin(copy, advancing: false, on: line)
            case .chunk(let number, let frame):
                let bytes = try Frame.unpack(frame, limit: RowBlock.limit)
                try await incoming.pass(bytes.count)
                begun.state = try await store(try RowBlock(bytes: bytes), number, of: copy, into: begun.state)
                line.note { ($0.chunks, $0.bytes) = (number + 1, $0.bytes + UInt64(bytes.count)) }
                try await line.say(.stored(number))
            case .end:
                guard begun.state.point == copy.start else { throw CopyFailure.unexpected("an end elsewhere than it began") }
                try await noting(copy) { () async throws(EngineError) in
                    try await engine.finishImport(of: begun.state.start, in: copy.storage)
                }
                await host.finished(copy, number: begun.number)
                return try await line.say(.finished)
            default: throw CopyFailure.unexpected("neither chunk nor end")
            }
        }
    }

    private func begin(_ copy: CopyStart, advancing: Bool, on line: CopyLine) async throws -> BegunCopy {
        // Another session's copy, or one that this node does not wait for, changes nothing here (rule M5).
        guard let begun = try await host.begin(copy, from: line.link.peer.node, advancing: advancing) else {
            throw CopyFailure.unexpected("partition \(copy.partition) is not expected into storage \(copy.storage)")
        }
        line.note { $0.chunks = begun.state.chunks }
        let stands = begun.state.point
        try await line.say(
            .resume(chunk: begun.state.chunks, after: begun.state.last, stands: stands == copy.start ? nil : stands))
        return begun
    }

    private func store(
        _ block: RowBlock, _ number: UInt64, of copy: CopyStart, into state: ImportState
    ) async throws -> ImportState {
        var point = state.point
        // The chain vouches for each entry, and for what is stored being of the same history.
        for entry in block.entries {
            guard entry.follows(point) else {
                throw CopyFailure.unexpected("\(entry.position) does not follow \(point.position)")
            }
            point = entry.point
        }
        guard !block.entries.isEmpty || point == copy.start else {
            throw CopyFailure.unexpected("rows as of \(copy.start.position) for a copy that stands at \(point.position)")
        }
        return try await noting(copy) { () async throws(EngineError) -> ImportState in
            guard block.entries.isEmpty else {
                return try await engine.advanceImport(
                    by: try block.entries.committed(in: copy.storage), chunk: number, of: state.start, in: copy.storage)
            }
            return try await engine.ingest(block.rows, block.record, chunk: number, of: state.start, into: copy.storage)
        }
    }

    private func noting<Outcome>(
        _ copy: CopyStart, _ body: () async throws(EngineError) -> Outcome
    ) async throws(EngineError) -> Outcome {
        do throws(EngineError) { return try await body() } catch {
            if error.isDamage { host.damageFound(in: copy.partition, "\(error)") }
            throw error
        }
    }
}

extension ImportState {
    /// Where in the history of its partition it stands.
    fileprivate var point: LogPoint { LogPoint(position: start.applied, checksum: start.checksum) }
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
