import ArgumentParser
import Client

/// Brings a CSV file into a table.
struct Import: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring a CSV file with a header into a table.",
        discussion: """
            Rows go in batches, each to the partition that holds them. An import that was interrupted says how far it came, and goes
            on there when it is started again. Bad lines are reported by number and left out; if there are any, the exit code is 8.
            An unquoted empty field is null.
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var tokens: TokenOptions
    @Argument(help: "The table.") var table: String
    @Argument(help: "The CSV file.") var file: String
    @Option(help: "Batches that are on their way at the same time.") var parallel: Int = 8
    @Option(help: "Stop when there are more bad lines than this.") var maxBadLines: Int = 1_000
    @Flag(help: "Start at the beginning, whatever was imported before.") var restart = false

    func validate() throws {
        guard (1...256).contains(parallel), maxBadLines >= 0 else {
            throw ValidationError("--parallel is from 1 to 256, and --max-bad-lines is not below zero")
        }
    }

    func act(_ session: Session) async throws {
        let start = ContinuousClock.now
        let state = try await CSVImport(
            file: file, table: table, client: tokens.client(session), parallel: parallel, maxBadLines: maxBadLines,
            restart: restart
        ).run()
        let seconds = WorkloadRunner.seconds(ContinuousClock.now - start)
        switch session.options.output {
        case .json:
            print(JSONValue.object(["imported_rows": .number(state.rows), "bad_lines": .number(state.badLines)]).text)
        case .table:
            print("imported \(state.rows) rows into \(table) in \(Figures.fixed(seconds, 1)) s, \(state.badLines) bad lines")
        }
        if state.badLines > 0 { throw CommandFailure(status: .partialSuccess, message: "") }
    }
}
