import Foundation
import NIOHTTP1
import Testing

/// Somebody is killed before or after each step of an operation of real processes: the step's own process stops itself there
/// (`StopPoint`), so that the moment is the step's and not a clock's. The simulator does it for every operation (`make sim-crash`); here it
/// is on real disks and links. `make test` plays a few of the cells, `make test-long` all of them.
extension ClusterTests {
    enum Party: String, CaseIterable, Sendable { case source, target, leader }

    /// Where a process stops, as a file tells it.
    struct Stop: Sendable, Equatable {
        let side: String
        let step: String
        let by: Party

        /// Before and after each of these.
        static func around(_ steps: [String], by party: Party) -> [Stop] {
            steps.flatMap { step in ["before", "after"].map { Stop(side: $0, step: step, by: party) } }
        }
    }

    struct Cell: Sendable, CustomTestStringConvertible {
        let stop: Stop
        let victim: Party

        var testDescription: String { "\(stop.side) \(stop.step) at the \(stop.by), the \(victim) killed" }

        /// All of them, or those few.
        static func all(at stops: [Stop], but few: [(String, String, by: Party, Party)]) -> [Cell] {
            GroupStory.isLong
                ? stops.flatMap { stop in Party.allCases.map { Cell(stop: stop, victim: $0) } }
                : few.map { Cell(stop: Stop(side: $0.0, step: $0.1, by: $0.by), victim: $0.3) }
        }
    }

    static let stopsOfMove =
        Stop.around(["begin-move", "join-in-sync", "switch-primary", "remove-replica", "cleaned"], by: .leader)
        + Stop.around(
            [
                "copy", "verify", "checksum", "join", "propose join", "fence", "propose switch", "give up", "drop",
                "propose cleaned",
            ], by: .source)
        + Stop.around(["create", "give up", "verify", "checksum", "propose removal"], by: .target)
        + [Stop(side: "after", step: "end import", by: .target)]

    static let stopsOfSplit =
        Stop.around(["begin-split", "commit-split"], by: .leader)
        + Stop.around(["fence", "split record", "propose split", "install children"], by: .source)
        + Stop.around(["split record", "install children"], by: .target)

    private struct Place {
        let partition: String
        let holders: [String]
        let primary: String
        let spare: String
    }

    private func place(of key: String, in table: String, _ cluster: Cluster) async throws -> Place {
        let route = try await cluster.route(table, key: "[\"\(key)\"]")
        let holders = route["replicas"]?.array.compactMap { $0["node_id"]?.string } ?? []
        return Place(
            partition: try #require(route["partition_id"]?.string), holders: holders,
            primary: try #require(route["primary"]?.string),
            spare: try #require(Cluster.agents.first { !holders.contains($0) }))
    }

    /// Begins, as soon as it is not refused any more: members that were killed a moment ago are catching up. Whoever answers, it begins
    /// once.
    private func begin(_ path: String, _ body: String, _ cluster: Cluster) async throws -> String {
        var (operation, key) = ("", UUID().uuidString)
        try await expectEventually("POST \(path) is taken", within: 30) {
            let answer = try await cluster.api(.POST, path, body: body, headers: [("Idempotency-Key", key)])
            if answer.status == 202, let location = answer.headers.first(name: "location") {
                operation = location.split(separator: "/").last.map(String.init) ?? ""
            } else {
                // A refusal stands for as long as its key.
                key = UUID().uuidString
            }
            return !operation.isEmpty
        }
        return operation
    }

    /// Begins an operation, waits until somebody stops at a step of it, kills, starts again, and waits for its end and for everybody.
    /// - Returns: whether it succeeded.
    private func play(
        _ cell: Cell, of parties: [Party: String], in partition: String, of cluster: Cluster,
        begin: @escaping @Sendable () async throws -> String
    ) async throws -> Bool {
        let (performer, victim) = (try #require(parties[cell.stop.by]), try #require(parties[cell.victim]))
        let folder = cluster.folder.appending(path: "\(performer)/data")
        let (wanted, stopped) = (folder.appending(path: "stop-at"), folder.appending(path: "stopped-at"))
        let place = "\(cell.stop.side) \(cell.stop.step)" + (cell.stop.by == .leader ? "" : " of \(partition)")
        try Data(place.utf8).write(to: wanted, options: .atomic)
        defer { for file in [wanted, stopped] { try? FileManager.default.removeItem(at: file) } }
        async let begun = begin()
        try await expectEventually("\(performer) stops \(place)", within: 30) {
            FileManager.default.fileExists(atPath: stopped.path)
        }
        let process = try #require(cluster.process(performer))
        cluster.kill([victim])
        if victim != performer { kill(process.identifier, SIGCONT) }
        // For long enough that the others notice.
        try await Task.sleep(for: .milliseconds(500))
        try cluster.start(victim)
        let phase = try await cluster.wait(for: try await begun)
        _ = try await Cluster.whole()
        return phase == "succeeded"
    }

    /// Nothing is held by an agent that no descriptor places there, in memory or on its disk, nothing is fenced, and no writer waited for
    /// longer than a failover takes.
    private func expectNothingLeft(
        _ cluster: Cluster, _ load: Load, since start: ContinuousClock.Instant, _ cell: Cell
    ) async throws {
        for agent in Cluster.agents {
            try await expectEventually("\(agent) holds nothing for nobody", within: 30) {
                try await cluster.meter("replicas_stray", of: agent) == 0
            }
        }
        try await cluster.expectNoLeftovers()
        try await load.goesOn(within: 20)
        let gap = load.longestGap(after: start)
        print("  \(cell.testDescription): a writer waited for \(gap.inMilliseconds) ms")
        // No write is the leader's to take: the others are in nobody's way while it is away.
        #expect(gap < (cell.victim == .leader ? .seconds(2) : .seconds(5)), "\(cell.testDescription)")
    }

    /// What an operation of the cells is.
    private struct Plan: Sendable {
        /// A key of the partition that it is about.
        let key: String
        let verb: String
        let body: @Sendable (Place) -> String
        let target: @Sendable (Place) throws -> String
        /// Whether it was done, by the place of the key before and after.
        let isDone: @Sendable (_ before: Place, _ after: Place) -> Bool
        /// Whether it was not.
        let isUndone: @Sendable (_ before: Place, _ after: Place) -> Bool
    }

    /// One cell under load, from its operation's beginning until nothing is left of it.
    private func play(_ cell: Cell, of plan: Plan, in rows: Rows, under load: Load) async throws {
        let cluster = rows.cluster
        try await load.goesOn(within: 20)
        let place = try await place(of: plan.key, in: rows.table, cluster)
        let parties: [Party: String] = [
            .source: place.primary, .target: try plan.target(place), .leader: try await cluster.leader(),
        ]
        let start = ContinuousClock.now
        let isDone = try await play(cell, of: parties, in: place.partition, of: cluster) {
            try await self.begin("/tables/\(rows.table)/partitions/\(place.partition):\(plan.verb)", plan.body(place), cluster)
        }
        try await expectEventually("the descriptors say which", within: 30) {
            let after = try await self.place(of: plan.key, in: rows.table, cluster)
            return isDone ? plan.isDone(place, after) : plan.isUndone(place, after)
        }
        try await expectNothingLeft(cluster, load, since: start, cell)
    }

    @Test(
        "a move with its source, its target or the leader killed around any step ends whole or not at all, and leaves nothing",
        .timeLimit(.minutes(60)))
    func moveKilled() async throws {
        let cells = Cell.all(
            at: Self.stopsOfMove,
            but: [
                ("after", "begin-move", by: .leader, .leader), ("before", "give up", by: .target, .target),
                ("after", "join", by: .source, .source), ("after", "fence", by: .source, .leader),
                ("after", "propose switch", by: .source, .target), ("before", "drop", by: .source, .source),
            ])
        let plan = Plan(
            key: "m", verb: "move", body: { "{\"source\":\"\($0.primary)\",\"target\":\"\($0.spare)\"}" }, target: \.spare,
            isDone: { $1.holders.contains($0.spare) && !$1.holders.contains($0.primary) },
            isUndone: { !$1.holders.contains($0.spare) && $1.holders.contains($0.primary) })
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("move_killed")
        let load = Load(rows)
        _ = try await load.during(prefix: "m") {
            for cell in cells { try await play(cell, of: plan, in: rows, under: load) }
        }
        try await compareReplicas(cluster, rows, key: #"["m-0-1"]"#)
    }

    @Test(
        "a split with its primary, a follower or the leader killed around any step ends whole or not at all, and leaves nothing",
        .timeLimit(.minutes(60)))
    func splitKilled() async throws {
        let cells = Cell.all(
            at: Self.stopsOfSplit,
            but: [
                ("after", "begin-split", by: .leader, .leader), ("after", "fence", by: .source, .source),
                ("before", "install children", by: .target, .target),
            ])
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("split_killed")
        let load = Load(rows)
        _ = try await load.during(prefix: "s") {
            // Each time another key of the same partition, or of a half of it.
            for (number, cell) in cells.enumerated() {
                let key = "s-\(3 + number % 4).\(100 + number)"
                let plan = Plan(
                    key: key, verb: "split", body: { _ in "{\"split_key\":[\"\(key)\"]}" },
                    target: { place in try #require(place.holders.first { $0 != place.primary }) },
                    isDone: { $0.partition != $1.partition }, isUndone: { $0.partition == $1.partition })
                try await play(cell, of: plan, in: rows, under: load)
            }
        }
        for key in [#"["s-1-1"]"#, #"["s-7-1"]"#] { try await compareReplicas(cluster, rows, key: key) }
    }
}
