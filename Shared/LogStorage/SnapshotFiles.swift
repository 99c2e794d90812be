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

package struct SnapshotFiles: Sendable {
    private static let headerBytes = 44
    private static let magic = Array("CXSSNAP\n".utf8)

    private let folder: String

    /// - Parameter folder: a folder for one log's snapshots alone; made if it is not there.
    package init(folder: String) throws(StorageError) {
        try SystemCall.makeFolder(folder)
        for name in try SystemCall.names(in: folder) where name.hasSuffix(".tmp") { try SystemCall.remove(folder + "/" + name) }
        self.folder = folder
    }

    /// Makes a snapshot durable, then removes older ones.
    ///
    /// - Throws: after any error the newest snapshot is the one that was, or the new one; never a part of it.
    package func save(_ snapshot: Snapshot) throws(StorageError) {
        var bytes = Self.magic
        bytes.reserveCapacity(Self.headerBytes + snapshot.body.count)
        bytes.appendLittleEndian(UInt32(1))
        bytes.appendLittleEndian(snapshot.index)
        bytes.appendLittleEndian(snapshot.term)
        bytes.appendLittleEndian(UInt64(snapshot.body.count))
        bytes.appendLittleEndian(CRC32C.of(snapshot.body))
        bytes.appendLittleEndian(CRC32C.of(bytes))
        bytes += snapshot.body
        try DurableFile.replace(path(of: snapshot.index), with: bytes)
        for index in try indices() where index < snapshot.index { try DurableFile.remove(path(of: index)) }
    }

    /// The newest snapshot; nil when there is none.
    ///
    /// - Throws: `.unreadable` when it is not what was written: it is not passed over for an older one, because the log behind it
    ///   may be gone.
    package func newest() throws(StorageError) -> Snapshot? {
        guard let index = try indices().last, let bytes = try DurableFile.read(path(of: index)) else { return nil }
        guard let snapshot = Self.decode(bytes), snapshot.index == index else { throw .unreadable(path: path(of: index)) }
        return snapshot
    }

    private func path(of index: UInt64) -> String {
        let digits = String(index)
        return folder + "/snapshot-" + String(repeating: "0", count: 20 - digits.count) + digits
    }

    private func indices() throws(StorageError) -> [UInt64] {
        try SystemCall.names(in: folder)
            .compactMap { $0.hasPrefix("snapshot-") ? UInt64($0.dropFirst("snapshot-".count)) : nil }
            .sorted()
    }

    private static func decode(_ bytes: [UInt8]) -> Snapshot? {
        guard bytes.count >= headerBytes, bytes.starts(with: magic) else { return nil }
        func number<Integer: FixedWidthInteger>(_: Integer.Type, at offset: Int) -> Integer {
            bytes.withUnsafeBytes { Integer(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Integer.self)) }
        }
        guard number(UInt32.self, at: 40) == CRC32C.of(Array(bytes[..<40])), number(UInt32.self, at: 8) == 1,
            number(UInt64.self, at: 28) == UInt64(bytes.count - headerBytes)
        else { return nil }
        let body = Array(bytes[headerBytes...])
        guard number(UInt32.self, at: 36) == CRC32C.of(body) else { return nil }
        return Snapshot(index: number(UInt64.self, at: 12), term: number(UInt64.self, at: 20), body: body)
    }
}
