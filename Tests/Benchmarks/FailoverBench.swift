import Client
import KeyEncoding
import Launching
import Model

/// The time from a process's end to the next acknowledgement: of a write to what the agent led, of a command to the coordinators.
enum FailoverBench {
    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        let repetitions = settings.full ? 9 : 5
        try await BenchCluster.with(agents: 3, settings) { cluster in
            try await cluster.makeTable("kept", cuts: [])
            for end in ProcessEnd.allCases { try await agents(cluster, end, repetitions, report) }
            for end in ProcessEnd.allCases { try await coordinators(cluster, end, repetitions, report) }
        }
    }

    // MARK: - Agents

    private static func agents(
        _ cluster: BenchCluster, _ end: ProcessEnd, _ repetitions: Int, _ report: Benchmarks.Report
    ) async throws {
        var (times, usual) = (Samples(), Samples())
        var failures: [String] = []
        for _ in 0..<repetitions {
            try await waitUntilWhole(cluster)
            let writers = RestlessWriters(4, rows: (0..<64).map { "k\($0)" }, of: "kept", cluster.client(patience: 500))
            let round = try await writers.around { () -> (Double?, Double, String) in
                try await Task.sleep(for: .milliseconds(500))
                guard let gateway = try await cluster.route(of: "kept").partitions.first?.gateway,
                    let victim = cluster.agent(atGateway: gateway)
                else { throw BenchFailure("nobody leads the partition") }
                let before = ContinuousClock.now
                try await Task.sleep(for: .seconds(1))
                let killed = ContinuousClock.now
                end.bring(to: victim.name, of: cluster.local.children)
                let dead = ContinuousClock.now
                let next = try? await cluster.eventually("a write", within: 30, everyMilliseconds: 5) {
                    writers.firstAcknowledged(sentAfter: dead)
                }
                return (next.map { ($0 - killed).inMilliseconds }, writers.longestGap(from: before, to: killed), victim.name)
            }
            usual.add(round.1)
            if let time = round.0 { times.add(time) } else { failures.append(writers.lastFailure ?? "no write for 30 s") }
            cluster.local.children.kill(round.2)
            try cluster.local.startAgent(round.2)
            if failures.count > 1 { break }
        }
        let note = failures.isEmpty ? nil : "\(failures.count) without an end after 30 s: \(failures[0])"
        report(
            BenchRow(
                bench: "failover", row: "\(end.rawValue) of a primary's agent to the next write, \(times.values.count)×",
                unit: "ms", of: times, peer: usual, peerName: "longest gap of a second before", note: note))
    }

    /// Until every agent is healthy and has the partition in sync.
    private static func waitUntilWhole(_ cluster: BenchCluster) async throws {
        try await cluster.waitUntilHealthy()
        try await cluster.eventually("three copies in sync", within: 60) { () async throws -> Void? in
            let topology = try await cluster.control.call(.get, "/cluster/topology", milliseconds: 5_000).body
            let partitions = topology["partitions"]?.array ?? []
            return !partitions.isEmpty && partitions.allSatisfy { $0["in_sync"]?.array?.count == 3 } ? () : nil
        }
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
            let writers = RestlessWriters(entriesAt: others.map { "https://\($0.address($0.api))" }, cluster.calls)
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
