// The files of one log's folder: segments under their numbers, and what is being made beside them.
//
// A segment is reserved, given its header and synced under a temporary name, and only then renamed: whatever has a segment's name
// has a whole header and all of its space. A spare is reserved ahead, so that changing segments neither waits for the file system
// nor is the moment at which a full disk is noticed.

import Dispatch
import DurableLog

struct SegmentFiles: Sendable {
    let folder: String
    let segmentBytes: Int

    private var spare: String { folder + "/spare.tmp" }

    func path(of segment: UInt64) -> String {
        let digits = String(segment)
        return folder + "/segment-" + String(repeating: "0", count: 20 - digits.count) + digits
    }

    /// The numbers of the segments that are there, in order. Removes what an interrupted start left beside them.
    func segments() throws(StorageError) -> [UInt64] {
        var numbers: [UInt64] = []
        for name in try SystemCall.names(in: folder) {
            if name.hasSuffix(".tmp") {
                try SystemCall.remove(folder + "/" + name)
            } else if name.hasPrefix("segment-"), let number = UInt64(name.dropFirst("segment-".count)) {
                numbers.append(number)
            }
        }
        return numbers.sorted()
    }

    /// Makes a segment with room for `bytes` after its header.
    ///
    /// - Throws: `.noSpace` with nothing changed; any other error ends the log's life.
    func make(_ header: SegmentHeader, room bytes: Int) throws(StorageError) -> File {
        let capacity = max(segmentBytes, SegmentHeader.bytes + bytes)
        let beside = folder + "/next.tmp"
        if capacity == segmentBytes, SystemCall.exists(spare) {
            try SystemCall.rename(spare, to: beside)
        } else {
            try Self.reserve(beside, bytes: capacity)
        }
        do {
            let file = try File(beside, .readWrite)
            try file.write(header.encoded, at: 0)
            try file.synchronizeData()
        }
        try SystemCall.rename(beside, to: path(of: header.segment))
        try DurableFile.synchronizeFolder(folder)
        return try File(path(of: header.segment), .readWrite)
    }

    /// Reserves the spare on another thread. Should that fail, the next change of segment reports why.
    func prepareSpare() {
        let (path, bytes, folder) = (spare, segmentBytes, folder)
        DispatchQueue.global(qos: .utility).async {
            guard !SystemCall.exists(path), SystemCall.exists(folder) else { return }
            let making = folder + "/making-spare.tmp"
            do throws(StorageError) {
                try Self.reserve(making, bytes: bytes)
                try SystemCall.rename(making, to: path)
            } catch {
                return
            }
        }
    }

    private static func reserve(_ path: String, bytes: Int) throws(StorageError) {
        do {
            let file = try File(path, .create)
            try file.reserve(bytes)
        } catch {
            try? SystemCall.remove(path)
            throw error
        }
    }

    /// Removes a segment durably before the next one is removed, so that a crash leaves no gap.
    func remove(_ segment: UInt64) throws(StorageError) {
        try SystemCall.remove(path(of: segment))
        try DurableFile.synchronizeFolder(folder)
    }

    /// Keeps the bytes of a torn tail in a file of their own, then overwrites them with zeros.
    func cut(_ torn: TornTail, of segment: UInt64, in file: borrowing File) throws(StorageError) {
        let bytes = try file.read(torn.bytes)
        try DurableFile.replace(folder + "/torn-\(segment)-\(torn.record.value)", with: bytes)
        try file.write([UInt8](repeating: 0, count: torn.bytes.count), at: torn.bytes.lowerBound)
        try file.synchronizeData()
    }
}
