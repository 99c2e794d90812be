import AgentCore
import Engine
import Foundation
import Model
import Synchronization
import Testing
import Transport
import Wire

@testable import AgentServer

/// Copies that meet damage: on their way, and at their source.
@Suite(.timeLimit(.minutes(5))) struct CopyDamageTests {
    /// How a copy goes.
    enum Way: CaseIterable {
        case rows, pages

        var leastImage: UInt64 { self == .pages ? 1 << 20 : .max }
    }

    /// A source with rows of about twelve mebibytes.
    private func filled() async throws -> CopyRig {
        let rig = try await CopyRig()
        try await rig.write(try (0..<12_000).map { try rig.put($0) })
        return rig
    }

    @Test(
        "a bit that turns over in a packed chunk on its way: partition and chunk are named, nothing of it counts, and the next try arrives",
        arguments: Way.allCases)
    func onTheWay(_ way: Way) async throws {
        let rig = try await filled()
        var streams = try rig.sending(leastImage: way.leastImage)
        // What unpacks it finds, what compares the contents, and again what unpacks it.
        for (chunk, place) in [(UInt64(2), 0.0), (5, 0.5), (8, 1)] {
            let tries = rig.targetHost.images.count
            let failure = await #expect(throws: CopyFailure.self) {
                try await copy(rig, by: streams) { number, frame in
                    guard number == chunk else { return }
                    frame[Int(Double(frame.count - 1) * place)] ^= 0x10
                }
            }
            let said = "chunk \(chunk) of partition \(CopyRig.partition) is not taken: "
            #expect("\(String(describing: failure))".contains(said), "\(String(describing: failure))")
            #expect(rig.book.all.contains { $0.hasPrefix("a copy did not arrive") && $0.contains(said) })
            #expect(rig.targetHost.images.dropFirst(tries).map { $0 != nil } == [way == .pages])
            let state = try #require(try await rig.target.state(of: CopyRig.targetStorage))
            #expect(state.partitions == [] && rig.targetHost.finished == [])
            guard way == .pages else {
                #expect(state.imported?.chunks == chunk)
                continue
            }
            if place == 0.5 { #expect("\(String(describing: failure))".contains("does not match its checksum")) }
            // Another time the same sender goes by rows.
            if place < 1 { streams = try rig.sending(leastImage: way.leastImage) }
        }
        try await copy(rig, by: streams) { _, _ in }
        #expect(try await rig.areEqual())
        #expect(rig.targetHost.finished.count == 1)
        await rig.close()
    }

    @Test(
        "a copy out of a file with a rotten page ends, the source is told of the damage, and nothing of it counts at the target",
        arguments: Way.allCases)
    func rottenSource(_ way: Way) async throws {
        let rig = try await filled()
        let page = try await rot(9_000, of: rig)
        let streams = try rig.sending(leastImage: way.leastImage)
        let told = Mutex<[AgentInput]>([])
        let dispatcher = CopyDispatcher(streams: streams, logger: rig.book.logger) { input in told.withLock { $0.append(input) }
        }
        let receiving = try rig.receiving()
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await dispatcher.run() }
                dispatcher.submit(order)
                try await eventually("the copy has ended") {
                    told.withLock {
                        $0.contains { if case .copyEnded(CopyRig.partition, _, isWhole: false) = $0 { true } else { false } }
                    }
                }
                group.cancelAll()
                try await group.waitForAll()
            }
        }
        let failures = told.withLock { $0 }.compactMap { input in
            if case .failed(CopyRig.partition, let why) = input { why } else { nil }
        }
        #expect(failures.count == 1 && failures.first?.contains("page \(page) of its file") ?? false, "\(failures)")
        #expect(rig.book.all.contains { $0.hasPrefix("copy goes over to rows") } == (way == .pages))
        let state = try #require(try await rig.target.state(of: CopyRig.targetStorage))
        #expect(state.partitions == [] && rig.targetHost.finished == [])
        // What came before it is as it was written.
        let rows = try await rig.target.scan(.all, in: CopyRig.targetStorage, rowLimit: .max, byteLimit: .max).rows
        #expect(rows.count < 9_000)
        for (index, row) in rows.enumerated() {
            #expect(try rig.put(Int64(index)) == .put(key: row.key, values: row.values), "row \(index)")
        }
        await rig.close()
    }

    // MARK: - What does the damage

    /// Copies through a relay that takes each chunk's frame into its hands.
    private func copy(
        _ rig: CopyRig, by sending: CopyStreams, touching touch: @escaping @Sendable (UInt64, inout [UInt8]) -> Void
    ) async throws {
        let receiving = try rig.receiving()
        try await rig.listening({ link in await receiving.receive(on: link) }) { _, order in
            let relay: LinkListener.Handler = { link in await self.relay(link, to: order, in: rig, touching: touch) }
            try await rig.listening(relay) { _, order in try await sending.send(order) }
        }
    }

    private func relay(
        _ link: Link, to order: CopyOrder, in rig: CopyRig, touching touch: @escaping @Sendable (UInt64, inout [UInt8]) -> Void
    ) async {
        do {
            let onward = try await LinkDialer(endpoint: try rig.endpoint(CopyRig.sender)).connect(
                to: order.targetAddress, expecting: order.target, conversation: .copy)
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await self.pass(from: link, to: onward) { bytes in
                        guard case .chunk(let number, var frame) = try CopyFrame(bytes: bytes) else { return bytes }
                        touch(number, &frame)
                        return CopyFrame.chunk(number, frame).serialized()
                    }
                }
                group.addTask { await self.pass(from: onward, to: link) { $0 } }
            }
        } catch { Issue.record(error) }
    }

    /// Until either of them ends, and the other one with it.
    private func pass(from: Link, to: Link, _ change: @Sendable ([UInt8]) throws -> [UInt8]) async {
        do {
            while let bytes = try await from.receive() { try await to.send(try change(bytes)) }
        } catch let error where !(error is LinkError) { Issue.record(error) } catch {}
        await to.close()
    }

    /// Turns a bit over in the source's file, in the value of a row.
    /// - Returns: the number of its page.
    private func rot(_ number: Int64, of rig: CopyRig) async throws -> UInt64 {
        // After this all of it is in the file.
        let image = try await rig.source.imageSnapshot(
            of: CopyRig.partition, in: CopyRig.sourceStorage, sizes: 0...UInt64.max)
        await image.close()
        guard case .put(_, let values) = try rig.put(number), case .bytes(let value) = try #require(values.last) else {
            return 0
        }
        let path = URL(filePath: rig.folder + "/source/storage-\(CopyRig.sourceStorage).sqlite")
        let place = try #require(try Data(contentsOf: path).range(of: Data(value))).lowerBound
        let file = try FileHandle(forUpdating: path)
        try file.seek(toOffset: UInt64(place))
        try file.write(contentsOf: Data([(value.first ?? 0) ^ 0x01]))
        try file.close()
        return UInt64(place / 8_192 + 1)
    }
}
