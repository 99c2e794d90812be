import Model
import Testing

@testable import AgentServer

@Suite struct StatusMetersTests {
    private let partition = PartitionID(7)

    @Test("the lag is how long the oldest entry has waited for the engine, and nothing once it is applied")
    func lag() {
        let meter = LagMeter()
        let start = LogicalInstant.origin
        meter.note([(partition, last: 5, applied: 5)], at: start)
        #expect(meter.lag(of: partition, at: start + .seconds(1)) == .zero)
        meter.note([(partition, last: 8, applied: 5)], at: start + .seconds(1))
        meter.note([(partition, last: 9, applied: 6)], at: start + .seconds(2))
        #expect(meter.lag(of: partition, at: start + .seconds(2)) == .seconds(1))
        // The first mark is applied, the second is not.
        meter.note([(partition, last: 9, applied: 8)], at: start + .seconds(3))
        #expect(meter.lag(of: partition, at: start + .seconds(3)) == .seconds(1))
        meter.note([(partition, last: 9, applied: 9)], at: start + .seconds(4))
        #expect(meter.lag(of: partition, at: start + .seconds(4)) == .zero)
    }

    @Test("a lag asked for with an older look at the clock than the last reading's is nothing, not less")
    func lagOfThePast() {
        let meter = LagMeter()
        meter.note([(partition, last: 6, applied: 5)], at: .origin + .seconds(2))
        #expect(meter.lag(of: partition, at: .origin + .seconds(1)) == .zero)
    }

    @Test("where requests crowd is told by reads and writes alike, and forgotten of a partition that falls quiet")
    func crowding() throws {
        let start = LogicalInstant.origin
        let meter = LoadMeter(at: start)
        func key(_ number: Int) -> Key { Key([UInt8(number)]) }
        for number in 0..<40 {
            meter.countRead(partition, at: key(number), start)
            meter.countWrite(partition, at: key(100 + number), start)
        }
        let rates = meter.rates(at: start + .seconds(2))
        #expect(rates == [partition: LoadMeter.Rates(reads: 20, writes: 20)])
        #expect(meter.middleKey(of: .all, in: partition, at: start + .seconds(2)) == key(100))
        #expect(meter.middleKey(of: .all, in: PartitionID(8), at: start + .seconds(2)) == nil)
        _ = meter.rates(at: start + .seconds(4))
        #expect(meter.middleKey(of: .all, in: partition, at: start + .seconds(4)) == nil)
    }

    @Test("an operation's report has the bytes copied, their rate, and how long its fence refused writes")
    func operation() throws {
        let node = try NodeID("n1")
        let id = OperationID(30)
        let start = LogicalInstant.origin
        var meter = OperationMeter()
        var progress = CopyProgress(operation: id)
        meter.copied(progress, at: start)
        progress.add(raw: 4_000, wire: 1_000)
        meter.copied(progress, at: start + .seconds(2))
        meter.fenced(partition, for: id, at: start + .seconds(3))
        meter.fenced(partition, for: nil, at: start + .seconds(3) + .milliseconds(12))
        let operation = OperationDescriptor(
            id: id, kind: .move(partition: partition, source: node, target: try NodeID("n2")), step: .copy, epoch: Epoch(1),
            createdBy: try Principal("operator/a"), reason: "", createdAt: WallTime(milliseconds: 0))
        let topology = Topology(revision: Revision(history: 1, index: 40), changes: [.operation(operation)])
        let reports = meter.reports(in: topology, on: node, sizes: [partition: 9_000], at: start + .seconds(4))
        let report = try #require(reports.first)
        #expect(report.bytes == 4_000 && report.wireBytes == 1_000 && report.totalBytes == 9_000)
        #expect(report.bytesPerSecond == 1_000)
        #expect(report.writePause == .milliseconds(12))
        #expect(report.stage == "move: copy")
        // Over, and shown a little longer.
        let empty = Topology(revision: Revision(history: 1, index: 41))
        progress.isDone = true
        meter.copied(progress, at: start + .seconds(5))
        #expect(meter.reports(in: empty, on: node, sizes: [:], at: start + .seconds(20)).count == 1)
        #expect(meter.reports(in: empty, on: node, sizes: [:], at: start + .seconds(40)).isEmpty)
    }

    @Test("writers of two partitions that one operation fences wait from the first fence to the end of the last")
    func mergeFencesTwo() throws {
        let id = OperationID(30)
        let start = LogicalInstant.origin
        var meter = OperationMeter()
        let (left, right) = (PartitionID(1), PartitionID(2))
        meter.fenced(left, for: id, at: start)
        meter.fenced(right, for: id, at: start + .milliseconds(1))
        meter.fenced(left, for: nil, at: start + .milliseconds(9))
        meter.fenced(right, for: nil, at: start + .milliseconds(10))
        let topology = Topology(revision: Revision(history: 1, index: 40))
        let reports = meter.reports(in: topology, on: try NodeID("n1"), sizes: [:], at: start + .seconds(1))
        #expect(reports.map(\.writePause) == [.milliseconds(10)])
    }
}
