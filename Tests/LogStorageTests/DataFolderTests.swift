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

    @Test("a store goes on from a number of starts that it was raised to, and never from a lower one")
    func raised() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        do {
            let data = try DataFolder(path, random: 77)
            try data.raise(to: Generation(8))
            try data.raise(to: Generation(3))
            #expect(data.generation == Generation(8))
        }
        let next = try DataFolder(path)
        #expect(next.generation == Generation(9) && next.store == StoreID(77))
    }

    /// A folder whose store has counted so many starts.
    private func counted(_ starts: UInt64) throws -> (folder: Folder, data: String, store: [UInt8]) {
        let folder = try Folder()
        let data = folder.path + "/data"
        do { _ = try DataFolder(data, random: 0x4D) }
        let body = Array("coxswain store 2\nid 4d\ngeneration \(starts)\nfounding no\n".utf8)
        let store = body + Array("crc32c \(String(CRC32C.of(body), radix: 16))\n".utf8)
        try folder.write(store, "data/store")
        return (folder, data, store)
    }

    @Test("a store is opened for the last start that peers believe in, for none behind it, and is as it was then")
    func lastStart() throws {
        let last = try counted(Limits.latestStart - 1)
        #expect(try DataFolder(last.data).generation == Generation(Limits.latestStart))
        withExtendedLifetime(last.folder) {}
        for starts in [Limits.latestStart, Limits.latestStart + 1] {
            let (folder, data, store) = try counted(starts)
            for _ in 0..<2 {
                #expect(throws: StorageError.startsUsedUp(path: data + "/store", start: starts + 1)) { try DataFolder(data) }
                #expect(try folder.bytes("data/store") == store)
            }
        }
        // What no process has ever counted is no count.
        let past = try counted(Limits.generation)
        #expect(throws: StorageError.unreadable(path: past.data + "/store")) { try DataFolder(past.data) }
        withExtendedLifetime(past.folder) {}
    }

    @Test("a count of starts is raised to none that leaves hardly any: it stays, and the error says what to do")
    func raisedTooFar() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        let most = Limits.latestStart - Limits.startsLeft
        do {
            let data = try DataFolder(path, random: 77)
            let refusal = StorageError.startsUsedUp(path: path + "/store", start: most + 1)
            #expect(throws: refusal) { try data.raise(to: Generation(most + 1)) }
            #expect(throws: StorageError.self) { try data.raise(to: Generation(.max - 1)) }
            #expect(data.generation == Generation(1))
            #expect("\(refusal)".contains("under another name"))
            try data.raise(to: Generation(most))
        }
        #expect(try DataFolder(path).generation == Generation(most + 1))
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
            #expect(throws: StorageError.locked(path: path + "/lock")) {
                try DataFolder.setAside(["log"], in: path, because: "a test")
            }
        }
        let aside = try DataFolder.setAside(["log", "storages"], in: path, because: "its log: byte 12", random: 78)
        let fresh = try DataFolder(path)
        #expect(fresh.store == StoreID(78))
        #expect(fresh.generation == Generation(2))
        #expect(FileManager.default.fileExists(atPath: aside + "/log"))
        #expect(!FileManager.default.fileExists(atPath: path + "/log"))
        #expect(FileManager.default.fileExists(atPath: path + "/identity"))
    }

    @Test("a founding member's mark is good for one store: neither for the next one in its place, nor for one that is there")
    func founding() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        try DataFolder.markFounding(path)
        #expect(try folder.names("data") == ["founding"])
        do { #expect(try DataFolder(path).isFounding) }
        #expect(try !folder.names("data").contains("founding"))
        do { #expect(try DataFolder(path).isFounding) }
        #expect(throws: StorageError.locked(path: path)) { try DataFolder.markFounding(path) }
        // A disk that was wiped is another store, whoever its node was.
        for name in try folder.names("data") { try folder.remove("data/" + name) }
        do { #expect(try !DataFolder(path).isFounding) }
        // Nor does a mark that comes later make a founder of it.
        try folder.write(Array("coxswain founding member\n".utf8), "data/founding")
        #expect(try !DataFolder(path).isFounding)
        #expect(try !folder.names("data").contains("founding"))
    }

    @Test("a start that was interrupted between the identity and the mark is a founding member still")
    func foundingInterrupted() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        try DataFolder.markFounding(path)
        let mark = try folder.bytes("data/founding")
        do { _ = try DataFolder(path) }
        try folder.write(mark, "data/founding")
        let data = try DataFolder(path)
        #expect(data.isFounding)
        #expect(data.generation == Generation(2))
    }

    @Test("what is set aside has the reason beside it, and the store that is begun in its place is no founding one")
    func setAsideFounder() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        try DataFolder.markFounding(path)
        do { _ = try DataFolder(path).folder("log") }
        let aside = try DataFolder.setAside(["log"], in: path, because: "segment 3, byte 77: a hole")
        #expect(try String(contentsOfFile: aside + "/reason", encoding: .utf8) == "segment 3, byte 77: a hole\n")
        #expect(try !DataFolder(path).isFounding)
    }

    @Test("of damaged data the two newest folders are kept, whatever they hold; a link in an older one leads nowhere")
    func asidesKept() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        try folder.write([1], "elsewhere")
        var asides: [String] = []
        for round in 1...12 {
            do {
                let data = try DataFolder(path)
                let log = try data.folder("log")
                try FileManager.default.createDirectory(atPath: log + "/inner", withIntermediateDirectories: false)
                try folder.write([UInt8(round)], "data/log/inner/file")
                try FileManager.default.createSymbolicLink(atPath: log + "/link", withDestinationPath: folder.path)
            }
            // The identities are in no order.
            asides.append(try DataFolder.setAside(["log"], in: path, because: "round \(round)", random: UInt64(100 - round)))
        }
        let kept = try folder.names("data").filter { $0.hasPrefix("set-aside-") }
        #expect(Set(kept.map { path + "/" + $0 }) == Set(asides.suffix(2)))
        #expect(try DurableFile.read(asides[11] + "/log/inner/file") == [12])
        #expect(try DurableFile.read(asides[10] + "/log/inner/file") == [11])
        #expect(try folder.bytes("elsewhere") == [1])
    }

    @Test("an identity in the format before is refused by its number, and nothing is changed")
    func otherFormat() throws {
        let folder = try Folder()
        let path = folder.path + "/data"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let body = Array("coxswain store 1\nid 4d\ngeneration 3\n".utf8)
        let old = body + Array("crc32c \(String(CRC32C.of(body), radix: 16))\n".utf8)
        try folder.write(old, "data/store")
        #expect(throws: StorageError.otherFormat(path: path + "/store", found: 1, known: 2)) { try DataFolder(path) }
        #expect(try folder.bytes("data/store") == old)
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
