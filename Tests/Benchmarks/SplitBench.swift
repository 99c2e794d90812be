import Client
import KeyEncoding
import Launching
import Model

/// How long writers of a partition wait while it is split: sixteen of them, the longest time without an acknowledgement.
enum SplitBench {
    private static let keys = 400

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        let count = settings.full ? 9 : 5
        try await BenchCluster.with(agents: 3, settings) { cluster in
            try await cluster.makeTable("cut", cuts: (1..<count).map { name(partition: $0, 0) })
            var (pauses, usual) = (Samples(), Samples())
            var failures: [String] = []
            for number in 0..<count {
                // Each split before this one made one partition more below it.
                let place = number + pauses.values.count
                let names = (0..<keys).map { name(partition: number, $0) }
                let writers = RestlessWriters(16, rows: names, of: "cut", cluster.client())
                let outcome = try await writers.around { () -> (BenchCluster.Outcome, Double, Double) in
                    try await Task.sleep(for: .milliseconds(700))
                    let partition = try await cluster.route(of: "cut").partitions[place]
                    let before = ContinuousClock.now
                    try await Task.sleep(for: .milliseconds(800))
                    let start = ContinuousClock.now
                    let outcome = try await cluster.operate(
                        "/tables/cut/partitions/\(partition.id):split",
                        .object(["split_key": .array([.string(names[keys / 2])])]), within: 20)
                    try await Task.sleep(for: .milliseconds(300))
                    return (
                        outcome, writers.longestGap(from: before, to: start), writers.longestGap(from: start, to: .now)
                    )
                }
                usual.add(outcome.1)
                switch outcome.0 {
                case .succeeded: pauses.add(outcome.2)
                case .aborted(let why): failures.append("aborted: \(why), pause \(Int(outcome.2)) ms")
                case .hung(let why): failures.append("hung \(why), pause \(Int(outcome.2)) ms")
                }
                // What hung once may hang always; each takes its whole time.
                if failures.count > 2 { break }
            }
            let note = failures.isEmpty ? nil : "\(failures.count) of \(count) did not succeed: \(failures[0])"
            report(
                BenchRow(
                    bench: "split", row: "longest write pause, \(pauses.values.count) splits, 16 writers", unit: "ms",
                    of: pauses,
                    peer: usual, peerName: "0.8 s without a split", note: note))
        }
    }

    private static func name(partition: Int, _ number: Int) -> String { "p\(partition)-\(1_000 + number)" }
}
