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

/// Copies of whole storages, between two that talk.
@Suite(.timeLimit(.minutes(5))) struct CopyPagesTests {
    /// A source with rows of about twelve mebibytes.
    private func filled() async throws -> CopyRig {
        let rig = try await CopyRig()
        try await rig.write(try (0..<12_000).map { try rig.put($0) })
        return rig
    }

    private func copy(_ rig: CopyRig, by sending: CopyStreams) async throws {
        let receiving = try rig.receiving()
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in try await sending.send(order) }
    }

    private func said(_ what: String, _ rig: CopyRig) -> Int { rig.book.all.count { $0.hasPrefix(what) } }

    @Test("a storage that is large enough is copied page by page, and what was written meanwhile follows from the log")
    func arrives() async throws {
        let rig = try await filled()
        let streams = try rig.sending(leastImage: 1 << 20)
        try await copy(rig, by: streams)
        #expect(try await rig.areEqual())
        let image = try #require(rig.targetHost.images.first ?? nil)
        let chunks = (image.pages + UInt64(PageRun.most) - 1) / UInt64(PageRun.most)
        // One for each chunk, and one at the end.
        #expect(rig.sourceHost.progress.count == Int(chunks) + 1)
        #expect(rig.targetHost.finished.map(\.position.sequence) == [24])
        #expect(said("copy goes page by page", rig) == 1)
        let entry = rig.sourceHost.order([try rig.put(3, version: 2), .delete(key: try rig.key(9))])
        for (engine, storage) in [(rig.source, CopyRig.sourceStorage), (rig.target, CopyRig.targetStorage)] {
            try await engine.apply(try [entry].committed(in: storage), to: CopyRig.partition, in: storage)
        }
        #expect(try await rig.areEqual())
        await rig.close()
    }

    @Test("a link that is cut after any chunk is made anew, and the pages that are stored are not sent again")
    func goesOn() async throws {
        for cut in [1, 6, 10] {
            let rig = try await filled()
            let links = Mutex<[Link]>([])
            rig.sourceHost.onProgress { [unowned rig] _ in
                guard rig.sourceHost.progress.count == cut else { return }
                links.withLock { $0.last }?.abort()
            }
            let receiving = try rig.receiving()
            let handler: LinkListener.Handler = { link in
                links.withLock { $0.append(link) }
                await receiving.receive(on: link)
            }
            try await rig.listening(handler) { _, order in try await rig.sending(leastImage: 1 << 20).send(order) }
            #expect(try await rig.areEqual())
            #expect(links.withLock(\.count) == 2 && Set(rig.targetHost.images).count == 1)
            #expect(said("copy goes page by page", rig) == 2)
            let image = try #require(rig.targetHost.images.first ?? nil)
            let chunks = Int(image.pages) / PageRun.most + 1
            // Those that were on their way go once more.
            #expect(rig.sourceHost.progress.count <= chunks + 1 + 5, "\(rig.sourceHost.progress.count) after \(cut)")
            #expect(rig.targetHost.finished.count == 1)
            await rig.close()
        }
    }

    @Test("a snapshot that may not be held any longer is let go of, and the copy begins anew, by rows")
    func goesOver() async throws {
        let rig = try await filled()
        rig.sourceHost.imageHeld = false
        try await rig.write([.delete(key: try rig.key(5))])
        try await copy(rig, by: try rig.sending(leastImage: 1 << 20))
        #expect(try await rig.areEqual())
        #expect(said("copy goes over to rows", rig) == 1)
        #expect(rig.targetHost.images.map { $0 != nil } == [true, false])
        let names = try FileManager.default.contentsOfDirectory(atPath: rig.folder + "/target")
        #expect(names.filter { $0.contains("pages") } == [])
        await rig.close()
    }

    @Test("a receiver that does not know pages gets rows")
    func olderReceiver() async throws {
        let rig = try await filled()
        let handler: LinkListener.Handler = { link in
            do {
                guard case .begin(let copy) = try CopyFrame(bytes: try await link.receive() ?? []) else { return }
                #expect(copy.image != nil)
                try await link.send(CopyFrame.resume(chunk: 0, after: nil).serialized())
                guard case .chunk(0, let frame) = try CopyFrame(bytes: try await link.receive() ?? []) else {
                    Issue.record("no chunk")
                    return
                }
                let block = try RowBlock(bytes: try Frame.unpack(frame, limit: RowBlock.limit))
                #expect(block.pages == nil && !block.rows.isEmpty)
                try await link.send(CopyFrame.refused("enough").serialized())
                while (try? await link.receive()) ?? nil != nil {}
            } catch { Issue.record("\(error)") }
        }
        try await rig.listening(handler) { _, order in
            await #expect(throws: CopyFailure.self) { try await rig.sending(leastImage: 1 << 20).send(order) }
        }
        await rig.close()
    }

    @Test("where pages were not taken, the next try is by rows; a smaller file goes by rows at once")
    func rowsNext() async throws {
        let rig = try await filled()
        let streams = try rig.sending(leastImage: 1 << 20)
        let handler: LinkListener.Handler = { link in
            do {
                _ = try await link.receive()
                try await link.send(CopyFrame.resume(chunk: 0, after: nil, pages: true).serialized())
                try await link.send(CopyFrame.refused("strange pages").serialized())
                while (try? await link.receive()) ?? nil != nil {}
            } catch { Issue.record("\(error)") }
        }
        try await rig.listening(handler) { _, order in
            await #expect(throws: CopyFailure.self) { try await streams.send(order) }
        }
        try await copy(rig, by: streams)
        #expect(rig.targetHost.images == [nil])
        #expect(try await rig.areEqual())
        try await rig.target.remove(CopyRig.partition, from: CopyRig.targetStorage)
        try await copy(rig, by: streams)
        try await rig.target.remove(CopyRig.partition, from: CopyRig.targetStorage)
        try await copy(rig, by: try rig.sending())
        #expect(rig.targetHost.images.map { $0 != nil } == [false, true, false])
        #expect(try await rig.areEqual())
        await rig.close()
    }

    @Test("a page that is damaged on its way is refused with its number, and nothing of the copy counts")
    func turnedBit() async throws {
        let rig = try await filled()
        let snapshot = try await rig.source.imageSnapshot(
            of: CopyRig.partition, in: CopyRig.sourceStorage, sizes: 0...UInt64.max)
        var bytes = try await snapshot.pages(from: 1, limit: 8)
        bytes[4 * 8_192 + 77] ^= 1
        let receiving = try rig.receiving()
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            let link = try await LinkDialer(endpoint: try rig.endpoint(CopyRig.sender)).connect(
                to: order.targetAddress, expecting: order.target, conversation: .copy)
            let state = snapshot.state
            let copy = CopyStart(
                partition: order.partition, epoch: order.epoch, term: order.term, storage: order.targetStorage,
                start: LogPoint(position: state.applied, checksum: state.checksum), advances: true, image: snapshot.image)
            try await link.send(CopyFrame.begin(copy).serialized())
            let resume = try CopyFrame(bytes: try #require(try await link.receive()))
            #expect(resume == .resume(chunk: 0, after: nil, pages: true))
            let block = RowBlock(pages: PageRun(first: 1, bytes: bytes))
            try await link.send(CopyFrame.chunk(0, try Frame.pack(block.serialized())).serialized())
            guard case .refused(let why) = try CopyFrame(bytes: try #require(try await link.receive())) else {
                Issue.record("it was taken")
                return
            }
            #expect(why.contains("page 5 "), "\(why)")
        }
        #expect(try await rig.target.state(of: CopyRig.targetStorage)?.partitions == [])
        await snapshot.close()
        await rig.close()
    }
}
