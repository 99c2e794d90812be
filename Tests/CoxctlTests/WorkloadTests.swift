import Client
import Model
import Testing

@testable import coxctl

@Suite struct WorkloadTests {
    @Test("zipfian ranks stay in range and the most popular has its share")
    func zipfian() {
        var random = SeededGenerator(seed: 3)
        let zipfian = Zipfian(items: 1_000)
        var counts = [Int](repeating: 0, count: 1_000)
        for _ in 0..<100_000 { counts[Int(zipfian.rank(&random))] += 1 }
        // 1 / zeta(1000, 0.99) = 0.1285…
        #expect((12_000...13_700).contains(counts[0]), "\(counts[0])")
        #expect((5_800...7_300).contains(counts[1]), "\(counts[1])")
        for _ in 0..<1_000 {
            let item = zipfian.item(&random)
            #expect(item < 1_000)
        }
        let only = Zipfian(items: 1).rank(&random)
        #expect(only == 0)
    }

    @Test("quantiles are those of the values, within a bucket's width")
    func histogram() {
        var histogram = LatencyHistogram()
        for value in 1...10_000 as ClosedRange<Int64> { histogram.record(microseconds: value) }
        for (share, exact) in [(0.5, 5_000.0), (0.99, 9_900), (0.999, 9_990)] {
            let found = Double(histogram.quantile(share))
            #expect(found >= exact && found <= exact * 1.04, "p\(share): \(found)")
        }
        #expect(histogram.quantile(1) == 10_000)
        var both = LatencyHistogram()
        both.merge(histogram)
        both.record(microseconds: .max)
        both.record(microseconds: -5)
        #expect(both.count == 10_002)
        #expect(both.longest == .max)
    }

    private func position(_ epoch: UInt64, _ sequence: UInt64) -> Position {
        Position(epoch: Epoch(epoch), run: 1, sequence: sequence)
    }

    @Test("the newest acknowledged write in the partition's order must be there, whoever acknowledged first")
    func ledger() {
        var ledger = Ledger()
        ledger.acknowledge(1, value: "new", position: position(2, 7))
        ledger.acknowledge(1, value: "old", position: position(1, 9))
        #expect(ledger.judge(1, found: "new") == .kept)
        let lost = Ledger.Finding.lost(expected: .init(value: "new", position: position(2, 7)), found: "old")
        #expect(ledger.judge(1, found: "old") == lost)
        #expect(ledger.judge(1, found: nil) != .kept)
        #expect(ledger.judge(2, found: nil) == nil)
    }

    @Test("a write of unknown outcome may be there or not; any other value may not")
    func unknown() {
        var ledger = Ledger()
        ledger.acknowledge(1, value: "sure", position: position(1, 1))
        ledger.doubt(1, value: "perhaps")
        #expect(ledger.judge(1, found: "sure") == .kept)
        #expect(ledger.judge(1, found: "perhaps") == .unknownHappened)
        #expect(ledger.judge(1, found: "never") != .unknownHappened)
        #expect(ledger.acknowledgedCount == 1)
        #expect(ledger.unknownCount == 1)
    }

    @Test("each refusal ends with the exit code that scripts expect")
    func exitCodes() {
        func status(_ code: Int, _ name: String = "X") -> coxctl.ExitStatus {
            ExitStatus(.refused(Problem(status: code, body: .object(["code": .string(name)]))))
        }
        #expect(status(404) == .notFound)
        #expect(status(401) == .notAllowed)
        #expect(status(403) == .notAllowed)
        #expect(status(412) == .preconditionFailed)
        #expect(status(422) == .usage)
        #expect(status(503, "NO_LEADER") == .noLeader)
        #expect(status(500) == .failure)
        #expect(ExitStatus(.unreachable("x")) == .failure)
        #expect(ExitStatus.notFound.rawValue == 3)
        #expect(ExitStatus.waitTimedOut.rawValue == 7)
    }

    @Test("tables line up, and what is missing is a dash")
    func tables() {
        let table = TextTable(
            columns: [.init("NODE", "node_id"), .init("OPS", "metrics.ops")],
            rows: [
                .object(["node_id": .string("n1"), "metrics": .object(["ops": .number(12)])]),
                .object(["node_id": .string("node-22")]),
            ])
        #expect(table.text == "NODE     OPS\nn1       12\nnode-22  -")
    }
}
