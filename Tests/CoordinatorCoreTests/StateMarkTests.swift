import Catalog
import Consensus
@testable import CoordinatorCore
import Model
import Testing

@Suite("one state at every member")
struct StateMarkTests {
    private static let twisted = "twisted"

    /// A group in which c1, and perhaps c2, read what the reason marks otherwise than it was written: their state machine is another.
    private func group(
        wrong: [String], reading other: @escaping @Sendable (MemberID) -> Command = Self.colour
    ) throws -> CoordinatorGroup {
        try CoordinatorGroup(settings: CoordinatorSettings(snapshotEntries: 10_000)) { name, codec in
            let isWrong = wrong.contains(name.description)
            return CoordinatorCodec(
                encode: codec.encode,
                decode: { (bytes) throws(MalformedEntry) in
                    let entry = try codec.decode(bytes)
                    return isWrong ? Self.twist(entry, to: other(name)) : entry
                },
                encodeSnapshot: codec.encodeSnapshot, decodeSnapshot: codec.decodeSnapshot, digest: Self.digest)
        }
    }

    /// The trail's head tells what was decided.
    private static func digest(of bytes: [UInt8]) -> [UInt8] {
        var hash = StateHash()
        hash.mix(bytes)
        return (0..<8).map { UInt8(truncatingIfNeeded: hash.value >> (8 * $0)) }
    }

    /// Another value for each.
    private static func colour(at name: MemberID) -> Command {
        .configure(.global, [ConfigurationWrite(key: "app.colour", value: "\"\(name)\"")])
    }

    private static func twist(_ entry: CatalogEntry, to other: Command) -> CatalogEntry {
        guard entry.reason == twisted else { return entry }
        return CatalogEntry(
            command: other, actor: entry.actor, reason: entry.reason, requestID: entry.requestID,
            fingerprint: entry.fingerprint, traceID: entry.traceID, time: entry.time)
    }

    private func fill(_ group: inout CoordinatorGroup, to index: UInt64, reason: String = "") throws {
        for _ in 0..<1_000 {
            guard let leader = group.leader, let applied = group.members[leader]?.raft.log.applied.number, applied < index
            else { break }
            let write = ConfigurationWrite(key: "app.colour", value: "\"red\"")
            _ = try group.commit(.configure(.global, [write]), as: "fill-\(group.lastCaller)", reason: reason, at: leader)
        }
        try #require(group.names.contains { (group.members[$0]?.raft.log.applied.number ?? 0) >= index })
    }

    @Test("members in the same state raise no alarm, those that begin anew or from a snapshot included")
    func same() throws {
        var group = try CoordinatorGroup(settings: CoordinatorSettings(snapshotEntries: 50), trailingEntries: 10)
        let old = try #require(group.follower)
        let fresh = MemberID(old.node, store: StoreID(0xF2))
        try fill(&group, to: 140)
        group.down.insert(old)
        try fill(&group, to: 200)
        try group.start(fresh)
        group.run(.seconds(2))
        // No place where a mark is due.
        try #require(group.members[fresh].map { $0.marks.hash == nil && $0.raft.snapshot.id.index > .zero } == true)
        try fill(&group, to: 400)
        #expect(group.alarms.isEmpty && group.faults.isEmpty)
        let present = group.names.filter { $0 != old }
        for name in present {
            #expect(present.allSatisfy { group.members[name]?.marks.mark(of: $0, at: LogIndex(384)) != nil }, "\(name)")
            #expect(group.members[name]?.marks.mark(of: old, at: LogIndex(128)) == nil, "of one that is no member any more")
        }
    }

    @Test("a member whose state differs from that of a quorum takes no part any more; the others raise an alarm and go on")
    func oneDiffers() throws {
        var group = try group(wrong: ["c1"])
        let wrong = try MemberID(text: "c1")
        try fill(&group, to: 20, reason: Self.twisted)
        try fill(&group, to: 127)
        #expect(group.alarms.isEmpty && group.faults.isEmpty)
        try fill(&group, to: 130)
        #expect(group.faults == [wrong: .stateDiffers(LogIndex(128))])
        let others = group.names.filter { $0 != wrong }
        #expect(others.allSatisfy { name in group.alarms.contains { $0.at == name && $0.of == wrong } })
        try fill(&group, to: 300)
        #expect(group.faults.count == 1)
        #expect(!group.alarms.contains { $0.of != wrong && $0.at != wrong })
    }

    @Test("where no quorum agrees everybody raises an alarm, and nobody is put out")
    func allDiffer() throws {
        var group = try group(wrong: ["c1", "c2"])
        try fill(&group, to: 20, reason: Self.twisted)
        try fill(&group, to: 140)
        #expect(group.faults.isEmpty)
        #expect(Set(group.alarms.map(\.at)).count == 3)
    }

    @Test("who once decided something else is found out at every mark, though all that came since was applied alike")
    func staysKnown() throws {
        var group = try group(wrong: ["c1", "c2"], reading: { .dismissCoordinator($0.node) })
        try fill(&group, to: 20, reason: Self.twisted)
        try fill(&group, to: 260)
        #expect(Set(group.alarms.filter { $0.index == LogIndex(256) }.map(\.at)).count == 3)
    }

    @Test("marks that come before one's own are compared when that is due")
    func early() throws {
        var group = try CoordinatorGroup(settings: CoordinatorSettings(snapshotEntries: 10_000))
        let follower = try #require(group.follower)
        let others = group.names.filter { $0 != follower }
        try fill(&group, to: 100)
        // What the others say at 128 is lost on this member.
        group.down.insert(follower)
        try fill(&group, to: 130)
        group.down.remove(follower)
        for other in others {
            group.step(.received(.mark(StateMark(index: LogIndex(128), hash: 1)), from: other), at: follower)
        }
        #expect(group.alarms.isEmpty && group.faults.isEmpty)
        group.run(.milliseconds(500))
        #expect(Set(group.alarms.filter { $0.at == follower }.map(\.of)) == Set(others))
        #expect(group.faults == [follower: .stateDiffers(LogIndex(128))])
    }

    @Test("a mark that comes twice is one alarm, and one member's word puts nobody out")
    func twice() throws {
        var group = try CoordinatorGroup(settings: CoordinatorSettings(snapshotEntries: 10_000))
        let follower = try #require(group.follower)
        let other = try #require(group.names.first { $0 != follower })
        try fill(&group, to: 130)
        let mark = StateMark(index: LogIndex(128), hash: 1)
        for _ in 1...2 { group.step(.received(.mark(mark), from: other), at: follower) }
        #expect(group.alarms.count == 1 && group.faults.isEmpty)
    }

    @Test("a mark is of what stands in the entries, of what they came to, and of all that was decided before")
    func parts() {
        func mark(_ bytes: [UInt8], _ result: CommandResult, _ head: [UInt8]) -> StateMark? {
            var marks = StateMarks()
            marks.mix(bytes, AppliedEntry(result: result, delta: nil, audit: nil))
            return marks.mark(at: LogIndex(StateMarks.interval), trail: head)
        }
        let marks = [
            mark([1], .accepted(.nothing), [1]), mark([2], .accepted(.nothing), [1]), mark([1], .accepted(.version(1)), [1]),
            mark([1], .accepted(.nothing), [2]),
        ]
        #expect(Set(marks).count == marks.count && !marks.contains(nil))
    }

    @Test("the newest marks of a member are kept, and no more of them")
    func bounded() throws {
        var marks = StateMarks()
        let member = try MemberID(text: "c1")
        for number: UInt64 in 1...100 {
            marks.note(StateMark(index: LogIndex(number * StateMarks.interval), hash: number), of: member)
        }
        #expect(marks.mark(of: member, at: LogIndex(StateMarks.interval)) == nil)
        #expect(marks.mark(of: member, at: LogIndex(100 * StateMarks.interval))?.hash == 100)
    }

    @Test("marks of another form, of strangers, and of what is not known here are left alone")
    func incomparable() throws {
        var group = try CoordinatorGroup(settings: CoordinatorSettings(snapshotEntries: 10_000))
        let follower = try #require(group.follower)
        let others = group.names.filter { $0 != follower }
        try fill(&group, to: 130)
        for other in others {
            let later = StateMark(index: LogIndex(256), hash: 1)
            let foreign = StateMark(index: LogIndex(128), form: StateHash.form + 1, hash: 1)
            for mark in [later, foreign] { group.step(.received(.mark(mark), from: other), at: follower) }
        }
        for stranger in ["c8", "c9"] {
            let mark = StateMark(index: LogIndex(128), hash: 1)
            group.step(.received(.mark(mark), from: try MemberID(text: stranger)), at: follower)
        }
        #expect(group.alarms.isEmpty && group.faults.isEmpty)
        let mark = StateMark(index: LogIndex(128), hash: 1)
        for other in others { group.step(.received(.mark(mark), from: other), at: follower) }
        #expect(group.faults == [follower: .stateDiffers(LogIndex(128))])
    }
}
