import Foundation
import SimulationKit
import Testing

/// A story of a coordinator group under load, and what must hold after every one: no write went unanswered, all that was acknowledged
/// is there and was done once, and the history has an order in which one register would have answered the same.
enum GroupStory {
    /// `make test-long` takes its time.
    static let isLong = ProcessInfo.processInfo.environment["LONG"] == "1"

    /// - Parameters:
    ///   - rounds: how often the same group and load live through it when there is time; otherwise once.
    ///   - prepare: what is to be done before anything runs.
    static func tell(
        roundsWhenLong rounds: Int = 1, members: Int = 3, prepare: (CoordinatorGroup) throws -> Void = { _ in },
        _ story: (CoordinatorGroup, RegisterLoad) async throws -> Void
    ) async throws {
        let group = try await CoordinatorGroup(size: members)
        do {
            try prepare(group)
            for name in group.names { try group.start(name) }
            try await group.waitFor("a leader") { _ in true }
            let report = try await RegisterLoad.during(group) { load in
                for _ in 0..<(isLong ? rounds : 1) { try await story(group, load) }
            }
            judge(report)
        } catch {
            for name in group.names { print("--- \(name)\n\(group.tail(of: name))") }
            await group.tearDown()
            throw error
        }
        await group.tearDown()
    }

    private static func judge(_ report: RegisterLoad.Report) {
        print(
            "  \(report.writes) writes and \(report.reads) reads; the longest write took \(report.longestWrite.inMilliseconds) ms;",
            "asked again after: \(report.refusals.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" })")
        #expect(report.unanswered.isEmpty)
        #expect(report.lost.isEmpty)
        #expect(Linearizability.check(report.calls) == .linearizable)
    }
}

extension Duration {
    var inMilliseconds: Int { Int(self / .milliseconds(1)) }
}
