// A log's folder as a start finds it: read whole, a torn tail cut, ready to be written on.

import DurableLog
import Model

struct RecoveredLog: Sendable {
    let index: SegmentIndex
    let torn: TornTail?
    private let files: SegmentFiles
    private let tail: SegmentTail

    /// - Throws: `.damaged`, after `replay` has been given what stands before the damage; `.otherFormat`, `.unreadable`.
    init(files: SegmentFiles, store: StoreID, replay: (LogRecord) throws -> Void) throws {
        self.files = files
        let segments = try Self.segments(of: files, store: store)
        var recovery = LogRecovery(store: store)
        var index = SegmentIndex()
        var torn: TornTail?
        for segment in segments {
            let path = files.path(of: segment)
            let verdict = try File.contents(of: path).withUnsafeBytes { bytes in
                try recovery.take(segment: segment, bytes: bytes, isLast: segment == segments.last) { record, place in
                    if place.next == place.header.firstRecord { index.open(place.header) }
                    index.note(place)
                    try replay(record)
                }
            }
            switch verdict {
            case .clean: break
            case .torn(let tail): torn = tail
            case .damaged(let damage): throw StorageError(damage, in: path)
            }
            if let tail = recovery.tail {
                if tail == SegmentTail(of: tail.header) { index.open(tail.header) }
                index.advance(to: tail)
            }
        }
        guard let tail = recovery.tail else { throw StorageError.noSuchRecord(.first) }
        self.index = index
        self.torn = torn
        self.tail = tail
        // Behind the replay: what begins with segment 1 has proved to be the whole log.
        if try LogFloor.read(besides: files.folder) == nil {
            try LogFloor(segment: 1).write(besides: files.folder, flush: files.flush)
        }
    }

    /// The segments that make up the log, none missing in front; a new log's first one is made.
    private static func segments(of files: SegmentFiles, store: StoreID) throws(StorageError) -> [UInt64] {
        try files.removeUnfinished()
        let floor = try LogFloor.read(besides: files.folder)
        let oldest = floor?.segment ?? 1
        var segments = try files.segments()
        if segments.isEmpty, floor == nil {
            _ = try files.make(SegmentHeader(firstOf: store, capacity: files.capacity(for: 0)))
            return [1]
        }
        // A drop that was interrupted: the floor is raised before the segments go.
        for segment in segments where segment < oldest { try files.remove(segment) }
        segments.removeAll { $0 < oldest }
        guard segments.first == oldest else {
            let damage = LogDamage(segment: oldest, offset: 0, record: .first, cause: .missingSegment(oldest))
            throw .damaged(path: files.path(of: oldest), damage)
        }
        return segments
    }

    /// Cuts the torn tail and opens the last segment for writing.
    func writer() throws(StorageError) -> SegmentWriter {
        let file = try File(files.path(of: tail.header.segment), .readWrite)
        // Cut by somebody, though nothing was lost with it.
        if try file.size() < tail.header.capacity { try file.reserve(tail.header.capacity) }
        if let torn { try files.cut(torn, of: tail.header.segment, in: file) }
        // A process that died between a write and its sync left records that can be read and are not durable.
        try file.synchronizeData(files.flush)
        return SegmentWriter(files: files, file: file, tail: tail)
    }
}

extension File {
    static func contents(of path: String) throws(StorageError) -> [UInt8] {
        let file = try File(path, .read)
        return try file.read(0..<file.size())
    }
}
