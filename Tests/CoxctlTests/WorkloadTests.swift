import Client
import Foundation
import Model
import Testing
import LoadLedger

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

    @Test("each refusal ends with the exit code that scripts expect")
    func exitCodes() {
        func status(_ code: Int, _ name: String = "X") -> coxctl.ExitStatus {
            ExitStatus(.refused(Problem(status: code, body: .object(["code": .string(name)]))))
        }
        #expect(status(404) == .notFound)
        #expect(status(410, "PARTITION_RETIRED") == .notFound)
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

    @Test("no wait is for ever, and none is too long to be counted", arguments: [0, -1, 86_401, Int.max, Int.min])
    func waits(seconds: Int) throws {
        try Seconds.check(1, "--timeout")
        #expect(throws: (any Error).self) { try Seconds.check(seconds, "--timeout") }
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

    @Test("a cluster's status is one line, and one more for each finding")
    func glance() throws {
        let status = try JSONValue(
            Data(
                """
                {"name": "prod", "id": "6f1c0000aa", "health": "WARN", "findings": [{"code": "NODE_FAILED", "detail": "node n2 is failed"}],
                 "nodes": {"healthy": 2, "total": 3}, "zones": 3, "tables": 1, "operations_running": 0,
                 "partitions": {"total": 4, "under_replicated": 4, "without_primary": 0},
                 "raft": {"leader": "c2", "term": 7, "tolerance": 1}}
                """.utf8))
        #expect(
            ClusterStatus.glance(status) == [
                "CLUSTER prod (6f1c0000)  HEALTH WARN(1)  NODES 2/3 healthy  ZONES 3  TABLES 1  "
                    + "PARTITIONS 4, 4 under-replicated, 0 without primary  OPERATIONS 0  RAFT leader=c2 term=7 tolerance=1",
                "  WARN NODE_FAILED  node n2 is failed",
            ])
    }
}
