import ArgumentParser
import Client
import KeyEncoding
import Model

struct Workload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Load with a memory: what was acknowledged must be readable.", subcommands: [WorkloadRun.self])
}

struct WorkloadRun: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a mix of YCSB against a table, then audit every acknowledged write.",
        discussion: """
            a: half reads, half updates · b: 95 % reads · c: reads only · e: 95 % short scans, 5 % inserts. Keys are zipfian. The
            table's key is one text column; another text column takes the values. Exit code 1 if an acknowledged write is lost.
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var tokens: TokenOptions
    @Argument(help: "ycsb-a, ycsb-b, ycsb-c or ycsb-e.") var workload: WorkloadKind
    @Option(help: "The table.") var table: String = "usertable"
    @Option(help: "How many records there are.") var records: UInt64 = 1_000
    @Option(help: "How long to run.") var seconds: Int = 10
    @Option(help: "Clients at the same time.") var clients: Int = 8
    @Option(help: "Requests per second of all clients; as many as go by default.") var rate: Int?
    @Option(help: "Bytes of a value.") var valueBytes: Int = 100
    @Flag(inversion: .prefixedNo, help: "Write every record once before the run.") var load = true

    func validate() throws {
        guard records > 0, clients > 0, seconds > 0, rate.map({ $0 > 0 }) ?? true else {
            throw ValidationError("records, clients, seconds and rate are above zero")
        }
    }

    func act(_ session: Session) async throws {
        let client = try tokens.client(session)
        let route = try await client.route(of: table)
        let texts = route.columns.filter { $0.type == .text }
        guard route.layout.columns.count == 1, let key = route.layout.columns.first, key.type == .text,
            let value = texts.first(where: { $0.name != key.name })
        else {
            throw CommandFailure(
                status: .preconditionFailed, message: "table \(table) needs one text column as its key, and another one")
        }
        let plan = WorkloadPlan(
            kind: workload, table: table, keyColumn: key.name.name, valueColumn: value.name.name, records: records,
            seconds: seconds, clients: clients, rate: rate, valueBytes: valueBytes,
            runID: String(UInt32.random(in: .min ... .max), radix: 36))
        let runner = WorkloadRunner(plan: plan, client: client)
        var ledger = Ledger()
        if load { ledger.merge(try await runner.load().ledger) }
        let report = try await runner.run()
        ledger.merge(report.ledger)
        let audit = try await runner.audit(ledger)
        let result = Self.result(report, ledger, audit)
        print(
            session.options.output == .json ? result.prettyText : ClusterStatus.lines(result, under: "").joined(separator: "\n")
        )
        guard audit.lost.isEmpty else {
            let keys = audit.lost.prefix(10).map { plan.key($0) }.joined(separator: " ")
            throw CommandFailure(status: .failure, message: "lost acknowledged writes of \(audit.lost.count) keys: \(keys)")
        }
    }

    private static func result(
        _ report: WorkloadReport, _ ledger: Ledger, _ audit: (kept: Int, unknownHappened: Int, lost: [UInt64])
    ) -> JSONValue {
        func latencies(_ histogram: LatencyHistogram) -> JSONValue {
            .object([
                "count": .number(histogram.count), "p50_us": .number(histogram.quantile(0.5)),
                "p99_us": .number(histogram.quantile(0.99)), "p999_us": .number(histogram.quantile(0.999)),
                "max_us": .number(histogram.longest),
            ])
        }
        let requests = report.reads.count + report.writes.count
        return .object([
            "seconds": .scalar(.number("\(report.seconds)")),
            "requests_per_second": .number(Int(Double(requests) / max(0.001, report.seconds))),
            "reads": latencies(report.reads), "writes": latencies(report.writes),
            "refused": .number(report.refused), "failed_reads": .number(report.failedReads),
            "acknowledged_writes": .number(ledger.acknowledgedCount), "unknown_writes": .number(ledger.unknownCount),
            "audited_keys": .number(audit.kept + audit.unknownHappened + audit.lost.count),
            "lost_writes": .number(audit.lost.count),
        ])
    }
}
