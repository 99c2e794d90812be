import CPageSums
import Glibc
import Model
import Synchronization

/// What was found where pages of a storage's file were looked at as they are on the disk, rather than in anybody's memory.
package struct Inspection: Hashable, Sendable {
    /// Of the whole file.
    package let pages: UInt64
    package let pageSize: Int
    /// How many were looked at.
    package let inspected: UInt64
    /// The one that failed its checksum, the last that was looked at.
    package let damaged: UInt64?

    package init(pages: UInt64, pageSize: Int, inspected: UInt64, damaged: UInt64? = nil) {
        self.pages = pages
        self.pageSize = pageSize
        self.inspected = inspected
        self.damaged = damaged
    }

    package var bytes: Int { Int(inspected) * pageSize }
    package var fileBytes: UInt64 { pages * UInt64(pageSize) }
}

/// Reads one storage's file beside SQLite.
final class FileInspector: Sendable {
    private let file: StorageFile
    /// Open from the first use to the end: with any descriptor of a file that is closed, the process loses SQLite's locks on it.
    private let descriptor = Mutex<Int32>(-1)

    init(_ file: StorageFile) { self.file = file }

    /// A page that is written meanwhile may fail.
    func inspect(from page: UInt64, limit: Int) throws(EngineError) -> Inspection {
        try descriptor.withLock { descriptor throws(EngineError) in
            if descriptor < 0 { descriptor = page_sums_open(file.path) }
            guard descriptor >= 0 else { throw failure(errno) }
            let found = page_sums_inspect(
                descriptor, Int32(StorageSchema.pageSize), Int64(clamping: max(page, 1)), Int64(max(limit, 0)))
            guard found.error == 0 else { throw failure(found.error) }
            return Inspection(
                pages: UInt64(found.pages), pageSize: StorageSchema.pageSize, inspected: UInt64(found.inspected),
                damaged: found.damaged > 0 ? UInt64(found.damaged) : nil)
        }
    }

    /// Has whoever reads next read from the disk, as far as the file's pages are there already.
    func forget() {
        descriptor.withLock { if $0 >= 0 { page_sums_forget($0) } }
    }

    /// After every connection.
    func close() {
        descriptor.withLock { descriptor in Self.close(&descriptor) }
    }

    /// Does `body`, after which another file may be there. After every connection, too.
    func whileClosed(_ body: () throws(EngineError) -> Void) throws(EngineError) {
        try descriptor.withLock { descriptor throws(EngineError) in
            Self.close(&descriptor)
            try body()
        }
    }

    private static func close(_ descriptor: inout Int32) {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    private func failure(_ number: Int32) -> EngineError {
        .inputOutput(file.storage, detail: "looking at its pages: \(String(cString: strerror(number)))")
    }
}
