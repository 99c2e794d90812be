import Consensus
import DiskKit
import Foundation
import LogStorage
import Model
import Testing

@testable import CoordinatorServer

@Suite("What a member remembers of the others' stores (E4)") struct KnownStoresTests {
    private final class Place {
        let path = FileManager.default.temporaryDirectory.path + "/peers-\(UUID().uuidString)"
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private let old = StoreID(0x4f2a)
    private let new = StoreID(9)

    @Test(
        "a founding folder that is copied once more, after its disk was lost, is not heard: the first store is the one for good"
    )
    func foundedTwice() throws {
        let place = try Place()
        let (c1, c2) = (try MemberID(text: "c1"), try MemberID(text: "c2"))
        var stores = try KnownStores(in: place.path)
        #expect(try stores.admits(c1, store: old, generation: Generation(1)))
        #expect(try stores.admits(c2, store: new, generation: Generation(1)))
        #expect(try !stores.admits(c1, store: new, generation: Generation(1)))
        #expect(try !stores.admits(c1, store: new, generation: Generation(9)))
        #expect(try stores.admits(c1, store: old, generation: Generation(1)))
        // Also after a start of one's own.
        var again = try KnownStores(in: place.path)
        #expect(again == stores)
        #expect(try !again.admits(c1, store: new, generation: Generation(1)))
    }

    @Test("a data folder that comes back from a backup is not heard: its counter of starts has gone back")
    func restored() throws {
        let place = try Place()
        let member = try MemberID(text: "c3/4f2a")
        var stores = try KnownStores(in: place.path)
        for generation: UInt64 in [1, 2, 2, 5] {
            #expect(try stores.admits(member, store: old, generation: Generation(generation)))
        }
        var again = try KnownStores(in: place.path)
        #expect(try !again.admits(member, store: old, generation: Generation(4)))
        #expect(again[member] == .init(store: old, generation: Generation(5)))
        #expect(try again.admits(member, store: old, generation: Generation(5)))
    }

    @Test("of a node's later stores the newest is remembered, beside the founding one")
    func bounded() throws {
        let place = try Place()
        let founding = try MemberID(text: "c1")
        var stores = try KnownStores(in: place.path)
        #expect(try stores.admits(founding, store: old, generation: Generation(3)))
        for number: UInt64 in 1...50 {
            let member = MemberID(founding.node, store: StoreID(number))
            #expect(try stores.admits(member, store: StoreID(number), generation: Generation(1)))
        }
        #expect(stores[MemberID(founding.node, store: StoreID(49))] == nil)
        #expect(stores[MemberID(founding.node, store: StoreID(50))] != nil)
        #expect(try !stores.admits(founding, store: new, generation: Generation(4)))
        #expect(try String(contentsOfFile: place.path + "/peers", encoding: .utf8).split(separator: "\n").count == 4)
    }

    @Test("a store that could not be remembered does not count")
    func notRemembered() throws {
        let place = try Place()
        let c1 = try MemberID(text: "c1")
        var stores = try KnownStores(in: place.path + "/gone")
        #expect(throws: StorageError.self) { _ = try stores.admits(c1, store: old, generation: Generation(1)) }
        #expect(stores[c1] == nil)
    }

    @Test(
        "on a full disk a newer start of a known store counts, and a store that is new does not",
        .enabled(if: SmallDisk.missing == nil, "\(SmallDisk.missing ?? "")"))
    func fullDisk() throws {
        let disk = try SmallDisk(bytes: 1 << 20)
        let (c1, c2) = (try MemberID(text: "c1"), try MemberID(text: "c2"))
        var stores = try KnownStores(in: disk.path)
        #expect(try stores.admits(c1, store: old, generation: Generation(1)))
        try disk.fill(leaving: 0)
        #expect(try stores.admits(c1, store: old, generation: Generation(2)))
        #expect(try !stores.admits(c1, store: old, generation: Generation(1)))
        #expect(throws: StorageError.self) { _ = try stores.admits(c2, store: new, generation: Generation(1)) }
    }

    @Test("what is remembered with any bit changed is refused")
    func damaged() throws {
        let place = try Place()
        var stores = try KnownStores(in: place.path)
        _ = try stores.admits(try MemberID(text: "c1"), store: old, generation: Generation(1))
        let file = URL(fileURLWithPath: place.path + "/peers")
        let good = try Data(contentsOf: file)
        for index in good.indices {
            for bit in 0..<8 {
                var bad = good
                bad[index] ^= 1 << UInt8(bit)
                try bad.write(to: file)
                #expect(throws: StorageError.unreadable(path: file.path)) { _ = try KnownStores(in: place.path) }
            }
        }
    }
}
