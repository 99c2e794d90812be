import Client
import KeyEncoding
import Launching
import Model

/// How long the writers of a partition wait while it is moved or split: a write each millisecond over sixteen connections, and of each run
/// the longest time without an acknowledgement, beside that of a time as long in which nothing was done.
enum GapBench {
    private static let runs = 50
    private static let writers = 16
    private static let limit = 30.0

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        try await BenchCluster.with(agents: 4, settings) { cluster in
            // No primary goes anywhere for the sake of balance meanwhile.
            try await cluster.configure("leadership_delay_seconds", 86_400)
            try await moves(cluster, report)
            try await splits(cluster, report)
        }
    }

    // MARK: - Moves

    /// The primary goes with its data to the one agent that has none of it, fifty times.
    private static func moves(_ cluster: BenchCluster, _ report: Benchmarks.Report) async throws {
        try await cluster.makeTable("moved", cuts: [])
        let client = cluster.client()
        let load = try await BulkRows(table: "moved", count: 8_000).put(by: client)
        let keys = BulkRows.keys(0..<4_000)
        var gaps = Gaps()
        for _ in 0..<runs where !gaps.isHopeless {
            try await cluster.waitUntilClean()
            guard let partition = try await cluster.placements(of: "moved").first,
                let target = cluster.local.agents.first(where: { !partition.replicas.contains($0.name) })
            else { throw BenchFailure("no partition that could move") }
            let clients = RestlessClients(pace, writing: places(writers, of: keys), of: "moved", client)
            try await gaps.round([Array(0..<writers)], of: clients) {
                try await cluster.operate(
                    "/tables/moved/partitions/\(partition.id):move",
                    .object(["source": .string(partition.primary), "target": .string(target.name)]), within: limit)
            }
        }
        gaps.report("moves of a primary and its \(Int(load.megabytes)) MB", p99: 20, longest: 400, report)
    }

    // MARK: - Splits

    /// Fifty partitions, each of which is split in the middle of what is written.
    private static func splits(_ cluster: BenchCluster, _ report: Benchmarks.Report) async throws {
        let count = 400
        try await cluster.makeTable("cut", cuts: (1..<runs).map { key(of: $0, 0) })
        let client = cluster.client()
        var gaps = Gaps()
        var done = 0
        for number in 0..<runs where !gaps.isHopeless {
            // Each split before this one made one partition more below it.
            let partition = try await cluster.placements(of: "cut")[number + done]
            let keys = (0..<count).map { key(of: number, $0) }
            // Either half has writers of its own: while one is written the other would stand still unseen.
            let halves = [keys[..<(count / 2)], keys[(count / 2)...]].flatMap { places(writers / 2, of: Array($0)) }
            let clients = RestlessClients(pace, writing: halves, of: "cut", client)
            try await gaps.round([Array(0..<writers / 2), Array(writers / 2..<writers)], of: clients) {
                let outcome = try await cluster.operate(
                    "/tables/cut/partitions/\(partition.id):split", .object(["split_key": .array([.string(keys[count / 2])])]),
                    within: limit)
                if case .succeeded = outcome { done += 1 }
                return outcome
            }
        }
        gaps.report("splits", p99: 10, longest: nil, report)
    }

    private static func key(of partition: Int, _ number: Int) -> String { "p\(100 + partition)-\(1_000 + number)" }

    /// Keys by turns to so many writers.
    private static func places(_ writers: Int, of keys: [String]) -> [[String]] {
        (0..<writers).map { writer in stride(from: writer, to: keys.count, by: writers).map { keys[$0] } }
    }

    // MARK: - Runs

    private static var pace: RestlessClients.Pace { .every(.milliseconds(writers)) }

    /// What the writers saw in some runs.
    private struct Gaps {
        private var (seen, usual, rates) = (Samples(), Samples(), Samples())
        private var failures: [String] = []
        private var refused = 0
        private var firstRefusal: String?
        /// How long the run before took, and so how long the time is that the next one is compared with.
        private var length = Duration.milliseconds(500)

        /// What hangs takes its whole time, and may hang always.
        var isHopeless: Bool { failures.count > 2 }

        /// - Parameter groups: who writes to one and the same place; the gap of a run is the longest of any group.
        mutating func round(
            _ groups: [[Int]], of clients: RestlessClients, _ work: () async throws -> BenchCluster.Outcome
        ) async throws {
            let length = length
            let (before, start, outcome) = try await clients.around {
                // Connections and routes are there by then.
                try await Task.sleep(for: .milliseconds(300))
                let before = ContinuousClock.now
                try await Task.sleep(for: length)
                let start = ContinuousClock.now
                let outcome = try await work()
                try await Task.sleep(for: .milliseconds(200))
                return (before, start, outcome)
            }
            let end = ContinuousClock.now
            func longest(_ from: ContinuousClock.Instant, _ to: ContinuousClock.Instant) -> Double {
                groups.map { clients.longestGap(from: from, to: to, of: $0) }.max() ?? 0
            }
            let gap = longest(start, end)
            switch outcome {
            case .succeeded:
                seen.add(gap)
                usual.add(longest(before, start))
                rates.add(clients.rate(from: before, to: end))
                self.length = end - start
            case .aborted(let why): failures.append("aborted: \(why), gap \(Int(gap)) ms")
            case .hung(let why): failures.append("hung \(why), gap \(Int(gap)) ms")
            }
            refused += clients.failures
            firstRefusal = firstRefusal ?? clients.firstFailure
        }

        /// - Parameters:
        ///   - p99: what is asked of that, in milliseconds.
        ///   - longest: what is asked of the longest.
        func report(_ what: String, p99: Double, longest: Double?, _ report: Benchmarks.Report) {
            var notes: [String] = []
            if rates.median.isFinite { notes.append("\(Int(rates.median.rounded())) writes/s acknowledged") }
            if let first = failures.first { notes.append("\(failures.count) runs did not succeed: \(first)") }
            if let firstRefusal { notes.append("\(refused) writes failed, first: \(firstRefusal)") }
            let asks: [(String, Double, Ask?)] = [
                ("p50", 0.5, nil), ("p99", 0.99, .atMost(p99)), ("longest", 1, longest.map { .atMost($0) }),
            ]
            for (name, share, ask) in asks {
                report(
                    BenchRow(
                        bench: "gap", row: "\(name) of \(seen.values.count) \(what)", unit: "ms", ours: seen.percentile(share),
                        peer: usual.percentile(share), peerName: "the same load, as long, undisturbed", ask: ask,
                        note: notes.isEmpty ? nil : notes.joined(separator: "; ")))
            }
        }
    }
}
