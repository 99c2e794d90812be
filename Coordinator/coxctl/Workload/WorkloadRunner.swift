// Drives requests at a table and keeps the ledger.

import Client
import Model
import LoadLedger

struct WorkloadPlan: Sendable {
    var kind = WorkloadKind.a
    var table: String
    var keyColumn: String
    var valueColumn: String
    var records: UInt64
    var seconds: Int
    var clients: Int
    /// Requests per second of all clients together; nil: as fast as they are answered.
    var rate: Int?
    var valueBytes: Int
    /// Makes values of this run unlike those of any other.
    var runID: String

    func key(_ item: UInt64) -> String {
        let digits = String(item)
        return "user" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }

    func keyText(_ item: UInt64) -> String { "[\"\(key(item))\"]" }

    var subject: LedgerSubject { LedgerSubject(table: table, keyColumn: keyColumn, valueColumn: valueColumn) }
}

struct WorkloadReport: Sendable {
    var reads = LatencyHistogram()
    var writes = LatencyHistogram()
    var refused = 0
    var failedReads = 0
    var seconds = 0.0

    mutating func merge(_ other: WorkloadReport) {
        reads.merge(other.reads)
        writes.merge(other.writes)
        refused += other.refused
        failedReads += other.failedReads
    }
}

struct WorkloadRunner: Sendable {
    let plan: WorkloadPlan
    let client: CoxswainClient
    let book: LedgerBook

    /// Writes every record once, so that reads find something.
    func load() async throws {
        _ = try await workers { worker in
            var report = WorkloadReport()
            var item = UInt64(worker)
            while item < plan.records {
                try await write(item, value: value(worker, item), into: &report)
                item += UInt64(plan.clients)
            }
            return report
        }
    }

    func run() async throws -> WorkloadReport {
        let zipfian = Zipfian(items: plan.records)
        let start = ContinuousClock.now
        let end = start + .seconds(plan.seconds)
        let interval = plan.rate.map { Duration.microseconds(Int64(plan.clients) * 1_000_000 / Int64(max(1, $0))) }
        var report = try await workers { worker in
            var random = SystemRandomNumberGenerator()
            var report = WorkloadReport()
            var number: UInt64 = 0
            var due = start
            while ContinuousClock.now < end {
                if let interval {
                    // Due times do not wait for slow answers, so a pause shows in the latencies.
                    due += interval
                    if due > ContinuousClock.now { try await Task.sleep(until: due, clock: .continuous) }
                }
                let item = zipfian.item(&random)
                let since = interval == nil ? nil : due
                switch plan.kind.request(&random) {
                case .read: await read(item, since: since, into: &report)
                case .scan: await scan(item, since: since, into: &report)
                case .update: try await write(item, value: value(worker, number), since: since, into: &report)
                case .insert:
                    let fresh = plan.records + number * UInt64(plan.clients) + UInt64(worker)
                    try await write(fresh, value: value(worker, number), since: since, into: &report)
                }
                number += 1
            }
            return report
        }
        report.seconds = Self.seconds(ContinuousClock.now - start)
        return report
    }

    // MARK: - One request

    private func value(_ worker: Int, _ number: UInt64) -> String {
        let name = "\(plan.runID)-\(worker)-\(number)-"
        return name + String(repeating: "x", count: max(0, plan.valueBytes - name.utf8.count))
    }

    private func write(
        _ item: UInt64, value: String, since: ContinuousClock.Instant? = nil, into report: inout WorkloadReport
    ) async throws {
        let start = since ?? ContinuousClock.now
        let key = plan.key(item)
        let row = plan.subject.row(key, value)
        let once = CoxswainClient.onceKey()
        try book.note(.sent(key: key, value: value, once: once))
        let receipt: CoxswainClient.Receipt
        do throws(ClientError) {
            receipt = try await Ledger.asking { () async throws(ClientError) in
                try await client.put(row, key: plan.keyText(item), in: plan.table, once: once)
            }
        } catch {
            switch error {
            case .outcomeUnknown, .unexpectedAnswer: return
            case .unreachable: break
            case .refused(let problem):
                guard problem.isRetryable || problem.status == 421 else { throw error }
            case .invalid: throw error
            }
            report.refused += 1
            try book.note(.refused(key: key, value: value))
            return
        }
        report.writes.record(microseconds: Self.microseconds(ContinuousClock.now - start))
        try book.note(.acknowledged(key: key, value: value, at: receipt))
    }

    private func read(_ item: UInt64, since: ContinuousClock.Instant?, into report: inout WorkloadReport) async {
        let start = since ?? ContinuousClock.now
        do throws(ClientError) {
            _ = try await client.get(key: plan.keyText(item), in: plan.table)
            report.reads.record(microseconds: Self.microseconds(ContinuousClock.now - start))
        } catch {
            report.failedReads += 1
        }
    }

    private func scan(_ item: UInt64, since: ContinuousClock.Instant?, into report: inout WorkloadReport) async {
        let start = since ?? ContinuousClock.now
        do throws(ClientError) {
            _ = try await client.scan(plan.table, from: plan.keyText(item), to: nil, limit: 50)
            report.reads.record(microseconds: Self.microseconds(ContinuousClock.now - start))
        } catch {
            report.failedReads += 1
        }
    }

    private func workers(_ work: @escaping @Sendable (Int) async throws -> WorkloadReport) async throws -> WorkloadReport {
        try await withThrowingTaskGroup(of: WorkloadReport.self) { group in
            for worker in 0..<plan.clients { group.addTask { try await work(worker) } }
            return try await group.reduce(into: WorkloadReport()) { $0.merge($1) }
        }
    }

    static func microseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
    }

    static func seconds(_ duration: Duration) -> Double { Double(microseconds(duration)) / 1_000_000 }
}
