// A log's folder as a start finds it: read whole, a torn tail cut, ready to be written on.

import DurableLog
import Model

struct RecoveredLog: Sendable {
    let index: SegmentIndex
    let torn: TornTail?
    private let files: SegmentFiles
    private let tail: SegmentTail

    /// - Throws: `.damaged`, after `replay` has been given what stands before the damage.
    init(files: SegmentFiles, store: StoreID, replay: (LogRecord) throws -> Void) throws {
        self.files = files
        var segments = try files.segments()
        if segments.isEmpty {
            _ = try files.make(SegmentHeader(firstOf: store), room: 0)
            segments = [1]
        }
        var recovery = LogRecovery(store: store)
        var index = SegmentIndex()
        var torn: TornTail?
        for segment in segments {
            let verdict = try Self.read(files.path(of: segment)).withUnsafeBytes { bytes in
                try recovery.take(segment: segment, bytes: bytes, isLast: segment == segments.last) { record, place in
                    if place.next == place.header.firstRecord { index.open(place.header) }
                    index.note(place)
                    try replay(record)
                }
            }
            switch verdict {
            case .clean: break
            case .torn(let tail): torn = tail
            case .damaged(let damage): throw StorageError.damaged(damage)
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
    }

    private static func read(_ path: String) throws(StorageError) -> [UInt8] {
        let file = try File(path, .read)
        return try file.read(0..<file.size())
    }

    /// Cuts the torn tail and opens the last segment for writing.
    func writer() throws(StorageError) -> SegmentWriter {
        let file = try File(files.path(of: tail.header.segment), .readWrite)
        if let torn { try files.cut(torn, of: tail.header.segment, in: file) }
        // A process that died between a write and its sync left records that can be read and are not durable.
        try file.synchronizeData()
        return try SegmentWriter(files: files, file: file, tail: tail)
    }
}
