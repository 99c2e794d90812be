import Compression
import Engine
import Foundation
import Model
import Replication
import Synchronization
import Testing
import Transport
import Wire

@testable import AgentServer

/// What becomes of a copy that breaks, when there is another try.
@Suite(.timeLimit(.minutes(5))) struct CopyResumeTests {
    private static let rows: Int64 = 12_000

    /// A source with rows of about twelve mebibytes, and a target that has a part of them when this returns.
    private func broken() async throws -> CopyRig {
        let rig = try await CopyRig()
        try await rig.write(try (0..<Self.rows).map { try rig.put($0) })
        try await self.break(rig, after: 6)
        let imported = try #require(try await rig.target.state(of: CopyRig.targetStorage)?.imported)
        #expect((1..<10).contains(imported.chunks) && imported.last != nil, "\(imported)")
        return rig
    }

    /// Cuts the link when so many chunks have been sent.
    private func `break`(_ rig: CopyRig, after chunks: Int) async throws {
        let receiving = try rig.receiving()
        let sent = rig.sourceHost.progress.count
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            let task = Mutex<Task<Void, any Error>?>(nil)
            rig.sourceHost.onProgress { _ in
                if rig.sourceHost.progress.count >= sent + chunks { task.withLock { $0?.cancel() } }
            }
            let streams = try rig.sending()
            task.withLock { task in task = Task { try await streams.send(order) } }
            let sending = task.withLock { $0 }
            await #expect(throws: (any Error).self) { try await sending?.value }
        }
        rig.sourceHost.onProgress(nil)
    }

    /// Sends once more, to the end.
    private func goOn(_ rig: CopyRig) async throws {
        let receiving = try rig.receiving()
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            try await rig.sending().send(order)
        }
    }

    /// Bytes of rows that the last try sent.
    private func sent(_ rig: CopyRig) -> UInt64 { rig.sourceHost.progress.last?.rawBytes ?? 0 }

    private func chunks(_ rig: CopyRig) async throws -> UInt64 {
        try await rig.target.state(of: CopyRig.targetStorage)?.imported?.chunks ?? 0
    }

    @Test("nothing was written meanwhile: the next try sends what is missing, and nothing else")
    func sameSnapshot() async throws {
        let rig = try await broken()
        let had = try await chunks(rig)
        try await goOn(rig)
        #expect(try await rig.areEqual())
        #expect(sent(rig) < (13 - had) << 20, "\(sent(rig)) bytes, after \(had) chunks")
        await rig.close()
    }

    @Test("rows that were put, changed and deleted meanwhile, before the cursor and behind it, are right in the end")
    func changedMeanwhile() async throws {
        let rig = try await broken()
        let had = try await chunks(rig)
        for turn in 0..<2 {
            var mutations: [Mutation] = []
            for number in stride(from: Int64(turn), to: Self.rows, by: 40) {
                mutations.append(try rig.put(number, version: 7, bytes: 300))
                mutations.append(.delete(key: try rig.key(number + 11)))
                mutations.append(try rig.put(Self.rows + number, version: 8, bytes: 100))
                mutations.append(try rig.put(-1 - number, version: 9, bytes: 100))
            }
            try await rig.write(mutations)
            // It breaks once more, further on.
            if turn == 0 { try await self.break(rig, after: 3) }
        }
        #expect(try await chunks(rig) > had)
        try await goOn(rig)
        #expect(try await rig.areEqual())
        #expect(rig.targetHost.finished.count == 1)
        // A third of the log touches a small part of what was stored; all that was stored is not sent again.
        #expect(sent(rig) < 12 << 20, "\(sent(rig)) bytes, after \(had) chunks")
        await rig.close()
    }

    @Test("a copy that takes long goes from snapshot to snapshot, and needs the log back to the last one only (R9)")
    func renewed() async throws {
        let rig = try await CopyRig()
        try await rig.write(try (0..<Self.rows).map { try rig.put($0) })
        let turn = Mutex<Int64>(0)
        rig.sourceHost.renew { [unowned rig] in
            let number = turn.withLock { turn in
                turn += 1
                return turn
            }
            // Before the cursor and behind it; at times nothing at all.
            guard number % 3 != 0 else { return }
            try await rig.write([
                try rig.put(number, version: number), .delete(key: try rig.key(Self.rows - number)),
                try rig.put(Self.rows + number, version: number),
            ])
            if let needed = rig.sourceHost.stands.last { rig.sourceHost.forget(through: needed.sequence) }
        }
        try await goOn(rig)
        #expect(try await rig.areEqual())
        #expect(turn.withLock { $0 } >= 12)
        let stands = rig.sourceHost.stands.map(\.sequence)
        #expect(stands.count >= 8 && stands == stands.sorted(), "\(stands)")
        #expect(rig.targetHost.finished.count == 1)
        await rig.close()
    }

    @Test("a copy from snapshot to snapshot lets the write-ahead log of its storage start over, under writes (R9)")
    func logStartsOver() async throws {
        let rig = try await CopyRig()
        try await rig.write(try (0..<Self.rows).map { try rig.put($0) })
        let log = URL(filePath: rig.folder + "/source/storage-\(CopyRig.sourceStorage).sqlite-wal")
        let sizes = Mutex<[Int]>([])
        rig.sourceHost.renew { [unowned rig] in
            // Twice a row of each page: a log of some thirty mebibytes of pages, and entries that are a small part of what is stored.
            for turn: Int64 in 0..<2 {
                try await rig.write(
                    try stride(from: turn, to: Self.rows, by: 7).map { try rig.put($0, version: 1 + turn, bytes: 200) })
            }
            let size = try log.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
            sizes.withLock { $0.append(size >> 20) }
        }
        try await goOn(rig)
        #expect(try await rig.areEqual())
        let seen = sizes.withLock { $0 }
        // It is brought into the database when it is longer than 64 MiB; what comes up to the next snapshot is added to that.
        #expect(seen.count >= 10 && seen.max() ?? 0 < 128, "\(seen) MiB")
        await rig.close()
    }

    @Test("what is written between the decision for a later snapshot and that snapshot reaches the receiver too")
    func writtenMeanwhile() async throws {
        let rig = try await CopyRig()
        try await rig.write(try (0..<Self.rows).map { try rig.put($0) })
        let turn = Mutex<Int64>(0)
        let write: @Sendable () async throws -> Void = { [unowned rig] in
            let number = turn.withLock { turn in
                turn += 1
                return turn
            }
            // The last snapshots find nothing new, or the source would be ahead in the end.
            guard number <= 20 else { return }
            try await rig.write([try rig.put(number, version: number), .delete(key: try rig.key(Self.rows - number))])
        }
        rig.sourceHost.renew(after: write)
        rig.sourceHost.decide(before: write)
        try await goOn(rig)
        #expect(try await rig.areEqual())
        #expect(turn.withLock { $0 } > 20 && rig.targetHost.finished.count == 1)
        await rig.close()
    }

    @Test("what the receiver holds is said to be needed, first where the earlier try left it, then where this one starts")
    func needed() async throws {
        let rig = try await broken()
        let left = try #require(try await rig.target.state(of: CopyRig.targetStorage)?.imported?.start)
        try await rig.write([try rig.put(3, version: 1)])
        let before = rig.sourceHost.stands.count
        try await goOn(rig)
        #expect(rig.sourceHost.stands.dropFirst(before).map(\.position.sequence) == [left.applied.sequence, 25])
        await rig.close()
    }

    @Test(
        "a log that does not reach back, or would be longer than what is stored, makes the copy begin anew",
        arguments: [true, false])
    func anew(isForgotten: Bool) async throws {
        let rig = try await broken()
        if isForgotten {
            try await rig.write([.delete(key: try rig.key(3))])
            rig.sourceHost.forget(through: 25)
        } else {
            for version: Int64 in 1...4 { try await rig.write(try (0..<3_000).map { try rig.put($0, version: version) }) }
        }
        try await goOn(rig)
        #expect(try await rig.areEqual())
        #expect(sent(rig) >= 11 << 20)
        await rig.close()
    }

    @Test("a cursor in another history, which stands at the same sequence, is worth nothing")
    func otherHistory() async throws {
        let rig = try await broken()
        // As one would have it whose source was deposed with entries that were lost.
        let found = try #require(try await rig.target.state(of: CopyRig.targetStorage)?.imported?.start)
        let forged = PartitionState(
            partition: found.partition, range: found.range, applied: found.applied, checksum: found.checksum ^ 1)
        _ = try await rig.target.beginImport(CopyRig.targetStorage, for: rig.table, at: forged)
        let row = Row(key: try rig.key(5), values: [.integer(5), .null])
        try await rig.target.ingest([row], nil, chunk: 0, of: forged, into: CopyRig.targetStorage)
        try await rig.write([.delete(key: try rig.key(3))])
        try await goOn(rig)
        #expect(try await rig.areEqual())
        await rig.close()
    }

    @Test(
        "an entry that does not follow what is stored is refused, and so are rows of another point; nothing of either is stored"
    )
    func strangeChunks() async throws {
        let rig = try await broken()
        let held = try #require(try await rig.target.state(of: CopyRig.targetStorage)?.imported)
        try await rig.write([.delete(key: try rig.key(3))])
        let second = rig.sourceHost.order([.delete(key: try rig.key(4))])
        let blocks = [RowBlock(entries: [second]), RowBlock([Row(key: try rig.key(1), values: [.integer(1), .null])])]
        let receiving = try rig.receiving()
        let start = LogPoint(position: Position(epoch: Epoch(1), run: 1, sequence: 99), checksum: 99)
        for block in blocks {
            try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
                let link = try await LinkDialer(endpoint: try rig.endpoint(CopyRig.sender)).connect(
                    to: order.targetAddress, expecting: order.target, conversation: .copy)
                let copy = CopyStart(
                    partition: order.partition, epoch: order.epoch, term: order.term, storage: order.targetStorage,
                    start: start, advances: true)
                try await link.send(CopyFrame.begin(copy).serialized())
                let resume = try CopyFrame(bytes: try #require(try await link.receive()))
                let stands = LogPoint(position: held.start.applied, checksum: held.start.checksum)
                #expect(resume == .resume(chunk: held.chunks, after: held.last, stands: stands))
                try await link.send(CopyFrame.chunk(held.chunks, try Frame.pack(block.serialized())).serialized())
                let answer = try CopyFrame(bytes: try #require(try await link.receive()))
                guard case .refused = answer else {
                    Issue.record("\(answer)")
                    return
                }
            }
        }
        #expect(try await rig.target.state(of: CopyRig.targetStorage)?.imported == held)
        await rig.close()
    }

    @Test("a sender that does not know how to bring it on finds nothing to be brought on")
    func olderSender() async throws {
        let rig = try await broken()
        let receiving = try rig.receiving()
        let start = LogPoint(position: Position(epoch: Epoch(1), run: 1, sequence: 99), checksum: 99)
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            let link = try await LinkDialer(endpoint: try rig.endpoint(CopyRig.sender)).connect(
                to: order.targetAddress, expecting: order.target, conversation: .copy)
            let copy = CopyStart(
                partition: order.partition, epoch: order.epoch, term: order.term, storage: order.targetStorage, start: start,
                advances: false)
            try await link.send(CopyFrame.begin(copy).serialized())
            let resume = try CopyFrame(bytes: try #require(try await link.receive()))
            #expect(resume == .resume(chunk: 0, after: nil))
        }
        await rig.close()
    }
}
