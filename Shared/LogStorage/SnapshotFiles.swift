// Snapshots beside a log: one file each, complete or not there at all.
//
//      0  magic     8   "CXSSNAP" LF
//      8  version   u32 1
//     12  index     u64 what the snapshot covers
//     20  term      u64
//     28  length    u64 of the body
//     36  body      u32 CRC-32C of the body
//     40  header    u32 CRC-32C of the 40 bytes before
//     44  the body

import DurableLog
import Model

package struct Snapshot: Hashable, Sendable {
    /// The last index that the body covers.
    package let index: UInt64
    package let term: UInt64
    package let body: [UInt8]

    package init(index: UInt64, term: UInt64, body: [UInt8]) {
        self.index = index
        self.term = term
        self.body = body
    }
}

/// The newest snapshot and the one before it: where the newest cannot be read, the former one and a log that reaches back to it are
/// as good. Whether the log does is for its owner to know.
package struct SnapshotFiles: Sendable {
    private static let headerBytes = 44
    private static let magic = Array("CXSSNAP\n".utf8)
    private static let version: UInt32 = 1
    /// How many are kept, and how many that could not be read, for whoever wants to know why.
    private static let kept = 2
    private static let namePrefix = "snapshot-"
    private static let damagedPrefix = "damaged-"

    private let folder: String
    private let flush: Flush

    /// - Parameter folder: a folder for one log's snapshots alone; made if it is not there.
    package init(folder: String, flush: Flush = .standard) throws(StorageError) {
        try SystemCall.makeFolder(folder)
        for name in try SystemCall.names(in: folder) where name.hasSuffix(".tmp") { try SystemCall.remove(folder + "/" + name) }
        self.folder = folder
        self.flush = flush
    }

    /// Makes a snapshot durable, then removes older ones but the last before it.
    ///
    /// - Throws: after any error the newest snapshot is the one that was, or the new one; never a part of it.
    package func save(_ snapshot: Snapshot) throws(StorageError) {
        var bytes = Self.magic
        bytes.reserveCapacity(Self.headerBytes + snapshot.body.count)
        bytes.appendLittleEndian(Self.version)
        bytes.appendLittleEndian(snapshot.index)
        bytes.appendLittleEndian(snapshot.term)
        bytes.appendLittleEndian(UInt64(snapshot.body.count))
        bytes.appendLittleEndian(CRC32C.of(snapshot.body))
        bytes.appendLittleEndian(CRC32C.of(bytes))
        bytes += snapshot.body
        try DurableFile.replace(path(of: snapshot.index), with: bytes, flush: flush)
        for index in try indices().dropLast(Self.kept) { try DurableFile.remove(path(of: index)) }
    }

    /// What a start finds.
    package struct Found: Hashable, Sendable {
        /// The newest that is whole; nil when there is none.
        package let newest: Snapshot?
        /// Newer ones that are not, under the names that they have now: out of the way, and kept.
        package let damaged: [String]
    }

    /// Finds the newest snapshot that is whole, and puts newer ones out of the way.
    ///
    /// - Throws: `.otherFormat` for one that another version wrote.
    package func find() throws(StorageError) -> Found {
        var damaged: [String] = []
        for index in try indices().reversed() {
            let path = path(of: index)
            guard let bytes = try DurableFile.read(path) else { continue }
            if let snapshot = try Self.decode(bytes, from: path), snapshot.index == index {
                return Found(newest: snapshot, damaged: damaged)
            }
            damaged.append(try putAside(path))
        }
        return Found(newest: nil, damaged: damaged)
    }

    /// The body of a snapshot, where it lies.
    package func body(of index: UInt64) throws(StorageError) -> SnapshotBody {
        let file = try File(path(of: index), .read)
        return SnapshotBody(count: try file.size() - Self.headerBytes, behind: Self.headerBytes, in: file)
    }

    /// The index of the snapshot before the newest: down to here a log must reach that makes up for the newest one.
    package func formerIndex() throws(StorageError) -> UInt64? { try indices().dropLast().last }

    private func putAside(_ path: String) throws(StorageError) -> String {
        let old = try SystemCall.names(in: folder).filter { $0.hasPrefix(Self.damagedPrefix) }
        for name in old.dropLast(Self.kept - 1) { try SystemCall.remove(folder + "/" + name) }
        let aside = folder + "/" + Self.damagedPrefix + (path.split(separator: "/").last.map(String.init) ?? "snapshot")
        try SystemCall.rename(path, to: aside)
        try DurableFile.synchronizeFolder(folder)
        return aside
    }

    private func path(of index: UInt64) -> String {
        let digits = String(index)
        return folder + "/" + Self.namePrefix + String(repeating: "0", count: 20 - digits.count) + digits
    }

    private func indices() throws(StorageError) -> [UInt64] {
        try SystemCall.names(in: folder)
            .compactMap { $0.hasPrefix(Self.namePrefix) ? UInt64($0.dropFirst(Self.namePrefix.count)) : nil }
            .sorted()
    }

    private static func decode(_ bytes: [UInt8], from path: String) throws(StorageError) -> Snapshot? {
        guard bytes.count >= headerBytes, bytes.starts(with: magic) else { return nil }
        func number<Integer: FixedWidthInteger>(_: Integer.Type, at offset: Int) -> Integer {
            bytes.withUnsafeBytes { Integer(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Integer.self)) }
        }
        guard number(UInt32.self, at: 40) == CRC32C.of(Array(bytes[..<40])) else { return nil }
        let found = number(UInt32.self, at: 8)
        guard found == version else { throw .otherFormat(path: path, found: found, known: version) }
        guard number(UInt64.self, at: 28) == UInt64(bytes.count - headerBytes) else { return nil }
        let body = Array(bytes[headerBytes...])
        guard number(UInt32.self, at: 36) == CRC32C.of(body) else { return nil }
        return Snapshot(index: number(UInt64.self, at: 12), term: number(UInt64.self, at: 20), body: body)
    }
}

/// A snapshot's body on disk. It can be read for as long as somebody holds it, though its file be removed meanwhile.
package final class SnapshotBody: Sendable {
    package let count: Int
    private let start: Int
    private let file: File

    fileprivate init(count: Int, behind start: Int, in file: consuming File) {
        self.count = count
        self.start = start
        self.file = file
    }

    /// - Throws: `.unreadable`. What is read is not checked.
    package func bytes(in range: Range<Int>) throws(StorageError) -> [UInt8] {
        try file.read(range.lowerBound + start..<range.upperBound + start)
    }
}
