import ArgumentParser
import Catalog
import Client
import Consensus
import CoordinatorServer
import DurableLog
import Foundation
import LogStorage
import Model
import Replication
import Testing
import Wire

@testable import coxctl

@Suite("coxctl debug log") struct DebugLogTests {
    /// A log in a folder of its own, as a stopped process leaves it.
    private final class LogFolder {
        let path = FileManager.default.temporaryDirectory.path + "/data-\(UUID().uuidString)"
        var log: String { path + "/log" }

        init(_ batches: [[NewRecord]]) async throws {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let options = LogOptions(segmentBytes: 4_096, reserveBytes: 0)
            let log = try GroupCommitLog(folder: path + "/log", store: StoreID(7), options: options) { _ in }
            for batch in batches { _ = try await log.append(batch) }
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func segments() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: log).filter { $0.hasPrefix("segment-") }.sorted()
        }

        func edit(_ segment: String, _ change: (inout Data) -> Void) throws {
            let url = URL(fileURLWithPath: log + "/" + segment)
            var data = try Data(contentsOf: url)
            change(&data)
            try data.write(to: url)
        }

        /// Every file's content by name.
        func contents() throws -> [String: Data] {
            Dictionary(
                uniqueKeysWithValues: try FileManager.default.contentsOfDirectory(atPath: log).map {
                    ($0, try Data(contentsOf: URL(fileURLWithPath: log + "/" + $0)))
                })
        }
    }

    private func texts(_ path: String) throws -> (lines: [RecordText], found: LogInspection) {
        var lines: [RecordText] = []
        let found = try LogInspection(of: path) { lines.append(RecordText($0)) }
        return (lines, found)
    }

    private func run(_ arguments: String...) async throws {
        let command = try DebugLog.parse(arguments)
        try await command.run()
    }

    @Test("a coordinator's records are told with term, index, kind and the command's name")
    func coordinator() async throws {
        let entry = CatalogEntry(
            command: .drain(try NodeID("n1")), actor: try Principal("ada"), reason: "", requestID: try RequestID("r1"),
            fingerprint: [], traceID: "", time: WallTime(milliseconds: 5))
        let vote = Consensus.HardState(term: Term(3), vote: MemberID(try NodeID("c2")), commit: LogIndex(8))
        let place = EntryID(term: Term(3), index: LogIndex(9))
        let records: [RaftRecord] = [
            .hardState(vote), .entry(Consensus.Entry(id: place, content: .command(entry.serialized()))),
            .entry(Consensus.Entry(id: place, content: .leaderStarted)), .reset(place),
        ]
        let folder = try await LogFolder([records.map(\.record)])
        let (lines, found) = try texts(folder.path)
        #expect(lines.map(\.kind) == ["vote", "entry", "leader", "reset"])
        #expect(lines.map(\.place) == ["T3", "T3 #9", "T3 #9", "T3 #9"])
        #expect(lines[0].detail == "for c2, commit #8")
        #expect(lines[1].detail == "drain-node by ada")
        #expect(lines.map(\.offset).first == SegmentHeader.bytes)
        #expect(found.verdict == .whole && found.records == 4 && found.store == StoreID(7))
    }

    @Test("an agent's records are told with partition, position and kind")
    func agent() async throws {
        let state = Replication.HardState(epoch: Epoch(4), run: 2)
        let records: [PartitionRecord] = [.hardState(PartitionID(12), state), .cut(PartitionID(12), through: 9), .beat]
        let folder = try await LogFolder([records.map { NewRecord(kind: 1, payload: $0.encoded()) }])
        let lines = try texts(folder.log).lines
        #expect(lines.map(\.kind) == ["state", "cut", "beat"])
        #expect(lines.map(\.place) == ["partition 12", "partition 12", ""])
        #expect(lines.map(\.detail) == ["epoch 4, run 2", "after 9", ""])
    }

    @Test("a whole log ends with 0; a hole, and a front that is gone, with 1 and file and byte; nothing is changed")
    func verdicts() async throws {
        let folder = try await LogFolder((0..<60).map { _ in [NewRecord(kind: 9, payload: [UInt8](repeating: 3, count: 200))] })
        let segments = try folder.segments()
        #expect(segments.count > 2)
        try await run(folder.path, "--verify")
        #expect(try texts(folder.log + "/" + segments[1]).found.verdict == .whole)
        try folder.edit(segments[1]) { $0[80] ^= 1 }
        let before = try folder.contents()
        await #expect(throws: (any Error).self) { try await run(folder.path, "--verify") }
        let found = try texts(folder.path).found
        #expect(
            DebugLog.summary(of: found, .table).hasPrefix(
                "damaged: \(folder.log)/\(segments[1]), byte 64: an unreadable record"))
        #expect(DebugLog.summary(of: found, .json).contains("\"verdict\":\"damaged\""))
        #expect(try folder.contents() == before)
        try FileManager.default.removeItem(atPath: folder.log + "/" + segments[0])
        guard case .damaged(.damaged(let path, let damage)) = try texts(folder.path).found.verdict else {
            Issue.record("a missing front was not found")
            return
        }
        #expect(path == folder.log + "/" + segments[0] && damage.cause == .missingSegment(1))
    }

    @Test("a torn tail is told, and is no damage")
    func torn() async throws {
        let folder = try await LogFolder([[NewRecord(kind: 9, payload: [1])], [NewRecord(kind: 9, payload: [2])]])
        try folder.edit(folder.segments()[0]) { data in
            let end = SegmentHeader.bytes + 2 * RecordFormat.encodedBytes(payload: 1)
            for index in end - 8..<end { data[index] = 0 }
        }
        let found = try texts(folder.path).found
        #expect(DebugLog.summary(of: found, .table).hasPrefix("torn: "))
        #expect(found.records == 1)
        try await run(folder.path, "--verify")
    }
}
