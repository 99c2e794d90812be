import CPageSums
import FoundationEssentials
import LogStorage
import Model

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Where one storage's database lies.
struct StorageFile: Sendable {
    let folder: String
    let storage: StorageID
    /// What becomes of the process when a flush fails.
    let onDiskFailure: DiskFailureResponse
    private var suffix = ""

    init(folder: String, storage: StorageID, onDiskFailure: DiskFailureResponse) {
        self.folder = folder
        self.storage = storage
        self.onDiskFailure = onDiskFailure
    }

    var path: String { "\(folder)/\(Self.name(of: storage))\(suffix)" }

    /// What a storage's database is called in its folder.
    static func name(of storage: StorageID) -> String { "storage-\(storage).sqlite" }

    /// Beside it: what comes in page by page to take its place. What stands there at a start goes.
    var arriving: StorageFile {
        var file = self
        file.suffix = Self.arrivingSuffix
        return file
    }

    private static let arrivingSuffix = ".pages"

    /// What a database's first bytes say of how it is laid out.
    struct Header {
        private let bytes: [UInt8]

        /// - Returns: nil when that is no database of ours.
        init?(_ bytes: [UInt8]) {
            guard bytes.count == 100, bytes.starts(with: "SQLite format 3\0".utf8) else { return nil }
            self.bytes = bytes
            guard number(at: 68) == StorageSchema.applicationID else { return nil }
        }

        /// It is of a format whose pages had no checksums, and has no room for them. Both, so that a bit that turned over in one of
        /// them is damage, and no other format.
        var isUnsummed: Bool { bytes[20] == 0 && (1...2).contains(format) }
        var format: Int64 { number(at: 60) }

        private func number(at offset: Int) -> Int64 {
            bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int64($1) }
        }
    }

    /// Nil when that is no database of ours, or not one yet.
    func header() throws(EngineError) -> Header? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("open")
        }
        defer { Self.closeDescriptor(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 100)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count >= 0 else { throw failure("read") }
        return Header(Array(bytes.prefix(count)))
    }

    /// Before the first connection is opened.
    /// - Throws: `damaged` when the write-ahead log lacks what may have gone from it into the database: SQLite would take what stands
    ///   before the gap for the newest, and read old pages beside new ones.
    func checkLog() throws(EngineError) {
        let frame = page_sums_lost_frame(path)
        guard frame >= 0 else { throw failure("look at the write-ahead log") }
        guard frame == 0 else {
            throw .damaged(
                storage, detail: "frame \(frame) of its write-ahead log is not what was written, and is in the database already"
            )
        }
    }

    /// The storage whose database a file of that name is.
    static func storage(named name: String) -> StorageID? {
        guard name.hasPrefix("storage-"), name.hasSuffix(".sqlite") else { return nil }
        return UInt64(name.dropFirst("storage-".count).dropLast(".sqlite".count)).map { StorageID($0) }
    }

    /// Removes the database. The name goes first and the write-ahead log after it: a log without its database would be taken for
    /// the log of the next one of that name, a database without its log would be an older one.
    func remove() throws(EngineError) {
        let dropped = path + ".dropped"
        if rename(path, dropped) != 0, errno != ENOENT { throw failure("rename") }
        try unlinkFiles(["\(path)-wal", "\(path)-shm", dropped])
        try arriving.unlinkAll()
        try syncFolder()
    }

    /// Takes the place of this database's file with another one, both of which nobody has open and whose logs are empty: a crash leaves
    /// the one or the other. The old one's log goes first, and for good: it would be taken for the new one's.
    func replace(by other: StorageFile) throws(EngineError) {
        try unlinkFiles(["\(path)-wal", "\(path)-shm", "\(other.path)-wal", "\(other.path)-shm"])
        try syncFolder()
        if rename(other.path, path) != 0 { throw failure("rename") }
        try syncFolder()
    }

    /// Removes the database and what belongs to it, of which nothing counts.
    func unlinkAll() throws(EngineError) { try unlinkFiles([path, "\(path)-wal", "\(path)-shm"]) }

    private func unlinkFiles(_ paths: [String]) throws(EngineError) {
        for leftover in paths where unlink(leftover) != 0 && errno != ENOENT { throw failure("unlink \(leftover)") }
    }

    /// How large its write-ahead log is.
    func logBytes() throws(EngineError) -> UInt64 {
        var status = stat()
        guard stat("\(path)-wal", &status) == 0 else {
            if errno == ENOENT { return 0 }
            throw failure("look at the write-ahead log")
        }
        return UInt64(max(status.st_size, 0))
    }

    /// Removes what an interrupted removal left, and what came page by page and never took a storage's place.
    static func sweep(_ folder: String, names: [String]) {
        let databases = Set(names.filter { storage(named: $0) != nil })
        for name in names {
            let owner = name.hasSuffix("-wal") || name.hasSuffix("-shm") ? String(name.dropLast(4)) : nil
            let isOrphan = owner.map { storage(named: $0) != nil && !databases.contains($0) } ?? false
            // What stays is swept at the next start.
            let hasNotArrived = name.contains(".sqlite\(arrivingSuffix)")
            if isOrphan || hasNotArrived || name.hasSuffix(".sqlite.dropped") { unlink("\(folder)/\(name)") }
        }
    }

    /// Makes the names in the folder durable.
    func syncFolder() throws(EngineError) {
        let descriptor = Self.openFolder(folder)
        guard descriptor >= 0 else { throw failure("open \(folder)") }
        defer { Self.closeDescriptor(descriptor) }
        guard fsync(descriptor) == 0 else { throw syncFailed(folder, code: errno) }
    }

    /// Ends the process, if it is allowed to: no flush is tried again after one that failed (rule C3).
    func syncFailed(_ path: String, code: Int32) -> EngineError {
        let error = StorageError.syncFailed(path: path, code: code)
        onDiskFailure.respond(error)
        return .syncFailed(storage, detail: "\(error)")
    }

    private static func openFolder(_ path: String) -> Int32 { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    private static func closeDescriptor(_ descriptor: Int32) { close(descriptor) }

    private func failure(_ call: String) -> EngineError {
        let number = errno
        let detail = "\(call): \(String(cString: strerror(number)))"
        return number == EIO ? .unreadable(storage, detail: detail) : .inputOutput(storage, detail: detail)
    }
}
