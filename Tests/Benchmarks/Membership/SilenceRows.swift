import GossipKit
import Membership

/// Members that are there and cannot be heard: a host that is gone, a process that stands still, a network that loses.
enum SilenceRows {
    static func run(_ settings: BenchSettings, _ report: @escaping Benchmarks.Report) async throws {
        let port = settings.basePort + 100
        for (profile, tuning) in [("fast", SwimTuning.fast), ("lan", .lan)] {
            for count in [10, 30, 100] {
                try await GossipCrowd.with({ try GossipCrowd(ports: Array(port..<port + count), tuning) }) { crowd in
                    if count == 30 {
                        try await stalls(crowd, profile, profile == "fast" ? fastStalls : lanStalls, settings, report)
                    } else {
                        try await gather(crowd)
                    }
                    try await blackHole(crowd, profile, settings, report)
                }
                try await GossipCrowd.with({ try GossipCrowd(ports: Array(port..<port + count), tuning, linked: true) }) {
                    try await refusals($0, profile, settings, report)
                }
            }
        }
        if SerfCrowd.isInstalled {
            try await SerfCrowd.with({ try SerfCrowd(30, basePort: port) }) { crowd in
                try await stalls(crowd, "lan", lanStalls, settings, report)
            }
        }
        for share in [0.05, 0.2, 0.4] {
            try await GossipCrowd.with({ try GossipCrowd(ports: Array(port..<port + 50), .lan) }) { crowd in
                try await loss(crowd, share, seconds: settings.full ? 60 : 20, report)
            }
        }
        if settings.full { try await grid(port, report) }
    }

    /// Seconds, and whether everybody has to ride them out.
    private static let fastStalls = [(0.2, true), (0.5, true), (1, true), (2, false), (3, false), (10, false), (30, false)]
    private static let lanStalls = [(0.5, true), (1, true), (2, true), (5, true), (10, false), (20, false), (30, false)]

    private static func stalls<Crowd: ComparedCrowd>(
        _ crowd: Crowd, _ profile: String, _ stalls: [(Double, Bool)], _ settings: BenchSettings,
        _ report: Benchmarks.Report
    ) async throws {
        try await gather(crowd)
        for (seconds, isShort) in stalls {
            let (start, member) = (ContinuousClock.now, 7)
            try await crowd.stall([member], for: .seconds(seconds))
            let back = try await crowd.whole(within: 60)
            // What was in flight has to be read, and judged.
            try await Task.sleep(for: .seconds(2))
            let verdicts = crowd.sightings.since(start).filter { $0.belief == .down }
            let holders = Set(verdicts.filter { $0.subject == member }.map(\.observer))
            let name = "\(crowd.title), \(profile), 30: one stands still for \(seconds) s"
            report(row("\(name): held down by", "", Double(holders.count), ask: isShort ? 0 : nil))
            report(
                row("\(name): verdicts of its own, or on others", "", Double(verdicts.count { $0.subject != member }), ask: 0))
            guard let back else {
                report(row("\(name): seen by all again", "s", nil, note: "not in a minute"))
                continue
            }
            if !holders.isEmpty { report(row("\(name): seen by all again", "s", back, ask: 0.6)) }
        }
    }

    /// A process ends; the links to it end with it, and those who dial it again are refused.
    private static func refusals(
        _ crowd: GossipCrowd, _ profile: String, _ settings: BenchSettings, _ report: Benchmarks.Report
    ) async throws {
        try await gather(crowd)
        let (start, members) = (ContinuousClock.now, Array(2..<(settings.full ? 9 : 5)))
        var (first, all) = (Samples(), Samples())
        for member in members {
            let (begin, others) = (ContinuousClock.now, crowd.everybody(but: member))
            await crowd.kill(member)
            let times = try await crowd.awaited(within: 60) {
                crowd.sightings.times(.down, of: member, by: others, since: begin)
            }
            if let times, let earliest = times.first, let last = times.last {
                first.add(earliest)
                all.add(last)
            }
            try crowd.start(member)
            _ = try await crowd.wholeAgain("the one that came back is seen by all", within: 60)
            try await Task.sleep(for: .seconds(6))
        }
        let name = "\(crowd.title), \(profile), \(crowd.count): process ended, its links with it"
        report(SwimBench.row("\(name): first verdict", "s", first))
        report(SwimBench.row("\(name): all know", "s", all, ask: profile == "fast" ? 0.5 : nil))
        let wrong = crowd.sightings.falseVerdicts(except: Set(members), since: start).count
        report(row("\(name): verdicts on others", "", Double(wrong), ask: 0))
    }

    /// A host that is gone refuses nothing. One after another, each of which comes back before the next is cut off.
    private static func blackHole(
        _ crowd: GossipCrowd, _ profile: String, _ settings: BenchSettings, _ report: Benchmarks.Report
    ) async throws {
        let (start, members) = (ContinuousClock.now, settings.full ? [9, 2, 4, 6, 7] : [9])
        var (all, back) = (Samples(), Samples())
        for member in members {
            let (begin, others) = (ContinuousClock.now, crowd.everybody(but: member))
            crowd.cut(member)
            let times = try await crowd.awaited(within: 60) {
                crowd.sightings.times(.down, of: member, by: others, since: begin)
            }
            if let last = times?.last { all.add(last) }
            crowd.network.set(nil)
            back.add(try await crowd.wholeAgain("the host that came back is seen by all", within: 60))
            try await Task.sleep(for: .seconds(6))
        }
        let name = "\(crowd.title), \(profile), \(crowd.count): host gone"
        let ask: Double? = crowd.count == 100 ? (profile == "fast" ? 3.1 : 10.6) : nil
        report(SwimBench.row("\(name): all know", "s", all, ask: ask))
        report(SwimBench.row("\(name): seen by all again when it is back", "s", back, ask: 35))
        // What one that heard nobody believed of the others is its own affair.
        let wrong = crowd.sightings.falseVerdicts(except: Set(members), since: start).count
        report(row("\(name): verdicts on others", "", Double(wrong), ask: 0))
    }

    private static func loss(
        _ crowd: GossipCrowd, _ share: Double, seconds: Double, _ report: Benchmarks.Report
    ) async throws {
        try await gather(crowd)
        let start = ContinuousClock.now
        crowd.lose(share)
        try await Task.sleep(for: .seconds(seconds))
        let found = crowd.sightings.since(start)
        let name = "coxswain, lan, 50: \(Int(share * 100)) % of datagrams lost for \(Int(seconds)) s, no links"
        report(row("\(name): verdicts", "", Double(found.count { $0.belief == .down }), ask: share <= 0.2 ? 1 : nil))
        report(row("\(name): suspicions", "", Double(found.count { $0.belief == .suspected })))
    }

    /// Lifeguard's experiment: some members stand still and run again in turns, for a minute each.
    private static func grid(_ port: Int, _ report: Benchmarks.Report) async throws {
        var (atHealthy, all) = (0, 0)
        for sick in [1, 4, 16] {
            for seconds in [2.0, 8, 16, 32] {
                try await GossipCrowd.with({ try GossipCrowd(ports: Array(port..<port + 64), .lan) }) { crowd in
                    try await gather(crowd)
                    let (start, members) = (ContinuousClock.now, Array(1...sick))
                    while ContinuousClock.now - start < .seconds(66) {
                        try await crowd.stall(members, for: .seconds(seconds))
                        try await Task.sleep(for: .milliseconds(100))
                    }
                    let found = crowd.sightings.since(start).filter { $0.belief == .down && !members.contains($0.subject) }
                    all += found.count
                    atHealthy += found.count { !members.contains($0.observer) }
                }
            }
        }
        report(
            row("coxswain, lan, 64: freeze grid: verdicts on healthy members, at healthy ones", "", Double(atHealthy), ask: 1))
        report(row("coxswain, lan, 64: freeze grid: verdicts on healthy members", "", Double(all), ask: 42))
    }

    private static func gather(_ crowd: some ComparedCrowd) async throws {
        _ = try await crowd.gather()
        // Members who have just met have longer to refute.
        try await Task.sleep(for: .seconds(6))
    }

    private static func row(_ row: String, _ unit: String, _ ours: Double?, ask: Double? = nil, note: String? = nil) -> BenchRow
    {
        BenchRow(bench: "swim", row: row, unit: unit, ours: ours, ask: ask.map { .atMost($0) }, note: note)
    }
}
