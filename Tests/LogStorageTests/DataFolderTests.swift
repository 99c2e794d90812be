import Foundation
import LogStorage
import Model
import Testing

@Suite struct DataFolderTests {
    @Test("a store keeps its identity and counts its starts")
    func generations() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        for start in 1...3 as ClosedRange<UInt64> {
            let data = try DataFolder(path, random: 0xC0FFEE + start)
            #expect(data.store == StoreID(0xC0FFEE + 1))
            #expect(data.generation == Generation(start))
        }
    }

    @Test("a folder that is held is refused, and free again when it is let go")
    func locked() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        let first = try DataFolder(path)
        #expect(throws: StorageError.locked(path: path + "/lock")) { try DataFolder(path) }
        #expect(first.generation == Generation(1))
        _ = consume first
        #expect(try DataFolder(path).generation == Generation(2))
    }

    @Test("a folder with data but without its identity is refused, not given a new one")
    func identityGone() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        do { _ = try DataFolder(path).folder("log") }
        try folder.remove("data/store")
        #expect(throws: StorageError.identityMissing(path: path)) { try DataFolder(path) }
    }

    @Test("data that is set aside leaves an empty store under another identity, and what was not named stays")
    func setAside() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        do {
            let data = try DataFolder(path, random: 77)
            _ = try data.folder("log")
            _ = try data.folder("identity")
            #expect(throws: StorageError.locked(path: path + "/lock")) { try DataFolder.setAside(["log"], in: path) }
        }
        let aside = try DataFolder.setAside(["log", "storages"], in: path, random: 78)
        let fresh = try DataFolder(path)
        #expect(fresh.store == StoreID(78))
        #expect(fresh.generation == Generation(2))
        #expect(FileManager.default.fileExists(atPath: aside + "/log"))
        #expect(!FileManager.default.fileExists(atPath: path + "/log"))
        #expect(FileManager.default.fileExists(atPath: path + "/identity"))
    }

    @Test("an identity with any bit changed is refused")
    func identityDamaged() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        do { _ = try DataFolder(path, random: 77) }
        let good = try folder.bytes("data/store")
        for index in good.indices {
            for bit in 0..<8 {
                var bad = good
                bad[index] ^= 1 << UInt8(bit)
                try folder.write(bad, "data/store")
                #expect(throws: StorageError.unreadable(path: path + "/store")) { try DataFolder(path) }
            }
        }
    }

    @Test("a crash before the rename leaves the old content, and the file beside it is no obstacle")
    func atomicReplace() throws {
        let folder = try Folder()
        let path = folder.path + "/file"
        try DurableFile.replace(path, with: [1, 2, 3])
        try folder.write([9], "file.tmp")
        #expect(try DurableFile.read(path) == [1, 2, 3])
        try DurableFile.replace(path, with: [4])
        #expect(try DurableFile.read(path) == [4])
        #expect(try folder.names() == ["file"])
        try DurableFile.remove(path)
        #expect(try DurableFile.read(path) == nil)
    }

    @Test("a full device is reported as such, and nothing is left behind")
    func fullDevice() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        let folder = try Folder()
        try FileManager.default.createSymbolicLink(atPath: folder.path + "/file.tmp", withDestinationPath: "/dev/full")
        #expect(throws: StorageError.noSpace(path: folder.path + "/file.tmp", bytes: 3)) {
            try DurableFile.replace(folder.path + "/file", with: [1, 2, 3])
        }
        #expect(try folder.names().isEmpty)
    }
}

@Suite struct SnapshotFilesTests {
    @Test("the newest snapshot wins and older ones go")
    func newest() throws {
        let folder = try Folder()
        let files = try SnapshotFiles(folder: folder.path)
        #expect(try files.newest() == nil)
        try files.save(Snapshot(index: 5, term: 1, body: [1, 2, 3]))
        try files.save(Snapshot(index: 90, term: 2, body: []))
        #expect(try files.newest() == Snapshot(index: 90, term: 2, body: []))
        #expect(try folder.names().count == 1)
    }

    @Test("a snapshot that was being written is not taken for one")
    func halfWritten() throws {
        let folder = try Folder()
        try SnapshotFiles(folder: folder.path).save(Snapshot(index: 5, term: 1, body: [1, 2, 3]))
        let name = try #require(folder.names().first)
        try folder.write(Array(try folder.bytes(name).prefix(20)), "snapshot-00000000000000000009.tmp")
        let files = try SnapshotFiles(folder: folder.path)
        #expect(try files.newest()?.index == 5)
    }

    @Test("a snapshot with any bit changed, or cut anywhere, is refused")
    func damaged() throws {
        let folder = try Folder()
        let files = try SnapshotFiles(folder: folder.path)
        try files.save(Snapshot(index: 5, term: 1, body: Array("body".utf8)))
        let name = try #require(folder.names().first)
        let good = try folder.bytes(name)
        for index in good.indices {
            var bad = good
            bad[index] ^= 4
            try folder.write(bad, name)
            #expect(throws: StorageError.self) { try files.newest() }
            try folder.write(Array(good[..<index]), name)
            #expect(throws: StorageError.self) { try files.newest() }
        }
    }
}
