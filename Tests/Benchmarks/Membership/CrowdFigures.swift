import GossipKit

/// What is measured of every crowd, ours or not: how soon it sees who comes and who goes, and what it costs to know.
struct CrowdFigures: Sendable {
    /// Seconds until all pairs see each other, when all others join through one.
    private(set) var joined = Samples()
    /// Seconds from the end of a member to the first verdict, and to that of the last.
    private(set) var firstDown = Samples()
    private(set) var allDown = Samples()
    /// Seconds from its restart, a second after, until all see it again.
    private(set) var back = Samples()
    private(set) var left = Samples()
    /// Verdicts on members that were there.
    private(set) var falseVerdicts = 0
    /// Farewells that were not all members' belief after a minute.
    private(set) var missedLeaves = 0
    private(set) var packetsPerSecond = Samples()
    private(set) var bytesPerSecond = Samples()
    /// Percent of a processor, of one member.
    private(set) var processor = Samples()
    /// MB, of one member.
    private(set) var memory = Samples()

    /// What it costs to know sooner: packets a second of each member, times the seconds until all know.
    var product: Samples { Samples(packetsPerSecond.median * allDown.median) }

    /// For how long nothing happens but talk.
    private static let idleSeconds = 10.0

    static func measure(_ crowd: any ComparedCrowd, kills: Int, leaves: Int) async throws -> CrowdFigures {
        var figures = CrowdFigures()
        let empty = try crowd.usage()
        figures.joined.add(try await crowd.gather())
        try await figures.rest(crowd, idleSeconds, since: empty)
        let start = ContinuousClock.now
        var fallen: Set<Int> = []
        for trial in 0..<kills + leaves {
            // Never the first, through whom all others join.
            let member = 1 + (trial * 7) % (crowd.count - 1)
            fallen.insert(member)
            try await figures.end(member, crowd, byLeaving: trial >= kills)
        }
        figures.falseVerdicts = crowd.sightings.falseVerdicts(except: fallen, since: start).count
        return figures
    }

    private mutating func rest(
        _ crowd: any ComparedCrowd, _ seconds: Double, since empty: CrowdUsage
    ) async throws {
        // The rumours of the join have to have run dry.
        try await Task.sleep(for: .seconds(5))
        let (before, start) = (try crowd.usage(), ContinuousClock.now)
        try await Task.sleep(for: .seconds(seconds))
        let (after, time) = (try crowd.usage(), (ContinuousClock.now - start).inSeconds * Double(crowd.count))
        packetsPerSecond.add((after.packets - before.packets) / time)
        if let before = before.bytes, let after = after.bytes { bytesPerSecond.add((after - before) / time) }
        processor.add((after.processor - before.processor) / time * 100)
        memory.add((after.memory - empty.memory) / Double(crowd.count))
    }

    private mutating func end(_ member: Int, _ crowd: any ComparedCrowd, byLeaving: Bool) async throws {
        let (start, others) = (ContinuousClock.now, crowd.everybody(but: member))
        if byLeaving { try await crowd.leave(member) } else { await crowd.kill(member) }
        let belief: Belief = byLeaving ? .left : .down
        let times = try await crowd.awaited(
            within: 60, { crowd.sightings.times(belief, of: member, by: others, since: start) })
        switch (times?.first, times?.last) {
        case (_, let last?) where byLeaving: left.add(last)
        // Some took it for a death.
        case _ where byLeaving: missedLeaves += 1
        case (let first?, let last?):
            firstDown.add(first)
            allDown.add(last)
        default:
            let known = crowd.sightings.since(start).filter { $0.subject == member }.map { "\($0.observer): \($0.belief)" }
            throw BenchFailure(
                "\(crowd.title), \(crowd.count) members: not all saw in a minute that \(member) had ended: "
                    + known.joined(separator: ", "))
        }
        try await Task.sleep(for: .seconds(1))
        try crowd.start(member)
        back.add(try await crowd.wholeAgain("the one that came back is seen by all", within: 60))
        // For a newcomer all others are new, and have longer to refute; that is not what the next trial is to measure.
        try await Task.sleep(for: .seconds(6))
    }
}

extension ComparedCrowd {
    /// Seconds until everybody sees everybody.
    func wholeAgain(_ what: String, within seconds: Double) async throws -> Double {
        guard let time = try await whole(within: seconds) else {
            throw BenchFailure("\(title), \(count) members: waited \(Int(seconds)) s until \(what)")
        }
        return time
    }

    /// All others join through the first, at once.
    /// - Returns: seconds from the start of the last until everybody sees everybody.
    func gather() async throws -> Double {
        try start(0)
        // A process has to be there before it can be called.
        try await Task.sleep(for: .seconds(1))
        for member in everybody(but: 0) { try start(member) }
        return try await wholeAgain("all had joined", within: 60)
    }
}
