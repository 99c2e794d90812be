import Foundation
import LogStorage
import Model
import Testing

@Suite struct SnapshotFilesTests {
    @Test("the newest snapshot is found, the one before it is kept, older ones go")
    func newest() throws {
        let folder = try Folder()
        let files = try SnapshotFiles(folder: folder.path)
        #expect(try files.find().newest == nil)
        #expect(try files.formerIndex() == nil)
        try files.save(Snapshot(index: 5, term: 1, body: [1, 2, 3]))
        try files.save(Snapshot(index: 90, term: 2, body: []))
        try files.save(Snapshot(index: 1_000, term: 2, body: [7]))
        #expect(try files.find().newest == Snapshot(index: 1_000, term: 2, body: [7]))
        #expect(try files.formerIndex() == 90)
        #expect(try folder.names().count == 2)
    }

    @Test("a snapshot that was being written is not taken for one")
    func halfWritten() throws {
        let folder = try Folder()
        try SnapshotFiles(folder: folder.path).save(Snapshot(index: 5, term: 1, body: [1, 2, 3]))
        let name = try #require(folder.names().first)
        try folder.write(Array(try folder.bytes(name).prefix(20)), "snapshot-00000000000000000009.tmp")
        #expect(try SnapshotFiles(folder: folder.path).find().newest?.index == 5)
    }

    @Test("a newest snapshot with any byte changed, or cut anywhere, is put aside, and the former one is found")
    func damaged() throws {
        let folder = try Folder()
        let files = try SnapshotFiles(folder: folder.path)
        try files.save(Snapshot(index: 4, term: 1, body: Array("former".utf8)))
        try files.save(Snapshot(index: 5, term: 1, body: Array("body".utf8)))
        let name = try #require(folder.names().last)
        let good = try folder.bytes(name)
        for index in good.indices {
            var bad = good
            bad[index] ^= 4
            for content in [bad, Array(good[..<index])] {
                try folder.write(content, name)
                let found = try files.find()
                #expect(found.newest == Snapshot(index: 4, term: 1, body: Array("former".utf8)))
                #expect(found.damaged == [folder.path + "/damaged-" + name])
                #expect(try folder.bytes("damaged-" + name) == content)
                #expect(try !folder.names().contains(name))
            }
        }
    }

    @Test("a snapshot of another format is refused by its number, and not put aside")
    func otherFormat() throws {
        let folder = try Folder()
        let files = try SnapshotFiles(folder: folder.path)
        try files.save(Snapshot(index: 5, term: 1, body: [1]))
        let name = try #require(folder.names().first)
        try folder.edit(name) { bytes in
            bytes[8] = 9
            let sum = CRC32C.of(Array(bytes[..<40]))
            bytes.replaceSubrange(40..<44, with: withUnsafeBytes(of: sum.littleEndian) { Array($0) })
        }
        #expect(throws: StorageError.otherFormat(path: folder.path + "/" + name, found: 9, known: 1)) { try files.find() }
        #expect(try folder.names() == [name])
    }
}
