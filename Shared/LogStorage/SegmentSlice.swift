// A piece of a segment, read back for somebody who is behind.

import DurableLog

struct SegmentSlice {
    let files: SegmentFiles
    /// Where to start looking.
    let mark: SegmentTail
    /// Nothing behind it is read.
    let durable: SegmentTail

    func records(from number: RecordNumber, bytes: Int) throws(StorageError) -> [LogRecord] {
        let file = try File(files.path(of: mark.header.segment), .read)
        let isLast = mark.header.segment == durable.header.segment
        let available = try (isLast ? durable.end : file.size()) - mark.end
        var wanted = min(available, bytes + 128 * 1_024)
        while true {
            let chunk = try file.read(mark.end..<mark.end + wanted)
            let records = Self.parse(chunk, at: mark, from: number, bytes: bytes)
            if !records.isEmpty { return records }
            guard wanted < available else {
                throw .damaged(
                    path: file.path,
                    LogDamage(segment: mark.header.segment, offset: mark.end, record: number, cause: .unreadableInside))
            }
            // The record is longer than what was read.
            wanted = min(available, wanted * 4)
        }
    }

    private static func parse(_ chunk: [UInt8], at mark: SegmentTail, from number: RecordNumber, bytes: Int) -> [LogRecord] {
        chunk.withUnsafeBytes { chunk in
            var reader = SegmentReader(chunk, from: mark.rebased)
            var records: [LogRecord] = []
            var total = 0
            while let (record, _) = reader.next() {
                guard record.number >= number else { continue }
                total += record.payload.count
                if !records.isEmpty, total > bytes { break }
                records.append(record)
            }
            return records
        }
    }
}
