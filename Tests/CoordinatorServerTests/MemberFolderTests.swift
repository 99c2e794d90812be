@testable import Consensus
import Foundation
import LogStorage
import Model
import Testing

@testable import CoordinatorServer

@Suite("A member's data folder, whole or damaged (C2)") struct MemberFolderTests {
    private static let options = LogOptions(segmentBytes: 16 << 10, reserveBytes: 0)

    private func write(_ count: UInt64, to store: RaftStore) async throws {
        let entries = (1...count).map { index in
            Consensus.Entry(id: EntryID(term: Term(1), index: LogIndex(index)), content: .command([1, 2, 3]))
        }
        for entry in entries {
            let persist = Persist(
                sequence: entry.id.index.number, hardState: HardState(term: Term(1)), hardStateChanged: true, snapshot: nil,
                replacesLog: false, entries: [entry], answers: [])
            try await store.write(persist)
        }
    }

    @Test(
        "a founding member whose log is damaged comes back as another, empty member; the damaged data and the reason are kept")
    func damaged() async throws {
        let place = StorePlace()
        let node = try NodeID("c1")
        try DataFolder.markFounding(place.path)
        do {
            let member = try await MemberFolder.open(place.path, options: Self.options)
            #expect(member.id(of: node) == MemberID(node))
            #expect(member.setAside == nil)
            try await write(5, to: member.store)
        }
        let segment = try #require(place.names("log").first { $0.hasPrefix("segment-") })
        try place.edit("log/" + segment) { $0[100] ^= 1 }
        let store: StoreID
        do {
            let member = try await MemberFolder.open(place.path, options: Self.options)
            let aside = try #require(member.setAside)
            #expect(aside.reason.contains("log/\(segment), byte 64"))
            #expect(try String(contentsOfFile: aside.folder + "/reason", encoding: .utf8) == aside.reason + "\n")
            #expect(FileManager.default.fileExists(atPath: aside.folder + "/log/" + segment))
            #expect(member.recovered.entries.isEmpty && member.recovered.hardState == HardState())
            store = member.folder.store
            #expect(member.id(of: node) == MemberID(node, store: store))
            try await write(2, to: member.store)
        }
        // And stays that member: nothing is set aside twice.
        let member = try await MemberFolder.open(place.path, options: Self.options)
        #expect(member.setAside == nil)
        #expect(member.id(of: node) == MemberID(node, store: store))
        #expect(member.recovered.entries.count == 2)
    }

    @Test("a member that was condemned while it ran is set aside at its next start, and once only")
    func condemned() async throws {
        let place = StorePlace()
        do {
            let member = try await MemberFolder.open(place.path, options: Self.options)
            try await write(1, to: member.store)
            try await member.store.condemn(because: "it lacks what is committed").get()
        }
        do {
            let member = try await MemberFolder.open(place.path, options: Self.options)
            #expect(member.setAside?.reason == "it lacks what is committed")
            #expect(member.recovered.entries.isEmpty)
        }
        #expect(try await MemberFolder.open(place.path, options: Self.options).setAside == nil)
    }

    @Test("a founding member whose identity cannot be read comes back as another member: its data is nobody's")
    func identityDamaged() async throws {
        let place = StorePlace()
        try DataFolder.markFounding(place.path)
        do { try await write(3, to: MemberFolder.open(place.path, options: Self.options).store) }
        try place.edit("store") { $0[20] ^= 1 }
        let member = try await MemberFolder.open(place.path, options: Self.options)
        #expect(member.setAside?.reason == "\(place.path)/store does not match its checksum")
        #expect(!member.folder.isFounding)
        #expect(member.recovered.entries.isEmpty)
    }

    @Test("a setting aside that was interrupted after the identity is carried on: the old log is nobody's")
    func interrupted() async throws {
        let place = StorePlace()
        do { try await write(3, to: MemberFolder.open(place.path, options: Self.options).store) }
        _ = try DataFolder.setAside(["snapshots"], in: place.path, because: "interrupted")
        let member = try await MemberFolder.open(place.path, options: Self.options)
        #expect(member.setAside?.reason.contains("belongs to store") == true)
        #expect(member.recovered.entries.isEmpty)
    }

    @Test("another version's log is neither damaged nor set aside")
    func otherVersion() async throws {
        let place = StorePlace()
        do { try await write(1, to: MemberFolder.open(place.path, options: Self.options).store) }
        let segment = try #require(place.names("log").first { $0.hasPrefix("segment-") })
        try place.edit("log/" + segment) { data in
            data[8] = 1
            let sum = CRC32C.of([UInt8](data[..<60]))
            data.replaceSubrange(60..<64, with: withUnsafeBytes(of: sum.littleEndian) { Array($0) })
        }
        await #expect(throws: StorageError.otherFormat(path: place.path + "/log/" + segment, found: 1, known: 2)) {
            _ = try await MemberFolder.open(place.path, options: Self.options)
        }
        #expect(try !place.names().contains { $0.hasPrefix("set-aside") })
    }
}
