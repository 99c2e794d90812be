import ArgumentParser
import Client
import KeyEncoding
import Model
import LoadLedger

struct Workload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Load with a memory: what was acknowledged must be readable.",
        subcommands: [WorkloadRun.self, WorkloadAudit.self])
}

struct WorkloadRun: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a mix of YCSB against a table, then audit every acknowledged write.",
        discussion: """
            a: half reads, half updates · b: 95 % reads · c: reads only · e: 95 % short scans, 5 % inserts. Keys are zipfian. The
            table's key is one text column; another text column takes the values. Exit code 1 if an acknowledged write is lost, or
            may be lost behind one whose outcome nobody tells.
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
    @Option(help: "A file that keeps the ledger: it goes on with what stands there. See `workload audit`.") var ledger: String?

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
        let book = try ledger.map { path in
            let (file, earlier) = try LedgerFile.open(path, for: plan.subject)
            return LedgerBook(earlier, file: file)
        }
        let runner = WorkloadRunner(plan: plan, client: client, book: book ?? LedgerBook())
        if load { try await runner.load() }
        let loaded = runner.book.current.acknowledgedCount
        let report = try await runner.run()
        let kept = runner.book.current
        let audit = try await LedgerAudit.run(kept, of: plan.subject, by: client, readers: clients)
        let figures = Self.figures(report, writes: kept.acknowledgedCount - loaded)
        try audit.conclude(kept, besides: figures, in: session)
    }

    private static func figures(_ report: WorkloadReport, writes: Int) -> [String: JSONValue] {
        func latencies(_ histogram: LatencyHistogram) -> JSONValue {
            .object([
                "count": .number(histogram.count), "p50_us": .number(histogram.quantile(0.5)),
                "p99_us": .number(histogram.quantile(0.99)), "p999_us": .number(histogram.quantile(0.999)),
                "max_us": .number(histogram.longest),
            ])
        }
        let requests = report.reads.count + report.writes.count
        return [
            "seconds": .scalar(.number("\(report.seconds)")),
            "requests_per_second": .number(Int(Double(requests) / max(0.001, report.seconds))),
            "reads": latencies(report.reads), "writes": latencies(report.writes),
            "refused": .number(report.refused), "failed_reads": .number(report.failedReads),
            "acknowledged_in_run": .number(writes),
        ]
    }
}

struct WorkloadAudit: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Read back every write that a ledger says was acknowledged.",
        discussion: """
            Exit code 1 if one is lost. A write whose outcome nobody knows may be in its row or not; one that is there is asked for
            again under its key, so that nothing hides behind it, and where nobody tells when it happened the exit code is 1 too. Run
            it while nobody else writes to the table.
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var tokens: TokenOptions
    @Option(help: "The file that `workload run --ledger` wrote.") var ledger: String
    @Option(help: "Readers at the same time.") var clients: Int = 8

    func validate() throws {
        guard clients > 0 else { throw ValidationError("clients is above zero") }
    }

    func act(_ session: Session) async throws {
        let (subject, kept) = try LedgerFile.load(ledger)
        let client = try tokens.client(session)
        let audit = try await LedgerAudit.run(kept, of: subject, by: client, readers: clients)
        try audit.conclude(kept, besides: ["table": .string(subject.table)], in: session)
    }
}

extension LedgerAudit {
    /// Prints what was found.
    ///
    /// - Throws: `CommandFailure` when a promise was broken.
    fileprivate func conclude(_ ledger: Ledger, besides others: [String: JSONValue], in session: Session) throws {
        var members = others
        members["acknowledged_writes"] = .number(ledger.acknowledgedCount)
        members["unknown_writes"] = .number(ledger.unknownCount)
        members["audited_keys"] = .number(rows)
        members["undecided_keys"] = .number(undecided.count)
        members["lost_writes"] = .number(lost.count)
        members["conflicting_positions"] = .number(ledger.conflicts.count)
        let result = JSONValue.object(members)
        switch session.options.output {
        case .json: print(result.prettyText)
        case .table: print(result.lines().joined(separator: "\n"))
        }
        guard lost.isEmpty else {
            let some = lost.prefix(10).map { "\n  " + $0 }.joined()
            throw CommandFailure(status: .failure, message: "acknowledged writes of \(lost.count) keys are lost:\(some)")
        }
        guard ledger.conflicts.isEmpty else {
            let some = ledger.conflicts.prefix(10).joined(separator: " ")
            throw CommandFailure(status: .failure, message: "writes acknowledged at a place that another write has: \(some)")
        }
        guard undecided.isEmpty else { throw CommandFailure(status: .failure, message: undecidedWords) }
    }
}
