// A snapshot on its way from a primary to a learner: rows in key order, a chunk of about a mebibyte at a time, compressed, a few
// chunks ahead of the receiver's disk. The copy stands at the position of the snapshot; what was written since follows as
// prepares, from a log that is kept back to there.

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
            partition: order.partition, epoch: order.epoch, term: order.term, storage: order.targetStorage, start: start)
        try await line.say(.begin(copy))
        guard case .resume(var number, var after) = try await line.hear() else {
            throw CopyFailure.unexpected("no resume after begin")
        }
        var progress = CopyProgress(operation: order.operation)
        var stored = number
        func send(_ block: RowBlock) async throws {
            let block = block.serialized()
            let frame = try Frame.pack(block)
            try await line.say(.chunk(number, frame))
            number += 1
            progress.add(raw: block.count, wire: frame.count)
            line.note { ($0.chunks, $0.bytes) = (stored, progress.rawBytes) }
            while number > stored + Self.credit { stored = try await hearStored(on: line) + 1 }
            await host.copyProgressed(progress)
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
        // Another session's copy, or one that this node does not wait for, changes nothing here (rule M5).
        guard let begun = try await host.begin(copy, from: line.link.peer.node) else {
            return try await line.say(
                .refused("partition \(copy.partition) is not expected into storage \(copy.storage)"))
        }
        line.note { $0.chunks = begun.state.chunks }
        try await line.say(.resume(chunk: begun.state.chunks, after: begun.state.last))
        while true {
            switch try await line.hear() {
            case .chunk(let number, let frame):
                let bytes = try Frame.unpack(frame, limit: RowBlock.limit)
                let block = try RowBlock(bytes: bytes)
                try await noting(copy) { () async throws(EngineError) in
                    _ = try await engine.ingest(
                        block.rows, block.record, chunk: number, of: begun.state.start, into: copy.storage)
                }
                line.note { ($0.chunks, $0.bytes) = (number + 1, $0.bytes + UInt64(bytes.count)) }
                try await line.say(.stored(number))
            case .end:
                try await noting(copy) { () async throws(EngineError) in
                    try await engine.finishImport(of: begun.state.start, in: copy.storage)
                }
                await host.finished(copy, number: begun.number)
                return try await line.say(.finished)
            default: throw CopyFailure.unexpected("neither chunk nor end")
            }
        }
    }

    private func noting(
        _ copy: CopyStart, _ body: () async throws(EngineError) -> Void
    ) async throws(EngineError) {
        do throws(EngineError) { try await body() } catch {
            if error.isDamage { host.damageFound(in: copy.partition, "\(error)") }
            throw error
        }
    }
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
