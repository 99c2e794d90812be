// The files of one log's folder: segments under their numbers, and what is being made beside them.
//
// A segment is reserved, given its header and synced under a temporary name, and only then renamed: whatever has a segment's name
// has a whole header and all of its space. A spare is reserved ahead, so that changing segments neither waits for the file system
// nor is the moment at which a full disk is noticed.

import DurableLog

struct SegmentFiles: Sendable {
    let folder: String
    let segmentBytes: Int
    let flush: Flush

    private var spare: String { folder + "/spare.tmp" }

    func path(of segment: UInt64) -> String { folder + "/segment-" + Self.digits(segment) }

    /// As many as the largest number has, so that names sort as numbers do.
    private static func digits(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 20 - digits.count) + digits
    }

    /// The numbers of the segments that are there, in order; changes nothing.
    func segments() throws(StorageError) -> [UInt64] {
        try SystemCall.names(in: folder)
            .compactMap { $0.hasPrefix("segment-") ? UInt64($0.dropFirst("segment-".count)) : nil }
            .sorted()
    }

    /// Removes what an interrupted start left beside the segments.
    func removeUnfinished() throws(StorageError) {
        for name in try SystemCall.names(in: folder) where name.hasSuffix(".tmp") { try SystemCall.remove(folder + "/" + name) }
    }

    /// The length of a segment that has room for `bytes` after its header.
    func capacity(for bytes: Int) -> Int { max(segmentBytes, SegmentHeader.bytes + bytes) }

    /// Makes a segment.
    ///
    /// - Throws: `.noSpace` with nothing changed; any other error ends the log's life.
    func make(_ header: SegmentHeader) throws(StorageError) -> File {
        let beside = folder + "/next.tmp"
        if header.capacity == segmentBytes, SystemCall.exists(spare) {
            try SystemCall.rename(spare, to: beside)
        } else {
            try reserve(beside, bytes: header.capacity)
        }
        do {
            let file = try File(beside, .readWrite)
            try file.write(header.encoded, at: 0)
            try file.synchronizeData(flush)
        }
        try SystemCall.rename(beside, to: path(of: header.segment))
        try DurableFile.synchronizeFolder(folder)
        return try File(path(of: header.segment), .readWrite)
    }

    /// Reserves the spare if there is none. By one caller at a time, who may be another than the writer.
    ///
    /// - Throws: `.noSpace` with nothing changed.
    func makeSpare() throws(StorageError) {
        guard !SystemCall.exists(spare) else { return }
        let making = folder + "/making-spare.tmp"
        try reserve(making, bytes: segmentBytes)
        try SystemCall.rename(making, to: spare)
    }

    private func reserve(_ path: String, bytes: Int) throws(StorageError) {
        do {
            let file = try File(path, .create)
            try file.reserve(bytes)
            try file.synchronizeData(flush)
        } catch {
            if case .noSpace = error { try SystemCall.remove(path) }
            throw error
        }
    }

    /// Removes a segment durably before the next one is removed, so that a crash leaves no gap.
    func remove(_ segment: UInt64) throws(StorageError) {
        try SystemCall.remove(path(of: segment))
        try DurableFile.synchronizeFolder(folder)
    }
}

// MARK: - Torn tails

extension SegmentFiles {
    /// What is kept of torn tails, for whoever wants to know what was lost: so many files, the newest, and so much of each.
    private static let tornFiles = 8
    private static let tornBytes = 1 << 20

    /// Keeps the bytes of a torn tail in a file of their own, then overwrites them with zeros.
    func cut(_ torn: TornTail, of segment: UInt64, in file: borrowing File) throws(StorageError) {
        let name = "torn-\(Self.digits(segment))-\(Self.digits(torn.record.value))"
        do throws(StorageError) {
            try keep(try file.read(torn.bytes.prefix(Self.tornBytes)), as: name)
        } catch {
            // They were never acknowledged: a full disk is no reason not to start.
            guard case .noSpace = error else { throw error }
        }
        for range in torn.cuts {
            try file.write([UInt8](repeating: 0, count: range.count), at: range.lowerBound)
            try file.synchronizeData(flush)
        }
    }

    private func keep(_ bytes: [UInt8], as name: String) throws(StorageError) {
        let kept = try SystemCall.names(in: folder).filter { $0.hasPrefix("torn-") && $0 != name }
        for old in kept.dropLast(Self.tornFiles - 1) { try SystemCall.remove(folder + "/" + old) }
        try DurableFile.replace(folder + "/" + name, with: bytes)
    }
}
