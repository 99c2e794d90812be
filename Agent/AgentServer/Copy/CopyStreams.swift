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

/// Why a copy did not come to its end; nothing of it counts, and it is ordered again.
enum CopyFailure: Error, Hashable, Sendable {
    case refused(String)
    case unexpected(String)
    case ended
}

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
        let snapshot = try await engine.snapshot(of: order.partition, in: order.storage)
        do {
            try await send(order, snapshot, on: link)
        } catch {
            await snapshot.close()
            link.abort()
            throw error
        }
        await snapshot.close()
        await link.close()
    }

    private func send(_ order: CopyOrder, _ snapshot: any StorageSnapshot, on link: Link) async throws {
        let start = LogPoint(position: snapshot.state.applied, checksum: snapshot.state.checksum)
        let copy = CopyStart(
            partition: order.partition, epoch: order.epoch, term: order.term, storage: order.targetStorage, start: start)
        try await say(.begin(copy), on: link)
        guard case .resume(var number, var after) = try await hear(on: link) else {
            throw CopyFailure.unexpected("no resume after begin")
        }
        var progress = CopyProgress(operation: order.operation)
        var stored = number
        func send(_ block: RowBlock) async throws {
            let block = block.serialized()
            let frame = try Frame.pack(block)
            try await say(.chunk(number, frame), on: link)
            number += 1
            progress.add(raw: block.count, wire: frame.count)
            while number > stored + Self.credit { stored = try await hearStored(on: link) + 1 }
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
        try await say(.end, on: link)
        while true {
            switch try await hear(on: link) {
            case .stored: continue
            case .finished:
                progress.isDone = true
                await host.copyProgressed(progress)
                return
            default: throw CopyFailure.unexpected("no finish after the end")
            }
        }
    }

    private func hearStored(on link: Link) async throws -> UInt64 {
        guard case .stored(let number) = try await hear(on: link) else {
            throw CopyFailure.unexpected("neither stored nor refused")
        }
        return number
    }

    private func say(_ frame: CopyFrame, on link: Link) async throws { try await link.send(frame.serialized()) }

    private func hear(on link: Link) async throws -> CopyFrame {
        guard let bytes = try await link.receive() else { throw CopyFailure.ended }
        let frame = try CopyFrame(bytes: bytes)
        if case .refused(let why) = frame { throw CopyFailure.refused(why) }
        return frame
    }

    // MARK: - Receiving

    func receive(on link: Link) async {
        do {
            try await store(from: link)
        } catch {
            logger.warning("a copy did not arrive", metadata: ["sender": "\(link.peer.node)", "error": "\(error)"])
            try? await say(.refused("\(error)"), on: link)
        }
    }

    private func store(from link: Link) async throws {
        guard case .begin(let copy) = try await hear(on: link) else {
            throw CopyFailure.unexpected("no begin")
        }
        // Another session's copy, or one that this node does not wait for, changes nothing here (rule M5).
        guard let begun = try await host.begin(copy, from: link.peer.node) else {
            return try await say(
                .refused("partition \(copy.partition) is not expected into storage \(copy.storage)"), on: link)
        }
        try await say(.resume(chunk: begun.state.chunks, after: begun.state.last), on: link)
        while true {
            switch try await hear(on: link) {
            case .chunk(let number, let frame):
                let block = try RowBlock(bytes: try Frame.unpack(frame, limit: RowBlock.limit))
                try await noting(copy) { () async throws(EngineError) in
                    _ = try await engine.ingest(
                        block.rows, block.record, chunk: number, of: begun.state.start, into: copy.storage)
                }
                try await say(.stored(number), on: link)
            case .end:
                try await noting(copy) { () async throws(EngineError) in
                    try await engine.finishImport(of: begun.state.start, in: copy.storage)
                }
                await host.finished(copy, number: begun.number)
                return try await say(.finished, on: link)
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
