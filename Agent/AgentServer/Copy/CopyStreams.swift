// A snapshot on its way from a primary to a learner: rows in key order, a chunk of about a mebibyte at a time, compressed, a few
// chunks ahead of the receiver's disk. The copy stands at the position of the snapshot; what was written since follows as
// prepares, from a log that is kept back to there.

import Compression
import Engine
import Logging
import Model
import Replication
import Transport
import Wire

struct CopyStreams: SnapshotStreams {
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
            var sender = CopySender(
                order: order, of: snapshot, out: engine, host: host, on: line, pacer: outgoing, logger: logger)
            do {
                try await line.guarded { try await sender.run() }
            } catch {
                await sender.close()
                throw error
            }
            await sender.close()
        } catch {
            link.abort()
            throw error
        }
        await link.close()
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
        guard case .begin(var copy) = try await line.hear() else {
            throw CopyFailure.unexpected("no begin")
        }
        var begun = try await begin(copy, advancing: copy.advances, on: line)
        while true {
            switch try await line.hear() {
            case .anew: begun = try await begin(copy, advancing: false, on: line)
            case .begin(let later):
                guard later.partition == copy.partition, later.storage == copy.storage else {
                    throw CopyFailure.unexpected("another copy in the middle of one")
                }
                copy = later
                begun = try await begin(copy, advancing: true, on: line)
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
