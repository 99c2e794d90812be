// A storage's file on its way to another node, page by page as it lies there, checksums and all. It goes faster than rows do, for nobody
// takes them out of one tree and puts them into another. Only a file that stands still can go so, and only one that holds a single
// partition: what the target's own storage would hold is then all that is in it.

import CPageSums
import Glibc
import Model

/// A storage's file as it stands at one moment.
package struct PageImage: Hashable, Sendable {
    /// Tells it from every other one, of this process and of others.
    package let number: UInt64
    package let pages: UInt64

    package init(number: UInt64, pages: UInt64) {
        self.number = number
        self.pages = pages
    }

    static func bytes(of pages: UInt64) -> UInt64 {
        let (bytes, isTooMany) = pages.multipliedReportingOverflow(by: UInt64(StorageSchema.pageSize))
        return isTooMany ? .max : bytes
    }
}

/// Some pages of an image, one after another, each with its checksum.
package struct PageRun: Hashable, Sendable {
    /// How many are sent at a time, about a mebibyte.
    package static let most = 128

    /// The number of the first of them, counted from 1.
    package let first: UInt64
    package let bytes: [UInt8]

    package init(first: UInt64, bytes: [UInt8]) {
        self.first = first
        self.bytes = bytes
    }
}

/// Pages that have come for a storage, in a file of their own beside the storage's until all of them are there.
actor PageFile {
    nonisolated let executor: QueueExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    nonisolated let image: PageImage
    /// Where the copy begins.
    nonisolated let start: PartitionState
    private let file: StorageFile
    private var descriptor: Int32 = -1
    /// How many chunks and how many pages are there.
    private(set) var chunks: UInt64 = 0
    private var pages: UInt64 = 0

    /// - Parameter storage: the file for which they come.
    init(_ image: PageImage, of start: PartitionState, for storage: StorageFile) {
        self.image = image
        self.start = start
        file = storage.arriving
        executor = QueueExecutor(label: "storage-\(storage.storage).pages")
    }

    /// Makes the file, in the place of one that was there before.
    func make() throws(EngineError) {
        try file.unlinkAll()
        descriptor = open(file.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(errno) }
    }

    /// Stores the next pages, if they are what was read at the source.
    /// - Returns: how many chunks there are.
    func store(_ run: PageRun, chunk: UInt64) throws(EngineError) -> UInt64 {
        guard descriptor >= 0 else { throw .noImport(file.storage) }
        guard chunk == chunks else { throw .notNextChunk(expected: chunks, found: chunk) }
        let (count, rest) = run.bytes.count.quotientAndRemainder(dividingBy: StorageSchema.pageSize)
        guard rest == 0, count > 0, run.first == pages + 1, UInt64(count) <= image.pages - pages else {
            throw .strangePages(
                file.storage,
                detail: "\(run.bytes.count) bytes from page \(run.first) on, behind page \(pages) of \(image.pages)")
        }
        let odd = page_sums_odd_page(run.bytes, Int32(StorageSchema.pageSize), Int64(run.first), Int64(count))
        guard odd == 0 else { throw .strangePages(file.storage, detail: "page \(odd) does not match its checksum") }
        let offset = pages * UInt64(StorageSchema.pageSize)
        try write(run.bytes, at: offset)
        page_sums_write_out(descriptor, Int64(offset), Int64(run.bytes.count))
        chunks += 1
        pages += UInt64(count)
        return chunks
    }

    /// Makes all of it durable.
    /// - Throws: `strangePages` when some are missing.
    func finish() throws(EngineError) {
        guard descriptor >= 0 else { throw .noImport(file.storage) }
        guard pages == image.pages else {
            throw .strangePages(file.storage, detail: "\(pages) pages are there, of \(image.pages)")
        }
        guard fsync(descriptor) == 0 else { throw file.syncFailed(file.path, code: errno) }
        // Before SQLite opens the file: whoever closes a descriptor of it loses SQLite's locks.
        closeFile()
    }

    /// Gives up what has come.
    func drop() throws(EngineError) {
        closeFile()
        try file.unlinkAll()
    }

    private func closeFile() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private func write(_ bytes: [UInt8], at offset: UInt64) throws(EngineError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                pwrite(descriptor, buffer.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset) + off_t(done))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(errno) }
            done += count
        }
    }

    private func failure(_ number: Int32) -> EngineError {
        switch number {
        case ENOSPC, EDQUOT: .diskFull(file.storage)
        default: .inputOutput(file.storage, detail: "\(file.path): \(String(cString: strerror(number)))")
        }
    }
}
