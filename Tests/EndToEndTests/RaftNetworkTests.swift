import Foundation
import NIOHTTP1
import ProcessKit
import Testing

/// The coordinator group on a network that loses, in one direction or both, what some members send to others. Their clients reach every
/// member all the time.
@Suite(
    .serialized, .enabled(if: Programs.areBuilt, "the programs are not built"),
    .enabled(if: CoordinatorGroup.network == nil, "\(CoordinatorGroup.network ?? "")"))
struct RaftNetworkTests {
    private typealias Cut = TestNetwork.Cut

    /// Cuts, sees whether writes are done that should be, mends, and sees that they are.
    ///
    /// - Parameter meanwhile: what is to be seen while they are cut.
    /// - Returns: how long the first write took that was begun after the cut; nil where no quorum was left.
    @discardableResult
    private func live(
        through cuts: [Cut], for span: Duration, _ group: CoordinatorGroup, _ load: RegisterLoad,
        meanwhile: () async throws -> Void = {}
    ) async throws -> Duration? {
        let network = try #require(group.network)
        let began = ContinuousClock.now
        try network.cut(cuts)
        var outage: Duration?
        if Self.leavesQuorum(cuts, of: group.names) { outage = try await load.nextWrite("with \(cuts) cut") }
        try await meanwhile()
        try await load.letItRun(for: span, since: began)
        try network.heal(cuts)
        try await load.nextWrite("with \(cuts) mended")
        return outage
    }

    /// Whether a majority is left in which everybody hears everybody.
    private static func leavesQuorum(_ cuts: [Cut], of names: [String]) -> Bool {
        (0..<1 << names.count).contains { set in
            let members = names.indices.filter { set & 1 << $0 != 0 }.map { names[$0] }
            return members.count > names.count / 2 && !cuts.contains { members.contains($0.from) && members.contains($0.to) }
        }
    }

    private func tell(_ outages: [(cuts: [Cut], outage: Duration?)]) {
        let worst = outages.compactMap { cuts, outage in outage.map { (cuts, $0) } }.max { $0.1 < $1.1 }
        guard let worst else { return }
        print("  \(outages.count) cuts; the longest time to the next write was \(worst.1.inMilliseconds) ms, with \(worst.0)")
    }

    @Test("three members go on through every one-way cut between two of them, under the same leader")
    func oneWay() async throws {
        // A machine that stands still for longer than members wait changes leaders too; a fault of ours would do so each time.
        var isKept = false
        for _ in 0..<3 where !isKept {
            try await GroupStory.tell { group, load in isKept = try await keepsLeader(group, load) }
        }
        #expect(isKept)
    }

    /// Whether the leader, who has a quorum all the time, stays one through every one-way cut: whoever misses it disturbs nobody.
    private func keepsLeader(_ group: CoordinatorGroup, _ load: RegisterLoad) async throws -> Bool {
        let before = try await group.view()
        var outages: [(cuts: [Cut], outage: Duration?)] = []
        for cut in group.directions {
            let span = Duration.seconds(GroupStory.isLong ? 8 : 2)
            let leader = try await group.view()["leader"]?.string
            let outage = try await live(through: [cut], for: span, group, load) {
                guard cut.from == leader else { return }
                try await expectEventually("\(cut.to) misses its leader", within: 5) {
                    // Or it follows another, who was elected a moment before: then this was not the leader's cut.
                    try await group.ownView(of: cut.to)["leader"]?.string != leader
                }
            }
            outages.append(([cut], outage))
            // Links take a while to be heard again. One who misses the leader still would elect another with one who is to miss it next.
            try await expectEventually("everybody follows after \(cut)", within: 10) {
                for name in group.names where try await group.ownView(of: name)["leader"] == .null { return false }
                return true
            }
        }
        tell(outages)
        let after = try await group.view()
        return after["leader"] == before["leader"] && after["term"] == before["term"]
    }

    @Test("a leader that is heard by nobody, or hears nobody, is followed by one who is and does")
    func muteAndDeaf() async throws {
        try await GroupStory.tell { group, load in
            for _ in 0..<(GroupStory.isLong ? 5 : 1) {
                for isMute in [true, false] {
                    let leader = try await group.leader()
                    let cuts = group.directions.filter { isMute ? $0.from == leader : $0.to == leader }
                    let network = try #require(group.network)
                    try network.cut(cuts)
                    let outage = try await load.nextWrite("with a \(isMute ? "mute" : "deaf") leader")
                    print("  \(outage.inMilliseconds) ms until the next write, the leader being \(isMute ? "mute" : "deaf")")
                    try await group.waitFor("another leader") { $0["leader"]?.string != leader }
                    try network.heal(cuts)
                    try await group.waitFor("\(leader) is back") { CoordinatorGroup.isConnected(leader, in: $0) }
                }
            }
        }
    }

    @Test("a follower that was cut off comes back without a new term", arguments: [GroupStory.isLong ? 30 : 3])
    func cutOff(seconds: Int) async throws {
        try await GroupStory.tell { group, load in
            let before = try await group.view()
            let follower = try #require(group.names.first { $0 != before["leader"]?.string })
            let cuts = group.directions.filter { $0.from == follower || $0.to == follower }
            try await live(through: cuts, for: .seconds(seconds), group, load)
            try await group.waitFor("\(follower) is back") { CoordinatorGroup.isConnected(follower, in: $0) }
            let after = try await group.view()
            #expect(after["leader"] == before["leader"])
            #expect(after["term"] == before["term"])
        }
    }

    @Test(
        "three members go on through every set of one-way cuts that leaves a quorum, and after every other",
        .enabled(if: GroupStory.isLong, "takes minutes: make test-long"))
    func everySet() async throws {
        try await GroupStory.tell { group, load in
            let directions = group.directions
            var outages: [(cuts: [Cut], outage: Duration?)] = []
            for set in 1..<1 << directions.count {
                let cuts = directions.indices.filter { set & 1 << $0 != 0 }.map { directions[$0] }
                outages.append((cuts, try await live(through: cuts, for: .seconds(2), group, load)))
            }
            tell(outages)
        }
    }

    @Test(
        "five members go on through every one-way cut between two of them, and with any of them mute or deaf",
        .enabled(if: GroupStory.isLong, "takes minutes: make test-long"))
    func five() async throws {
        try await GroupStory.tell(members: 5) { group, load in
            let single = group.directions.map { [$0] }
            let mute = group.names.map { name in group.directions.filter { $0.from == name } }
            let deaf = group.names.map { name in group.directions.filter { $0.to == name } }
            // Two of five on their own, in either direction.
            let minority = group.names.dropLast().enumerated().map { index, name in
                let pair = [name, group.names[index + 1]]
                return group.directions.filter { pair.contains($0.from) && !pair.contains($0.to) }
            }
            var outages: [(cuts: [Cut], outage: Duration?)] = []
            for cuts in single + mute + deaf + minority {
                outages.append((cuts, try await live(through: cuts, for: .seconds(4), group, load)))
            }
            tell(outages)
        }
    }
}
