import DurableLog
import Model
import Testing

// Every way in which a disk gives back other bytes than were written, tried exhaustively on a small log. What must hold each time:
// what is read is a prefix of what was written; and where the verdict is not damage, nothing is missing but the last write, the one
// that may never have been acknowledged.

@Suite("A log that comes back changed is whole, torn, or damaged, and never silently shorter (C2)") struct LogFaultTests {
    /// Two segments; the last write is three records. Payloads of zeros among them, which look like a write that did not arrive.
    private static func log() -> SampleLog {
        var log = SampleLog()
        log.append([SampleLog.text("one")])
        log.append([[UInt8](repeating: 0, count: 600)])
        log.roll()
        log.append([SampleLog.text("three")])
        log.append([[], SampleLog.text("five")])
        log.append([[UInt8](repeating: 0, count: 150), SampleLog.text("seven"), [UInt8](repeating: 0, count: 200)])
        return log
    }

    /// Where each write stands: its segment and its bytes.
    private static let writes: [(segment: Int, bytes: Range<Int>, records: Int)] = {
        var writes: [(segment: Int, bytes: Range<Int>, records: Int)] = []
        var ends = [SegmentHeader.bytes, SegmentHeader.bytes]
        for (segment, payloads) in [(0, [3]), (0, [600]), (1, [5]), (1, [0, 4]), (1, [150, 5, 200])] {
            let start = ends[segment]
            ends[segment] += payloads.reduce(0) { $0 + RecordFormat.encodedBytes(payload: $1) }
            writes.append((segment, start..<ends[segment], payloads.count))
        }
        return writes
    }()

    private static let beforeLastWrite = writes.dropLast().reduce(0) { $0 + $1.records }

    /// Reads the log back and checks what must always hold.
    @discardableResult
    private func judge(_ segments: [[UInt8]], _ written: [LogRecord], _ what: @autoclosure () -> String) -> SegmentVerdict {
        let back = SampleLog.recover(segments)
        #expect(back.records == Array(written.prefix(back.records.count)), "\(what()): other records than were written")
        if back.verdict.damage == nil {
            #expect(back.records.count >= Self.beforeLastWrite, "\(what()): silently shorter, \(back.records.count) records")
        }
        return back.verdict
    }

    @Test("the log under test is what the cases below take it for")
    func sample() {
        let log = Self.log()
        #expect(Self.writes.last?.bytes.upperBound == log.tail.end)
        #expect(judge(log.segments, log.records, "whole") == .clean)
    }

    @Test("a last segment cut inside its records, or right behind them, is damage; cut in its empty space it is whole")
    func truncations() {
        let log = Self.log()
        for length in 0..<log.segments[1].count {
            let verdict = judge([log.segments[0], Array(log.segments[1][..<length])], log.records, "cut at \(length)")
            if length >= log.tail.end + RecordFormat.headerBytes {
                #expect(verdict == .clean, "cut at \(length)")
            } else {
                #expect(verdict.damage != nil, "cut at \(length): \(verdict)")
            }
        }
    }

    @Test("an earlier segment that was cut is damage exactly when a record went with its end")
    func truncationsInside() {
        let log = Self.log()
        let end = Self.writes[1].bytes.upperBound
        for length in 0..<log.segments[0].count {
            let verdict = judge([Array(log.segments[0][..<length]), log.segments[1]], log.records, "cut at \(length)")
            #expect((verdict == .clean) == (length >= end), "cut at \(length): \(verdict)")
        }
    }

    @Test("a file that is longer than its segment is damage")
    func tooLong() {
        let log = Self.log()
        let longer = log.segments[1] + [0, 0, 0, 0, 0, 0, 0, 0]
        #expect(judge([log.segments[0], longer], log.records, "longer").damage == .wrongLength(1_032, reserved: 1_024))
    }

    @Test("every single flipped bit is damage, but in the empty space of the last segment, where it costs no record")
    func bitFlips() {
        let log = Self.log()
        for segment in 0...1 {
            for index in log.segments[segment].indices {
                for bit in 0..<8 {
                    var segments = log.segments
                    segments[segment][index] ^= 1 << UInt8(bit)
                    let verdict = judge(segments, log.records, "segment \(segment) byte \(index) bit \(bit)")
                    if segment == 1, index >= log.tail.end {
                        #expect(SampleLog.recover(segments).records.count == log.records.count)
                        #expect(verdict != .clean)
                    } else {
                        #expect(verdict.damage != nil, "segment \(segment) byte \(index) bit \(bit): \(verdict)")
                    }
                }
            }
        }
    }

    @Test("a write that the disk never did is damage as soon as another one followed it")
    func lostWrites() {
        let log = Self.log()
        for (number, write) in Self.writes.enumerated() {
            var segments = log.segments
            for index in write.bytes { segments[write.segment][index] = 0 }
            let verdict = judge(segments, log.records, "write \(number) lost")
            #expect((verdict.damage == nil) == (number == Self.writes.count - 1), "write \(number) lost: \(verdict)")
        }
    }

    @Test("a torn tail's cut that stopped anywhere can be done again")
    func interruptedCuts() {
        let log = Self.log()
        let last = Self.writes[4].bytes
        var tails = 0
        for end in stride(from: last.lowerBound + 8, to: last.upperBound, by: 8) {
            var segments = log.segments
            for index in end..<last.upperBound { segments[1][index] = 0 }
            // Where nothing but zeros is missing, nothing is.
            guard let torn = judge(segments, log.records, "torn at \(end)").torn else { continue }
            tails += 1
            for cut in torn.cuts {
                for stop in stride(from: cut.lowerBound, to: cut.upperBound, by: 8) {
                    var part = segments
                    for index in cut.lowerBound..<stop { part[1][index] = 0 }
                    let verdict = judge(part, log.records, "torn at \(end), cut up to \(stop)")
                    #expect(verdict.damage == nil, "torn at \(end), cut up to \(stop): \(verdict)")
                }
                for index in cut { segments[1][index] = 0 }
            }
            #expect(judge(segments, log.records, "torn at \(end) and cut") == .clean)
        }
        #expect(tails > 3)
    }

    @Test("every sector that did not arrive is a torn tail in the last write and damage in every other")
    func lostSectors() {
        let log = Self.log()
        for segment in 0...1 {
            for sector in 0..<2 {
                var segments = log.segments
                let bytes = max(sector * 512, SegmentHeader.bytes)..<(sector + 1) * 512
                for index in bytes { segments[segment][index] = 0 }
                let verdict = judge(segments, log.records, "segment \(segment) sector \(sector) lost")
                let isInLastWrite = segment == 1 && Self.writes[4].bytes.lowerBound <= bytes.lowerBound
                #expect((verdict.torn != nil) == isInLastWrite, "segment \(segment) sector \(sector): \(verdict)")
                #expect((verdict.damage != nil) == !isInLastWrite, "segment \(segment) sector \(sector): \(verdict)")
            }
        }
    }

    @Test("a write that landed in another place than its own never costs another record silently")
    func misdirectedWrites() {
        let log = Self.log()
        for (number, write) in Self.writes.enumerated() {
            let bytes = Array(log.segments[write.segment][write.bytes])
            for segment in 0...1 {
                for place in stride(from: 0, through: log.segments[segment].count - bytes.count, by: 8)
                where segment != write.segment || place != write.bytes.lowerBound {
                    var segments = log.segments
                    // Nothing arrived where it belonged, and it took the place of what stood where it landed.
                    for index in write.bytes { segments[write.segment][index] = 0 }
                    segments[segment].replaceSubrange(place..<place + bytes.count, with: bytes)
                    judge(segments, log.records, "write \(number) at byte \(place) of segment \(segment)")
                    // It arrived where it belonged, and once more elsewhere.
                    var twice = log.segments
                    twice[segment].replaceSubrange(place..<place + bytes.count, with: bytes)
                    judge(twice, log.records, "write \(number) once more at byte \(place) of segment \(segment)")
                }
            }
        }
    }

    @Test("a last write of zeros with a flipped bit is damage and no torn tail: the disk shows no zeros where it arrived")
    func zerosOfTheOwner() {
        var log = SampleLog()
        log.append([[UInt8](repeating: 0, count: 800)])
        for index in SegmentHeader.bytes..<log.tail.end {
            var segments = log.segments
            segments[0][index] ^= 1
            #expect(SampleLog.recover(segments).verdict.damage == .unreadableLast, "byte \(index)")
        }
    }
}
