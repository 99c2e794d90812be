/// `Benchmarks [--json] [--full] [NAME…]`: prints every row, the missed goals too.
@main enum Benchmarks {
    private static let all: [(name: String, run: @Sendable (Bool) async throws -> [BenchRow])] = [
        ("route", { try RouteBench.run(full: $0) }),
        ("token", { try TokenBench.run(full: $0) }),
        ("log", { try await LogBench.run(full: $0) }),
    ]

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let chosen = arguments.filter { !$0.hasPrefix("--") }
        for bench in all where chosen.isEmpty || chosen.contains(bench.name) {
            for row in try await bench.run(arguments.contains("--full")) { row.write(asJSON: arguments.contains("--json")) }
        }
    }
}
