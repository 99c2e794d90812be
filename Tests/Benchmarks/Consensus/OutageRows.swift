import Launching

/// How long nobody's write is acknowledged while leadership changes hands.
enum OutageRows {
    static func transfers(
        _ groups: [any ComparedGroup], _ settings: BenchSettings, _ report: Benchmarks.Report
    ) async throws {
        var (gaps, usual, failures) = (Compared(groups), Compared(groups), Compared(groups))
        var first: String?
        for round in 0..<(settings.full ? 11 : 5) {
            for (number, group) in groups.enumerated() {
                let leader = try await group.leader()
                let others = group.members.filter { $0 != leader }
                let successor = others[round % others.count]
                let writers = RestlessClients(group, at: group.members, patience: 3_000)
                try await writers.around {
                    try await Task.sleep(for: .milliseconds(500))
                    let before = ContinuousClock.now
                    try await Task.sleep(for: .milliseconds(500))
                    let start = ContinuousClock.now
                    try await group.transfer(from: leader, to: successor)
                    try await Task.sleep(for: .milliseconds(500))
                    gaps.add(writers.longestGap(from: start, to: .now), of: number)
                    usual.add(writers.longestGap(from: before, to: start), of: number)
                }
                failures.add(Double(writers.failures), of: number)
                first = first ?? writers.firstFailure.map { "; the first, of \(group.title), \($0)" }
            }
        }
        report(gaps.row("planned transfer, longest time without a write", "ms", ask: .atMost(20)))
        report(usual.row("the same without a transfer", "ms"))
        report(
            failures.row(
                "writes refused or lost by a transfer", "", ask: .atMost(0),
                note: "median of \(gaps.samples[0].values.count)\(first ?? "")"))
    }

    static func failovers(
        _ groups: [any ComparedGroup], _ timing: GroupTiming, _ end: ProcessEnd, _ settings: BenchSettings,
        _ report: Benchmarks.Report
    ) async throws {
        var times = Compared(groups)
        for _ in 0..<(settings.full ? 9 : 5) {
            for (number, group) in groups.enumerated() { times.add(try await failover(group, end), of: number) }
        }
        let row = "\(end.rawValue) of the leader to the first write, \(timing.name)"
        switch end {
        case .killed:
            report(times.row(row, "ms", ask: .atMost(150)))
            var worst = Compared(groups)
            for (number, samples) in times.samples.enumerated() { worst.add(samples.percentile(1), of: number) }
            report(worst.row("the longest of them", "ms", ask: .atMost(600)))
        case .frozen: report(times.row(row, "ms", ask: .timesPeerAtMost(1)))
        }
    }

    /// Milliseconds from the leader's end to the first acknowledgement of a write that was handed in after it.
    private static func failover(_ group: any ComparedGroup, _ end: ProcessEnd) async throws -> Double {
        let children = group.cluster.local.children
        let leader = try await group.leader()
        let writers = RestlessClients(group, at: group.members.filter { $0 != leader }, patience: 300)
        let time = try await writers.around {
            try await Task.sleep(for: .milliseconds(500))
            let start = ContinuousClock.now
            end.bring(to: leader.name, of: children)
            let dead = ContinuousClock.now
            let first = try await group.cluster.eventually("\(group.title) to take writes", everyMilliseconds: 2) {
                writers.firstAcknowledged(sentAfter: dead)
            }
            return (first - start).inMilliseconds
        }
        children.kill(leader.name)
        try group.start(leader)
        try await group.cluster.eventually("\(leader.name) to follow") { () async throws -> Void? in
            try await group.view(of: leader).leader == nil ? nil : ()
        }
        try await Task.sleep(for: .milliseconds(500))
        return time
    }
}
