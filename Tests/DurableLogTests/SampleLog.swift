import DurableLog
import Model

/// A log of a few small segments, as bytes, and what was put into it.
struct SampleLog {
    static let store = StoreID(0x5EED)
    static let segmentBytes = 1_024
    var segments: [[UInt8]] = []
    var tail: SegmentTail
    var records: [LogRecord] = []

    init() {
        tail = SegmentTail(of: SegmentHeader(firstOf: Self.store, capacity: Self.segmentBytes))
        segments = [Self.blank(tail.header)]
    }

    static func blank(_ header: SegmentHeader) -> [UInt8] {
        header.encoded + [UInt8](repeating: 0, count: segmentBytes - SegmentHeader.bytes)
    }

    /// Writes one batch into the last segment.
    mutating func append(_ payloads: [[UInt8]], kind: UInt8 = 7) {
        for (offset, payload) in payloads.enumerated() {
            records.append(LogRecord(number: tail.next.advanced(by: offset), kind: kind, payload: payload))
        }
        let start = tail.end
        var buffer: [UInt8] = []
        tail.encode(batch: payloads.map { NewRecord(kind: kind, payload: $0) }, into: &buffer)
        segments[segments.count - 1].replaceSubrange(start..<start + buffer.count, with: buffer)
    }

    mutating func roll() {
        tail = SegmentTail(of: tail.successor(capacity: Self.segmentBytes))
        segments.append(Self.blank(tail.header))
    }

    static func recover(_ segments: [[UInt8]], numbers: [UInt64]? = nil) -> (records: [LogRecord], verdict: SegmentVerdict) {
        var recovery = LogRecovery(store: store)
        var records: [LogRecord] = []
        for (index, bytes) in segments.enumerated() {
            let verdict = bytes.withUnsafeBytes {
                recovery.take(
                    segment: numbers?[index] ?? UInt64(index + 1), bytes: $0, isLast: index == segments.count - 1
                ) { record, _ in records.append(record) }
            }
            if verdict != .clean { return (records, verdict) }
        }
        return (records, .clean)
    }

    /// Two segments, batches of several sizes, an empty payload among them.
    static func sample() -> SampleLog {
        var log = SampleLog()
        log.append([text("one")])
        log.append([text("two"), [], text("a somewhat longer payload for the third record")])
        log.roll()
        log.append([text("four")])
        log.append([text("five"), text("six, which ends the log")])
        return log
    }

    static func text(_ text: String) -> [UInt8] { Array(text.utf8) }
}

extension SegmentVerdict {
    var damage: LogDamage.Cause? {
        if case .damaged(let damage) = self { damage.cause } else { nil }
    }
    var torn: TornTail? {
        if case .torn(let tail) = self { tail } else { nil }
    }
}
