// Where records stand, for reading back what is no longer in memory: a mark for every so many bytes of each segment.

import DurableLog

struct SegmentIndex: Sendable {
    private struct Segment: Sendable {
        let number: UInt64
        var marks: [SegmentTail]
    }

    /// Bytes between two marks: what a reader skips at most.
    private static let spacing = 64 * 1_024

    private var segments: [Segment] = []
    /// The end of what is durable.
    private(set) var end: SegmentTail?

    var first: RecordNumber { segments.first?.marks.first?.next ?? .first }
    var count: Int { segments.count }

    mutating func open(_ header: SegmentHeader) {
        let start = SegmentTail(of: header)
        segments.append(Segment(number: header.segment, marks: [start]))
        end = start
    }

    /// Notes that a record or batch starts at `place`.
    mutating func note(_ place: SegmentTail) {
        guard let last = segments.last?.marks.last, place.end - last.end >= Self.spacing else { return }
        segments[segments.count - 1].marks.append(place)
    }

    mutating func advance(to end: SegmentTail) { self.end = end }

    /// The last mark at or before a record.
    func mark(before number: RecordNumber) -> SegmentTail? {
        guard let segment = segments.last(where: { $0.marks.first.map { $0.next <= number } ?? false }) else { return nil }
        return segment.marks.last { $0.next <= number }
    }

    /// The first record of the newest segments, so many of them.
    func start(ofNewest segments: Int) -> RecordNumber {
        self.segments.suffix(segments).first?.marks.first?.next ?? .first
    }

    /// The segments that hold nothing from `number` on, oldest first; never the last one.
    func segmentsBelow(_ number: RecordNumber) -> [UInt64] {
        zip(segments, segments.dropFirst())
            .prefix { _, next in next.marks.first.map { $0.next <= number } ?? false }
            .map { $0.0.number }
    }

    mutating func remove(_ segment: UInt64) { segments.removeAll { $0.number == segment } }
}
