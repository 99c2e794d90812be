import DurableLog
import Model
import Testing

@Suite("What is read back from a log, and what is refused (C2)") struct LogRecoveryTests {
    @Test("every record comes back, in order, across segments")
    func roundTrip() {
        let log = SampleLog.sample()
        let back = SampleLog.recover(log.segments)
        #expect(back.verdict == .clean)
        #expect(back.records == log.records)
    }

    @Test("a log whose last write stopped anywhere, leaving zeros, gives a prefix, torn or clean")
    func interruptedWrites() {
        let log = SampleLog.sample()
        for length in stride(from: SegmentHeader.bytes, to: log.tail.end, by: 8) {
            var segments = log.segments
            for index in length..<segments[1].count { segments[1][index] = 0 }
            let back = SampleLog.recover(segments)
            #expect(back.records == Array(log.records.prefix(back.records.count)))
            #expect(back.verdict.damage == nil, "zeros from \(length): \(back.verdict)")
        }
    }

    @Test("a header that is cut short is damage: a segment has its whole header before it has its name")
    func shortHeader() {
        let log = SampleLog.sample()
        for length in 0..<SegmentHeader.bytes {
            let back = SampleLog.recover([log.segments[0], Array(log.segments[1][..<length])])
            #expect(back.verdict.damage == .unreadableHeader)
        }
    }

    @Test("a bad record with good ones of a later batch behind it is a hole, and names them")
    func hole() {
        var log = SampleLog()
        log.append([SampleLog.text("one")])
        let second = log.tail.end
        log.append([SampleLog.text("two")])
        let third = log.tail.end
        log.append([SampleLog.text("three")])
        for index in second..<third { log.segments[0][index] = 0 }
        let back = SampleLog.recover(log.segments)
        #expect(back.records.map(\.number) == [RecordNumber(1)])
        #expect(back.verdict.damage == .holeBefore(RecordNumber(3)))
    }

    @Test("a sector that is missing in the middle of the last batch is a torn tail, although good records follow it")
    func tornInTheMiddleOfABatch() {
        var log = SampleLog()
        log.append([SampleLog.text("kept")])
        let start = log.tail.end
        log.append([[UInt8](repeating: 1, count: 300), [UInt8](repeating: 2, count: 100), [UInt8](repeating: 3, count: 100)])
        for index in start..<512 { log.segments[0][index] = 0 }
        let back = SampleLog.recover(log.segments)
        #expect(back.records.count == 1)
        #expect(back.verdict.torn?.bytes == start..<log.tail.end)
        #expect(back.verdict.torn?.record == RecordNumber(2))
    }

    @Test("a missing sector in the middle is damage once a later batch was written")
    func missingSectorBeforeLaterBatch() {
        var log = SampleLog()
        log.append([SampleLog.text("kept")])
        let start = log.tail.end
        log.append([[UInt8](repeating: 1, count: 500)])
        log.append([SampleLog.text("later")])
        for index in start..<512 { log.segments[0][index] = 0 }
        #expect(SampleLog.recover(log.segments).verdict.damage == .holeBefore(RecordNumber(3)))
    }

    @Test("after a torn tail is zeroed the log goes on, and the cut bytes never come back")
    func continueAfterCut() throws {
        var log = SampleLog()
        log.append([SampleLog.text("kept")])
        let kept = log
        log.append([SampleLog.text("cut")])
        for index in log.tail.end - 8..<log.tail.end { log.segments[0][index] = 0 }
        let torn = try #require(SampleLog.recover(log.segments).verdict.torn)
        for index in torn.bytes { log.segments[0][index] = 0 }
        log.tail = kept.tail
        log.records = kept.records
        log.append([SampleLog.text("goes on")])
        let back = SampleLog.recover(log.segments)
        #expect(back.verdict == .clean)
        #expect(back.records == log.records)
    }

    @Test("a torn tail is damage in any segment but the last")
    func tornInside() {
        let log = SampleLog.sample()
        var segments = log.segments
        for index in 200..<segments[0].count { segments[0][index] = 0 }
        #expect(SampleLog.recover(segments).verdict.damage != nil)
    }

    @Test("a segment that is missing in the middle is damage; an absent prefix is not")
    func missingSegments() {
        var log = SampleLog.sample()
        log.roll()
        log.append([SampleLog.text("seven")])
        let gap = SampleLog.recover([log.segments[0], log.segments[2]], numbers: [1, 3])
        #expect(gap.verdict.damage == .missingSegment(2))
        let dropped = SampleLog.recover(Array(log.segments[1...]), numbers: [2, 3])
        #expect(dropped.verdict == .clean)
        #expect(dropped.records == Array(log.records[4...]))
    }

    @Test("a segment that lost its end does not continue into the next one")
    func brokenChain() {
        var log = SampleLog()
        log.append([SampleLog.text("one")])
        let end = log.tail.end
        log.append([SampleLog.text("two")])
        log.roll()
        log.append([SampleLog.text("three")])
        for index in end..<log.segments[0].count { log.segments[0][index] = 0 }
        let back = SampleLog.recover(log.segments)
        #expect(back.records.map(\.number.value) == [1])
        #expect(back.verdict.damage == .brokenChain)
    }

    @Test("a segment of another data folder, or under another's name, is refused")
    func strangers() {
        let log = SampleLog.sample()
        var recovery = LogRecovery(store: StoreID(1))
        let verdict = log.segments[0].withUnsafeBytes { recovery.take(segment: 1, bytes: $0, isLast: true) { _, _ in } }
        #expect(verdict.damage == .wrongStore(SampleLog.store))
        #expect(SampleLog.recover([log.segments[0]], numbers: [5]).verdict.damage == .wrongSegment(1))
    }

    @Test("a record copied from another segment is no record here")
    func foreignRecord() {
        var log = SampleLog.sample()
        let first = SegmentHeader.bytes
        log.segments[1].replaceSubrange(first..<first + 32, with: log.segments[0][first..<first + 32])
        #expect(SampleLog.recover(log.segments).verdict.damage == .holeBefore(RecordNumber(6)))
    }

    @Test("a record that continues another one is no record here, though its number and its place are right")
    func chained() {
        var (log, other) = (SampleLog(), SampleLog())
        log.append([SampleLog.text("this")])
        other.append([SampleLog.text("that")])
        let place = other.tail.end
        for text in ["next", "last"] { log.append([SampleLog.text(text)]) }
        other.append([SampleLog.text("then")])
        let last = other.tail.end
        let damaged = other.segments[0][..<place] + log.segments[0][place...]
        #expect(SampleLog.recover([Array(damaged)]).records.map(\.payload) == [SampleLog.text("that")])
        #expect(SampleLog.recover([Array(damaged)]).verdict.damage == .holeBefore(RecordNumber(2)))
        let second = other.segments[0][..<last] + log.segments[0][last...]
        #expect(SampleLog.recover([Array(second)]).verdict.damage == .holeBefore(RecordNumber(3)))
    }

    @Test("random bytes never trap, and are never served as records")
    func garbage() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            let bare = SampleLog.recover([bytes])
            #expect(bare.records.isEmpty)
            let behindHeader = SampleLog.recover([SegmentHeader(firstOf: SampleLog.store, capacity: 4_096).encoded + bytes])
            #expect(behindHeader.records.isEmpty)
        }
    }

    @Test("another version's segment is named as such, whatever its records look like")
    func otherVersion() {
        let log = SampleLog.sample()
        var first = log.segments[0]
        first[8] = 1
        let sum = CRC32C.of(Array(first[..<60]))
        first.replaceSubrange(60..<64, with: withUnsafeBytes(of: sum.littleEndian) { Array($0) })
        #expect(SampleLog.recover([first, log.segments[1]]).verdict.damage == .unknownVersion(1))
    }

    @Test("the format of version 2 is what it was")
    func golden() {
        var log = SampleLog()
        log.append([SampleLog.text("hello")], kind: 3)
        let segment: [UInt8] = [
            67, 88, 83, 76, 79, 71, 13, 10, 2, 0, 0, 0, 237, 94, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
        ]
        #expect(Array(log.segments[0][..<28]) == segment)
        let header: [UInt8] = [5, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 27, 237, 20, 88, 53, 190, 103, 92]
        let body: [UInt8] = [147, 6, 45, 80, 107, 0, 0, 0]
        let trailer: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 173, 221, 105, 84, 231, 60, 121, 191]
        #expect(Array(log.segments[0][64..<log.tail.end]) == header + body + trailer)
    }
}
