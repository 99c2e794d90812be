import CPageSums
import CSQLite
import Glibc
import Model

/// One connection to one database file, with its prepared statements. Belongs to one actor; not for concurrent use.
final class Database {
    enum Mode {
        case create, write, read
    }

    /// Compares each page with its checksum when it is read (see CPageSums).
    private static let pageSums: String? = page_sums_register() == SQLITE_OK ? String(cString: page_sums_layer) : nil

    /// Pages in the write-ahead log after which they are brought into the database: those that change often get there once in 64 MiB
    /// of the log, and random keys gain half again by it.
    private static let longLog: Int32 = 8_000

    let file: StorageFile
    var storage: StorageID { file.storage }
    private let handle: OpaquePointer
    private let isWriter: Bool
    private var statements: [String: Statement] = [:]
    /// Pages in the write-ahead log after the last commit.
    private var logPages: Int32 = 0
    /// How many there are when it is next to be shortened.
    private var nextCheckpoint = Database.longLog
    /// The flush that failed, after which nothing here counts any more.
    private(set) var failure: EngineError?

    init(_ file: StorageFile, _ mode: Mode) throws(EngineError) {
        var opened: OpaquePointer?
        let access =
            switch mode {
            case .create: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            case .write: SQLITE_OPEN_READWRITE
            case .read: SQLITE_OPEN_READONLY
            }
        guard let pageSums = Self.pageSums else { throw .failed(file.storage, detail: "SQLite takes no layer below it") }
        // The actor is the mutex.
        let code = sqlite3_open_v2(
            file.path, &opened, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, pageSums)
        guard let opened else { throw .failed(file.storage, detail: "no memory for a connection") }
        guard code == SQLITE_OK else {
            let error = Self.error(code, opened, file)
            sqlite3_close_v2(opened)
            throw error
        }
        self.file = file
        handle = opened
        isWriter = mode != .read
        // Other connections of ours hold locks for moments only; an operator's shell may hold one longer.
        sqlite3_busy_timeout(handle, 10_000)
        if isWriter { countLogPages() }
    }

    deinit {
        for statement in statements.values { statement.finalize() }
        // The last connection brings the log into the database. A flush that fails has ended the process, or nobody asks any more.
        if isWriter, failure == nil { try? flushLog() }
        sqlite3_close_v2(handle)
    }

    /// Runs statements that give no rows of interest.
    func execute(_ sql: String) throws(EngineError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw error(code) }
    }

    /// A prepared statement, kept for the next time. Reset, with nothing bound.
    func prepare(_ sql: String) throws(EngineError) -> Statement {
        if let kept = statements[sql] {
            kept.reset()
            return kept
        }
        var made: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &made, nil)
        guard code == SQLITE_OK, let made else { throw error(code) }
        let statement = Statement(made, in: self)
        statements[sql] = statement
        return statement
    }

    /// Runs `body` in one transaction; an error undoes all of it.
    func transaction<T>(_ body: () throws(EngineError) -> T) throws(EngineError) -> T {
        let result: T
        try execute("BEGIN IMMEDIATE")
        do {
            result = try body()
            try execute("COMMIT")
        } catch {
            // Some errors have ended the transaction already; the one that is thrown is the one that matters.
            for statement in statements.values { statement.reset() }
            sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
            throw error
        }
        try shortenLog()
        return result
    }

    /// Has each page of a new file keep room for its checksum.
    func reserveSums() throws(EngineError) {
        var bytes = Int32(page_sums_reserved)
        let code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes)
        guard code == SQLITE_OK else { throw error(code) }
    }

    // MARK: The write-ahead log

    /// In the place of SQLite's own checkpoints, which keep a flush that failed to themselves.
    private func countLogPages() {
        let owner = Unmanaged.passUnretained(self).toOpaque()
        sqlite3_wal_hook(
            handle,
            { owner, _, _, pages in
                if let owner { Unmanaged<Database>.fromOpaque(owner).takeUnretainedValue().noteLog(pages) }
                return SQLITE_OK
            }, owner)
    }

    private func noteLog(_ pages: Int32) {
        // It began anew: all of it was in the database.
        if pages < logPages { nextCheckpoint = Self.longLog }
        logPages = pages
    }

    /// Brings a long log into the database as far as its readers allow. Where one reads for long the rest is tried once as much has come
    /// again, not with each commit, for it costs a flush. Where there is no room for it, or the database does not take it, what was
    /// committed stays in the log, and the next commit tries again.
    private func shortenLog() throws(EngineError) {
        if logPages >= nextCheckpoint { try checkpoint() }
    }

    /// Brings a long log into the database now that a reader is gone who may have held it up. One that is not long is left for later:
    /// pages that change often get there the less often.
    func settleLog() throws(EngineError) {
        if logPages >= Self.longLog { try checkpoint() }
    }

    /// Brings all of the log into the database, as far as its readers allow.
    /// - Returns: whether that was all of it. Until the next commit the file is then the database, and for whoever begins to read before
    ///   that it stays as it is: what it reads from the file is not written over.
    func emptyLog() throws(EngineError) -> Bool {
        let (frames, done) = try checkpoint()
        return frames == done
    }

    /// - Returns: frames of the log, and how many of them are in the database; different numbers where that was not tried.
    @discardableResult
    private func checkpoint() throws(EngineError) -> (frames: Int32, done: Int32) {
        try flushLog()
        var (frames, done) = (Int32(-1), Int32(-1))
        let code = sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_PASSIVE, &frames, &done)
        nextCheckpoint = code == SQLITE_OK ? Int32(clamping: Int(logPages) + Int(Self.longLog)) : Self.longLog
        // A page that is damaged there is damaged for whoever reads it, and the log can never be shortened past it.
        if Self.isFailedFlush(code) || code == Self.failedSum { throw error(code) }
        return code == SQLITE_OK && frames >= 0 ? (frames, done) : (0, -1)
    }

    /// Makes the log durable before it is brought into the database. SQLite does so too, but first it notes beside the log how far it is
    /// about to go: a power cut between the two would leave a log that ends before that, which the next start takes for damage
    /// (`StorageFile.checkLog`).
    private func flushLog() throws(EngineError) {
        var log: UnsafeMutablePointer<sqlite3_file>?
        let found = sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log)
        guard found == SQLITE_OK else { throw error(found) }
        guard let log, let methods = log.pointee.pMethods, let sync = methods.pointee.xSync else { return }
        let code = sync(log, SQLITE_SYNC_NORMAL)
        guard code == SQLITE_OK else { throw error(code) }
    }

    // MARK: Pages

    /// Of the database as this connection sees it.
    func pageCount() throws(EngineError) -> UInt64 {
        let count = try prepare("PRAGMA page_count")
        defer { count.reset() }
        return try count.step() ? count.unsigned(0) : 0
    }

    /// Pages as they stand in the file, whatever the log holds, with their checksums.
    func pages(from first: UInt64, count: Int) throws(EngineError) -> [UInt8] {
        var found: UnsafeMutablePointer<sqlite3_file>?
        let code = sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &found)
        guard code == SQLITE_OK, let found else { throw error(code) }
        var outcome = SQLITE_MISUSE
        let pages = [UInt8](unsafeUninitializedCapacity: count * StorageSchema.pageSize) { buffer, size in
            outcome = page_sums_read(
                found, buffer.baseAddress, Int32(StorageSchema.pageSize), Int64(clamping: first), Int32(clamping: count))
            size = outcome == SQLITE_OK ? buffer.count : 0
        }
        guard outcome == SQLITE_OK else { throw error(outcome) }
        return pages
    }

    var changes: Int { Int(sqlite3_changes64(handle)) }

    func error(_ code: Int32) -> EngineError {
        let error = Self.error(code, handle, file)
        if case .syncFailed = error { failure = error }
        return error
    }

    /// `SQLITE_IOERR_FSYNC` and `SQLITE_IOERR_DIR_FSYNC`.
    private static func isFailedFlush(_ code: Int32) -> Bool {
        code == SQLITE_IOERR | 4 << 8 || code == SQLITE_IOERR | 5 << 8
    }

    /// `SQLITE_IOERR_DATA`: what a page's checksum says when it is not the page's.
    private static let failedSum = SQLITE_IOERR | 32 << 8

    private static func lacksRoom(_ handle: OpaquePointer) -> Bool {
        let code = sqlite3_system_errno(handle)
        return code == ENOSPC || code == EDQUOT
    }

    private static func isUnreadable(_ handle: OpaquePointer) -> Bool { sqlite3_system_errno(handle) == EIO }

    private static func error(_ code: Int32, _ handle: OpaquePointer, _ file: StorageFile) -> EngineError {
        let storage = file.storage
        let detail = "\(String(cString: sqlite3_errmsg(handle))) (\(String(cString: sqlite3_errstr(code))), \(code))"
        if isFailedFlush(code) {
            // Of a flush within a commit SQLite does not keep the number.
            let number = sqlite3_system_errno(handle)
            return file.syncFailed(file.path, code: number == 0 ? EIO : number)
        }
        if code == failedSum {
            let fault = page_sums_last_fault()
            let place = fault.in_log == 0 ? "page \(fault.page) of its file" : "frame \(fault.page) of its write-ahead log"
            let found =
                switch fault.verdict {
                case page_sums_unsummed: ": it has no checksum, for its end is lost, or another program wrote it"
                case page_sums_blank: ": it is not there"
                default: ""
                }
            return .damaged(storage, detail: "\(place) is not what was written\(found)")
        }
        // The file system itself says that the file is damaged (`SQLITE_IOERR_CORRUPTFS`).
        if code == SQLITE_IOERR | 33 << 8 { return .damaged(storage, detail: detail) }
        switch code & 0xFF {
        case SQLITE_CORRUPT, SQLITE_NOTADB: return .damaged(storage, detail: detail)
        case SQLITE_FULL: return .diskFull(storage)
        // The files beside the database have other names for it.
        case SQLITE_IOERR where lacksRoom(handle), SQLITE_CANTOPEN where lacksRoom(handle): return .diskFull(storage)
        case SQLITE_IOERR where isUnreadable(handle), SQLITE_CANTOPEN where isUnreadable(handle):
            return .unreadable(storage, detail: detail)
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL, SQLITE_NOMEM: return .busy(storage, detail: detail)
        case SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_READONLY: return .inputOutput(storage, detail: detail)
        default: return .failed(storage, detail: detail)
        }
    }
}

/// A prepared statement of one connection.
struct Statement {
    private let handle: OpaquePointer
    private unowned let database: Database

    init(_ handle: OpaquePointer, in database: Database) {
        self.handle = handle
        self.database = database
    }

    func finalize() { sqlite3_finalize(handle) }

    func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    /// True: there is a row to read. False: done.
    func step() throws(EngineError) -> Bool {
        let code = sqlite3_step(handle)
        switch code {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw database.error(code)
        }
    }

    /// Runs a statement that gives no rows, and lets go of what was bound.
    func run() throws(EngineError) {
        defer { reset() }
        while try step() {}
    }

    // SQLite copies what is bound: Swift's buffers live only as long as the call.
    private static let copy = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    func bind(_ number: Int64, at index: Int32) throws(EngineError) { try check(sqlite3_bind_int64(handle, index, number)) }

    /// Counters beyond 2^63 keep their bits.
    func bind(_ number: UInt64, at index: Int32) throws(EngineError) { try bind(Int64(bitPattern: number), at: index) }

    func bind(_ key: Key, at index: Int32) throws(EngineError) { try bind(key.bytes, at: index) }

    func bind(_ bytes: [UInt8], at index: Int32) throws(EngineError) {
        // A nil pointer would bind null.
        try check(
            bytes.isEmpty
                ? sqlite3_bind_zeroblob(handle, index, 0)
                : sqlite3_bind_blob64(handle, index, bytes, UInt64(bytes.count), Self.copy))
    }

    func bind(_ value: Value, at index: Int32) throws(EngineError) {
        switch value {
        case .null: try check(sqlite3_bind_null(handle, index))
        case .integer(let number), .timestamp(let number): try bind(number, at: index)
        case .boolean(let flag): try bind(flag ? 1 as Int64 : 0, at: index)
        case .double(let number): try check(sqlite3_bind_double(handle, index, number))
        case .bytes(let bytes): try bind(bytes, at: index)
        case .text(let text):
            var text = text
            let code = text.withUTF8 { utf8 in
                // A nil pointer would bind null.
                guard let start = utf8.baseAddress, utf8.count > 0 else {
                    return sqlite3_bind_text(handle, index, "", 0, Self.copy)
                }
                return start.withMemoryRebound(to: CChar.self, capacity: utf8.count) {
                    sqlite3_bind_text64(handle, index, $0, UInt64(utf8.count), Self.copy, UInt8(SQLITE_UTF8))
                }
            }
            try check(code)
        }
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }
    func unsigned(_ column: Int32) -> UInt64 { UInt64(bitPattern: integer(column)) }
    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }

    func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

    /// A value as the column's type says; a stored value of another kind is damage.
    func value(_ column: Int32, as type: ColumnType) throws(EngineError) -> Value {
        let stored = sqlite3_column_type(handle, column)
        switch (type, stored) {
        case (_, SQLITE_NULL): return .null
        case (.integer, SQLITE_INTEGER): return .integer(integer(column))
        case (.timestamp, SQLITE_INTEGER): return .timestamp(integer(column))
        case (.boolean, SQLITE_INTEGER): return .boolean(integer(column) != 0)
        case (.double, SQLITE_FLOAT): return .double(sqlite3_column_double(handle, column))
        case (.bytes, SQLITE_BLOB): return .bytes(bytes(column))
        case (.text, SQLITE_TEXT):
            guard let text = String(validating: bytes(column), as: UTF8.self) else {
                throw .damaged(database.storage, detail: "column \(column) holds text that is not UTF-8")
            }
            return .text(text)
        default: throw .damaged(database.storage, detail: "column \(column) of type \(type.rawValue) holds another kind")
        }
    }

    private func check(_ code: Int32) throws(EngineError) {
        if code != SQLITE_OK { throw database.error(code) }
    }
}
