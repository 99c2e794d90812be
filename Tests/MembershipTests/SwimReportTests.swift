import Membership
import MembershipSimulation
import Model
import Testing

/// What is reported, and what not any more.
@Suite struct SwimReportTests {
    private func record(
        _ index: Int, _ status: MemberStatus, incarnation: UInt64 = 0, by accuser: Int? = nil, refused: Bool = false
    ) -> MemberRecord {
        MemberRecord(
            node: World.node(index), life: Life(generation: Generation(1), incarnation: incarnation), status: status,
            profile: World.profile(index), accuser: accuser.map(World.node), refused: refused)
    }

    private func gossip(_ rumours: [MemberRecord], from index: Int = 1) -> Swim.Input {
        .received(
            SwimMessage(
                from: World.node(index), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
                rumours: rumours), from: World.address(index))
    }

    /// A member that has known six others for long enough to judge them as it judges anybody.
    private func knowingSix() -> (Swim, LogicalInstant) {
        var swim = Swim(
            node: World.node(0), generation: Generation(1), profile: World.profile(0), tuning: .fast, seed: 4, at: .origin)
        _ = swim.step(gossip((1...6).map { record($0, .alive) }), at: .origin)
        let now = LogicalInstant.origin + swim.tuning.youth
        _ = swim.step(.tick, at: now)
        return (swim, now)
    }

    /// Time passes; all but those who are gone answer, and say of whom they hear nothing.
    private func run(_ swim: inout Swim, from now: inout LogicalInstant, for span: Span, gone: Set<Int>) -> [DeathFindings] {
        var reports: [DeathFindings] = []
        let end = now + span
        while now < end {
            now = now + swim.tuning.tick
            for action in swim.step(.tick, at: now) {
                if case .reportDeaths(let report) = action { reports.append(report) }
                guard case .send(let message, let address) = action, let (index, body) = answer(to: message, at: address, gone)
                else { continue }
                let answer = SwimMessage(
                    from: World.node(index), life: Life(generation: Generation(1), incarnation: 0), revision: .none,
                    body: body, rumours: [])
                _ = swim.step(.received(answer, from: World.address(index)), at: now)
            }
        }
        return reports
    }

    /// - Returns: who answers, and what; nil when nobody does.
    private func answer(to message: SwimMessage, at address: String, _ gone: Set<Int>) -> (Int, SwimMessage.Body)? {
        guard let index = (1...6).first(where: { World.address($0) == address }), !gone.contains(index) else { return nil }
        switch message.body {
        case .ping(let number, _): return (index, .ack(sequence: number))
        case .pingRequest(let number, let target, _):
            return (index, gone.contains { World.node($0) == target } ? .nack(sequence: number) : .ack(sequence: number))
        case .ack, .nack, .gossip, .records: return nil
        }
    }

    @Test("whoever was only expected is news when it is first heard, and not again")
    func heardAtLast() {
        var swim = Swim(
            node: World.node(0), generation: Generation(1), profile: World.profile(0), tuning: .fast, seed: 4, at: .origin)
        let entry = RosterEntry(node: World.node(1), generation: Generation(1), profile: World.profile(1))
        let news = Swim.Action.memberChanged(record(1, .alive))
        let expected = swim.step(.roster([entry]), at: .origin)
        #expect(expected.contains(news) && swim.member(World.node(1))?.heard == false)
        let first = swim.step(gossip([]), at: .origin)
        #expect(first.contains(news) && swim.member(World.node(1))?.heard == true)
        let again = swim.step(gossip([]), at: .origin)
        #expect(!again.contains(news))
    }

    private func named(_ index: Int) -> RosterEntry {
        RosterEntry(node: World.node(index), generation: Generation(1), profile: World.profile(index))
    }

    /// Six, of whom the control plane knows as well.
    private func expectingSix() -> (Swim, LogicalInstant) {
        var (swim, now) = knowingSix()
        _ = swim.step(.roster((1...6).map(named)), at: now)
        return (swim, now)
    }

    @Test("a death that was refuted, and of which only the next accusation reaches us, is reported no more")
    func refutedUnheard() throws {
        var (swim, now) = expectingSix()
        for accuser in [4, 5] {
            _ = swim.step(gossip([record(3, .suspect, by: accuser, refused: true)], from: accuser), at: now)
        }
        let told = run(&swim, from: &now, for: .seconds(4), gone: [3])
        #expect(swim.status(of: World.node(3)) == .dead)
        #expect(told.count > 2 && told.allSatisfy { $0.deaths.map(\.node) == [World.node(3)] })
        // Its refutation was lost on the way; somebody accuses it again.
        _ = swim.step(gossip([record(3, .suspect, incarnation: 1, by: 4)], from: 4), at: now)
        #expect(swim.status(of: World.node(3)) == .suspect)
        #expect(swim.counters.falsePositives == 1)
        #expect(run(&swim, from: &now, for: .seconds(1), gone: []).isEmpty)
    }

    @Test("whoever answers the call that a rumour of its death brings about is reported only when it answers no more")
    func answersTheCall() throws {
        var (swim, now) = expectingSix()
        // A later life, which it cannot refute, and which is not its own.
        let rumour = MemberRecord(
            node: World.node(3), life: Life(generation: Generation(2), incarnation: 0), status: .dead,
            profile: World.profile(3, store: 77), accuser: World.node(4))
        _ = swim.step(gossip([rumour], from: 4), at: now)
        #expect(swim.status(of: World.node(3)) == .dead)
        #expect(run(&swim, from: &now, for: .seconds(8), gone: []).isEmpty)
        let told = run(&swim, from: &now, for: .seconds(8), gone: [3])
        #expect(!told.isEmpty && told.allSatisfy { $0.deaths.map(\.node) == [World.node(3)] })
    }

    @Test("who is said by others to have left is called, and reported only when it does not answer")
    func hearsay() {
        var (swim, now) = expectingSix()
        _ = swim.step(gossip([record(3, .left, incarnation: 1)], from: 4), at: now)
        #expect(swim.status(of: World.node(3)) == .left)
        #expect(run(&swim, from: &now, for: .seconds(8), gone: []).isEmpty)
        let told = run(&swim, from: &now, for: .seconds(8), gone: [3])
        #expect(!told.isEmpty && told.allSatisfy { $0.deaths.map(\.node) == [World.node(3)] })
    }

    @Test("who says itself that it leaves is reported, whoever said so before, and though it answers for a moment more")
    func ownWord() {
        for senders in [[3], [4, 3]] {
            var (swim, now) = expectingSix()
            for sender in senders { _ = swim.step(gossip([record(3, .left, incarnation: 1)], from: sender), at: now) }
            // Those nearest to it speak at once, the others after a while.
            let told = run(&swim, from: &now, for: swim.tuning.reportInterval * 6, gone: [])
            #expect(!told.isEmpty && told.allSatisfy { $0.deaths.map(\.node) == [World.node(3)] })
        }
    }

    @Test("the death of a node that no topology names is reported for a minute, and again once one names it")
    func namedLate() {
        var (swim, now) = knowingSix()
        for accuser in [4, 5] { _ = swim.step(gossip([record(3, .suspect, by: accuser)], from: accuser), at: now) }
        #expect(!run(&swim, from: &now, for: .seconds(8), gone: [3]).isEmpty)
        _ = run(&swim, from: &now, for: .seconds(60), gone: [3])
        #expect(run(&swim, from: &now, for: .seconds(4), gone: [3]).isEmpty)
        _ = swim.step(.roster([named(3)]), at: now)
        let told = run(&swim, from: &now, for: .seconds(8), gone: [3])
        #expect(!told.isEmpty && told.allSatisfy { $0.deaths.map(\.node) == [World.node(3)] })
    }

    @Test("a farewell that is heard before the topology names the node is reported once it does")
    func leftUnnamed() {
        var (swim, now) = knowingSix()
        _ = swim.step(gossip([record(3, .left, incarnation: 1)], from: 3), at: now)
        #expect(run(&swim, from: &now, for: .seconds(8), gone: [3]).isEmpty)
        _ = swim.step(.roster([named(3)]), at: now)
        let told = run(&swim, from: &now, for: .seconds(8), gone: [3])
        #expect(!told.isEmpty && told.allSatisfy { $0.deaths.map(\.node) == [World.node(3)] })
    }

    @Test("the death of a node that the topology names no more is not reported any more")
    func namedNoMore() {
        var (swim, now) = expectingSix()
        for accuser in [4, 5] { _ = swim.step(gossip([record(3, .suspect, by: accuser)], from: accuser), at: now) }
        #expect(!run(&swim, from: &now, for: .seconds(8), gone: [3]).isEmpty)
        _ = swim.step(.roster([]), at: now)
        #expect(run(&swim, from: &now, for: .seconds(8), gone: [3]).isEmpty)
    }

    @Test("what we found out about one life of a node is no evidence that the next is over: it is called first")
    func earlierLife() {
        var (swim, now) = expectingSix()
        // Called in vain, and on the way to a verdict.
        for accuser in [4, 5] { _ = swim.step(gossip([record(3, .suspect, by: accuser)], from: accuser), at: now) }
        _ = run(&swim, from: &now, for: .milliseconds(900), gone: [3])
        #expect(swim.status(of: World.node(3)) == .suspect)
        let rumour = MemberRecord(
            node: World.node(3), life: Life(generation: Generation(2), incarnation: 0), status: .dead,
            profile: World.profile(3), accuser: World.node(4))
        _ = swim.step(gossip([rumour], from: 4), at: now)
        #expect(swim.status(of: World.node(3)) == .dead)
        #expect(run(&swim, from: &now, for: .seconds(8), gone: []).isEmpty)
    }
}
