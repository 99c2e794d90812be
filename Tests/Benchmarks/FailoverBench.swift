import Client
import KeyEncoding
import Launching
import Model

/// The time from a process's end to what is served again: by partitions of which an agent had replicas, by the coordinators.
enum FailoverBench {
    private static let rounds = 20
    private static let partitions = 12
    /// Milliseconds.
    private static let patience: Int64 = 500

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        let repetitions = settings.full ? 9 : 5
        try await BenchCluster.with(agents: 3, settings) { cluster in
            // Who comes back gets no primary for the sake of balance: the next one who ends is the one that leads most.
            try await cluster.configure("leadership_delay_seconds", 86_400)
            try await cluster.makeTable("kept", cuts: (1..<partitions).map { key(of: $0, 0) })
            for end in ProcessEnd.allCases { try await agents(cluster, end, report) }
            for end in ProcessEnd.allCases { try await coordinators(cluster, end, repetitions, report) }
        }
    }

    // MARK: - Agents

    private static func key(of partition: Int, _ number: Int) -> String { "p\(100 + partition)-\(number)" }

    /// Of one round, in milliseconds, for each partition of which the agent that ended had a replica.
    private struct Waits {
        /// From the end to the next acknowledgement.
        var next = Samples()
        /// The longest wait of the second before.
        var usual = Samples()
    }

    /// Of all rounds: the partition that waited longest, the one in the middle, and who waited longest before anything had ended.
    private struct Outages {
        var (longest, middle, usual) = (Samples(), Samples(), Samples())

        mutating func add(_ waits: Waits) {
            longest.add(waits.next.percentile(1))
            middle.add(waits.next.median)
            usual.add(waits.usual.percentile(1))
        }
    }

    /// A writer and a strong reader for each partition.
    private static func agents(_ cluster: BenchCluster, _ end: ProcessEnd, _ report: Benchmarks.Report) async throws {
        let places = (0..<partitions).map { place in (0..<8).map { key(of: place, $0) } }
        var (writes, reads) = (Outages(), Outages())
        var failures: [String] = []
        // What took half a minute once may do so always.
        for _ in 0..<rounds where failures.count < 2 {
            try await cluster.waitUntilWhole()
            let primaries = try await cluster.placements(of: "kept").map(\.primary)
            let leads = { (name: String) in primaries.count { $0 == name } }
            guard let victim = cluster.local.agents.map(\.name).max(by: { leads($0) < leads($1) }) else { return }
            let client = cluster.client(patience: patience)
            let pace = RestlessClients.Pace.every(.milliseconds(20))
            let writers = RestlessClients(pace, writing: places, of: "kept", client)
            let readers = RestlessClients(pace, reading: places, of: "kept", client)
            let round = try await writers.around {
                try await readers.around { () -> [Waits]? in
                    try await Task.sleep(for: .milliseconds(500))
                    let before = ContinuousClock.now
                    try await Task.sleep(for: .seconds(1))
                    let ended = ContinuousClock.now
                    end.bring(to: victim, of: cluster.local.children)
                    let dead = ContinuousClock.now
                    return try? await cluster.eventually("all partitions", within: 30, everyMilliseconds: 5) { () -> [Waits]? in
                        let both = [writers, readers].compactMap { waits(of: $0, from: before, to: ended, after: dead) }
                        return both.count == 2 ? both : nil
                    }
                }
            }
            if let round {
                writes.add(round[0])
                reads.add(round[1])
            } else {
                failures.append(writers.lastFailure ?? readers.lastFailure ?? "no answer for 30 s")
            }
            cluster.local.children.kill(victim)
            try cluster.local.startAgent(victim)
        }
        let note =
            "clients wait \(patience) ms for one answer"
            + (failures.first.map { "; \(failures.count) without an end after 30 s: \($0)" } ?? "")
        for (what, outages) in [("write", writes), ("strong read", reads)] {
            let count = outages.longest.values.count
            let name = "\(end.rawValue) of the agent that leads most to the next \(what)"
            for (which, samples) in [("slowest", outages.longest), ("median", outages.middle)] {
                report(
                    BenchRow(
                        bench: "failover", row: "\(name), the \(which) of \(partitions) partitions, \(count)×", unit: "ms",
                        of: samples, peer: outages.usual, peerName: "longest wait of a second before",
                        ask: end == .killed ? .atMost(1_500) : nil, note: note))
            }
        }
    }

    /// Nil until each of them has been served again.
    private static func waits(
        of clients: RestlessClients, from before: ContinuousClock.Instant, to ended: ContinuousClock.Instant,
        after dead: ContinuousClock.Instant
    ) -> Waits? {
        var waits = Waits()
        for place in 0..<partitions {
            guard let next = clients.firstAcknowledged(sentAfter: dead, by: place) else { return nil }
            waits.next.add((next - ended).inMilliseconds)
            waits.usual.add(clients.longestGap(from: before, to: ended, of: [place]))
        }
        return waits
    }

    // MARK: - Coordinators

    private static func coordinators(
        _ cluster: BenchCluster, _ end: ProcessEnd, _ repetitions: Int, _ report: Benchmarks.Report
    ) async throws {
        var (times, usual) = (Samples(), Samples())
        var failures: [String] = []
        for _ in 0..<repetitions {
            let leader = try await cluster.leader()
            let others = cluster.local.coordinators.filter { $0.node.name != leader }
            let writers = RestlessClients(entriesAt: others.map { "https://\($0.address($0.api))" }, cluster.calls)
            let round = try await writers.around { () -> (Double?, Double) in
                try await Task.sleep(for: .milliseconds(500))
                let before = ContinuousClock.now
                try await Task.sleep(for: .seconds(1))
                let killed = ContinuousClock.now
                end.bring(to: leader, of: cluster.local.children)
                let dead = ContinuousClock.now
                let next = try? await cluster.eventually("a commit", within: 30, everyMilliseconds: 5) {
                    writers.firstAcknowledged(sentAfter: dead)
                }
                return (next.map { ($0 - killed).inMilliseconds }, writers.longestGap(from: before, to: killed))
            }
            usual.add(round.1)
            if let time = round.0 { times.add(time) } else { failures.append("no commit for 30 s") }
            cluster.local.children.kill(leader)
            try cluster.local.startCoordinator(leader)
            // Its log is read and its links stand again before the next one dies.
            try await cluster.eventually("\(leader) to follow") { () async throws -> Void? in
                guard let spec = cluster.local.coordinators.first(where: { $0.node.name == leader }) else { return nil }
                let ready = try await cluster.calls.call(
                    .get, "http://127.0.0.1:\(spec.metrics)/readyz", milliseconds: 1_000)
                return ready.status == 200 ? () : nil
            }
            if failures.count > 1 { break }
        }
        let note = failures.isEmpty ? nil : "\(failures.count) without an end after 30 s"
        report(
            BenchRow(
                bench: "failover", row: "\(end.rawValue) of the leader to the next commit, \(times.values.count)×", unit: "ms",
                of: times, peer: usual, peerName: "longest gap of a second before", note: note))
    }
}
