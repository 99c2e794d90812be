// A snapshot on its way from a primary to a learner: rows in key order, or its file's pages, a chunk of about a mebibyte at a time,
// compressed, a few chunks ahead of the receiver's disk. The copy stands at the position of the snapshot; what was written since follows as
// prepares, from a log that is kept back to there.

import Compression
import Engine
import Logging
import Model
import Replication
import Synchronization
import Transport
import Wire

final class CopyStreams: SnapshotStreams {
    /// For how many seconds the snapshot of an image is held at most. What would take longer at the rate that is configured goes by rows.
    static let imageHeld: UInt64 = 30
    /// A smaller file is not worth it.
    static let leastImage: UInt64 = 32 << 20
    /// Links that are tried after one that broke, while the image's snapshot is held.
    private static let redials = 3

    private struct Direction: Hashable {
        let partition: PartitionID
        let target: NodeID
    }

    let engine: any StorageEngine
    let endpoint: LinkEndpoint
    let host: any CopyHost
    let logger: Logger
    private let outgoing: CopyPacer
    private let incoming: CopyPacer
    private let leastImage: UInt64
    /// Where pages have failed, so that rows go next.
    private let failed = Mutex<Set<Direction>>([])

    /// - Parameter leastImage: how large a storage's file is whose pages are copied, at least, in bytes.
    init(
        engine: any StorageEngine, endpoint: LinkEndpoint, host: any CopyHost, meters: AgentMeters = AgentMeters(),
        leastImage: UInt64 = CopyStreams.leastImage, logger: Logger
    ) {
        self.leastImage = leastImage
        self.engine = engine
        self.endpoint = endpoint
        self.host = host
        self.logger = logger
        outgoing = CopyPacer(rate: { host.copyRate }, moved: meters.sentCopies, waits: meters.copyPauses)
        incoming = CopyPacer(rate: { host.copyRate }, moved: meters.receivedCopies, waits: meters.copyPauses)
    }

    // MARK: - Sending

    func send(_ order: CopyOrder) async throws {
        let direction = Direction(partition: order.partition, target: order.target)
        var sender: CopySender?
        do {
            var breaks = 0
            while true {
                do {
                    try await send(order, by: &sender, offeringPages: !failed.withLock { $0.contains(direction) })
                    break
                } catch {
                    // The receiver goes on with what it has of an image, as long as this one is held.
                    guard let sender, sender.isByPages, !sender.hasEnded, Self.isBreak(error), !Task.isCancelled,
                        breaks < Self.redials
                    else { throw error }
                    breaks += 1
                    try await Task.sleep(for: .milliseconds(100 * breaks))
                }
            }
        } catch {
            if let sender, sender.hasTriedPages, !Task.isCancelled { failed.withLock { _ = $0.insert(direction) } }
            await sender?.close()
            throw error
        }
        await sender?.close()
        failed.withLock { _ = $0.remove(direction) }
    }

    /// One link of a copy.
    private func send(_ order: CopyOrder, by kept: inout CopySender?, offeringPages: Bool) async throws {
        let link = try await LinkDialer(endpoint: endpoint).connect(
            to: order.targetAddress, expecting: order.target, conversation: .copy)
        let line = CopyLine(link, silence: host.copySilence)
        do {
            var sender: CopySender
            if let begun = kept {
                sender = begun
                sender.redial(over: line)
            } else {
                sender = try await makeSender(order, on: line, offeringPages: offeringPages)
            }
            defer { kept = sender }
            try await line.guarded { try await sender.run() }
        } catch {
            link.abort()
            throw error
        }
        await link.close()
    }

    private func makeSender(_ order: CopyOrder, on line: CopyLine, offeringPages: Bool) async throws -> CopySender {
        let snapshot =
            if offeringPages, let snapshot = try await imageSnapshot(for: order) { snapshot } else {
                try await engine.snapshot(of: order.partition, in: order.storage)
            }
        return CopySender(
            order: order, of: snapshot, out: engine, host: host, on: line, pacer: outgoing, logger: logger)
    }

    /// - Returns: nil where there are no pages to offer.
    private func imageSnapshot(for order: CopyOrder) async throws(EngineError) -> (any StorageSnapshot)? {
        // What can be sent while its snapshot may be held.
        let (most, isAny) = UInt64(max(host.copyRate, 0)).multipliedReportingOverflow(by: Self.imageHeld)
        guard isAny || most >= leastImage else { return nil }
        do throws(EngineError) {
            return try await engine.imageSnapshot(
                of: order.partition, in: order.storage, sizes: leastImage...(isAny ? .max : most))
        } catch {
            guard case .imageGivenUp = error else { throw error }
            logger.info(
                "copy goes by rows",
                metadata: ["partition": "\(order.partition)", "target": "\(order.target)", "cause": "\(error)"])
            return nil
        }
    }

    private static func isBreak(_ error: any Error) -> Bool {
        switch error {
        case is LinkError, CopyFailure.ended: true
        default: false
        }
    }

    // MARK: - Receiving

    func receive(on link: Link) async {
        let line = CopyLine(link, silence: host.copySilence)
        do {
            try await line.guarded { try await store(from: line) }
        } catch {
            logger.warning("a copy did not arrive", metadata: ["sender": "\(link.peer.node)", "error": "\(error)"])
            // Where the link still stands, the sender had better know why.
            if !link.isClosed { try? await line.guarded { try await refuse("\(error)", on: line) } }
        }
    }

    /// Says so, and takes what is on its way until the sender has heard it: a link that is closed before would lose it.
    private func refuse(_ why: String, on line: CopyLine) async throws {
        try await line.say(.refused(why))
        for _ in 0..<CopySender.ahead { _ = try await line.hear() }
    }

    private func store(from line: CopyLine) async throws {
        guard case .begin(var copy) = try await line.hear() else {
            throw CopyFailure.unexpected("no begin")
        }
        var (begun, isByPages) = try await begin(copy, advancing: copy.advances, on: line)
        while true {
            switch try await line.hear() {
            case .anew: (begun, isByPages) = try await begin(copy, advancing: false, on: line)
            case .begin(let later):
                guard later.partition == copy.partition, later.storage == copy.storage else {
                    throw CopyFailure.unexpected("another copy in the middle of one")
                }
                copy = later
                (begun, isByPages) = try await begin(copy, advancing: true, on: line)
            case .chunk(let number, let frame):
                let bytes = try await take(frame, number, of: copy, into: &begun, isByPages: isByPages)
                line.note { ($0.chunks, $0.bytes) = (number + 1, $0.bytes + UInt64(bytes)) }
                try await line.say(.stored(number))
            case .end:
                guard begun.state.point == copy.start else { throw CopyFailure.unexpected("an end elsewhere than it began") }
                try await noting(copy) { () async throws(EngineError) in
                    if isByPages {
                        try await engine.finishPages(of: begun.state.start, in: copy.storage)
                    } else {
                        try await engine.finishImport(of: begun.state.start, in: copy.storage)
                    }
                }
                await host.finished(copy, number: begun.number)
                return try await line.say(.finished)
            default: throw CopyFailure.unexpected("neither chunk nor end")
            }
        }
    }

    /// - Returns: what may arrive, and whether it is to come page by page.
    private func begin(
        _ copy: CopyStart, advancing: Bool, on line: CopyLine
    ) async throws -> (copy: BegunCopy, isByPages: Bool) {
        // Another session's copy, or one that this node does not wait for, changes nothing here (rule M5).
        guard let begun = try await host.begin(copy, from: line.link.peer.node, advancing: advancing) else {
            throw CopyFailure.unexpected("partition \(copy.partition) is not expected into storage \(copy.storage)")
        }
        let stands = begun.state.point
        if let image = copy.image, stands == copy.start {
            let (start, storage) = (begun.state.start, copy.storage)
            let chunks = try await noting(copy) { () async throws(EngineError) in
                try await engine.beginPages(image, of: start, into: storage)
            }
            if let chunks {
                line.note { $0.chunks = chunks }
                try await line.say(.resume(chunk: chunks, after: nil, pages: true))
                return (begun, true)
            }
        }
        line.note { $0.chunks = begun.state.chunks }
        try await line.say(
            .resume(chunk: begun.state.chunks, after: begun.state.last, stands: stands == copy.start ? nil : stands))
        return (begun, false)
    }

    /// - Returns: how many bytes it was, unpacked.
    /// - Throws: `CopyFailure.chunk`, and nothing of it is stored.
    private func take(
        _ frame: [UInt8], _ number: UInt64, of copy: CopyStart, into begun: inout BegunCopy, isByPages: Bool
    ) async throws -> Int {
        do {
            let bytes = try Frame.unpack(frame, limit: RowBlock.limit)
            try await incoming.pass(bytes.count)
            let block = try RowBlock(bytes: bytes)
            if isByPages {
                guard let run = block.pages else { throw CopyFailure.unexpected("rows between pages") }
                let (start, storage) = (begun.state.start, copy.storage)
                _ = try await noting(copy) { () async throws(EngineError) in
                    try await engine.ingest(run, chunk: number, of: start, into: storage)
                }
            } else {
                begun.state = try await store(block, number, of: copy, into: begun.state)
            }
            return bytes.count
        } catch let error where !(error is CancellationError) {
            throw CopyFailure.chunk(number, of: copy.partition, because: "\(error)")
        }
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
        guard block.pages == nil else { throw CopyFailure.unexpected("pages between rows") }
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
