// What Coxswain does in a second, and what the machine could do in the same second. A figure without its peer says more about the
// machine than about us; so each row that can have one carries what was measured beside it, in the same run, phase by phase.

import ArgumentParser

/// What every bench is told.
struct BenchSettings: Sendable {
    /// More rounds, and larger tables.
    let full: Bool
    /// Of the parts called raft or swim only these groups of rows; all where none is named.
    var rows: [String] = []
    /// Clusters of the benches use the eighty ports from here; crowds of members the four hundred from a hundred above.
    let basePort: Int

    var rounds: Int { full ? 5 : 3 }
}

@main struct Benchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure Coxswain on this machine, each figure beside what the machine could do.",
        discussion: """
            Parts: \(all.map(\.name).joined(separator: ", ")). Those that are called raft or swim run only when they are named. All that need a cluster start one of real processes on loopback, from the
            programs that lie beside this one, with their data in .build below the working directory, and leave nothing behind.
            """)

    typealias Report = @Sendable (BenchRow) -> Void

    private struct Part: Sendable {
        let name: String
        /// Whether it takes part only when it is named: it needs a peer, and its time.
        var isExtra = false
        let run: @Sendable (BenchSettings, @escaping Report) async throws -> Void
    }

    private static let all: [Part] = [
        Part(name: "route", run: RouteBench.run), Part(name: "token", run: TokenBench.run),
        Part(name: "log", run: LogBench.run), Part(name: "commit", run: CommitBench.run),
        Part(name: "gateway", run: GatewayBench.run), Part(name: "move", run: MoveBench.run),
        Part(name: "gap", run: GapBench.run), Part(name: "failover", run: FailoverBench.run),
        Part(name: "catch-up", run: CatchUpBench.run),
        Part(name: "data", isExtra: true, run: DataBench.run), Part(name: "swim", isExtra: true, run: SwimBench.run),
        Part(name: "raft", isExtra: true, run: RaftBench.run), Part(name: "raft-slow", isExtra: true, run: SlowDiskBench.run),
    ]

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Only these parts.", valueName: "part"))
    var only: [String] = []

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Of the parts raft and swim only these rows.", valueName: "rows"))
    var rows: [String] = []

    @Flag(help: "One JSON object for each row.")
    var json = false

    @Flag(help: "Five rounds instead of three, and more of everything.")
    var full = false

    @Option(help: "The first of five hundred ports on loopback for what is measured.")
    var basePort = 7_600

    func validate() throws {
        guard (1_024...65_000).contains(basePort) else { throw ValidationError("--base-port is from 1024 to 65000") }
        for name in only where !Self.all.contains(where: { $0.name == name }) {
            throw ValidationError("there is no part '\(name)'; there are \(Self.all.map(\.name).joined(separator: ", "))")
        }
    }

    func run() async throws {
        let asJSON = json
        let settings = BenchSettings(full: full, rows: rows, basePort: basePort)
        var isWhole = true
        for part in Self.all where only.isEmpty ? !part.isExtra : only.contains(part.name) {
            do {
                try await part.run(settings) { $0.write(asJSON: asJSON) }
            } catch {
                isWhole = false
                BenchRow(bench: part.name, row: "could not be measured", unit: "", ours: nil, note: "\(error)")
                    .write(asJSON: asJSON)
            }
        }
        guard isWhole else { throw ExitCode.failure }
    }
}
