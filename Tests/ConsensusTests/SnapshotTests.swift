@testable import Consensus
import Model
import Synchronization
import Testing

/// Snapshots on their way to followers.
@Suite struct SnapshotTests {
    private let data = Array(UInt8(0)..<20)

    private func chunk(
        _ offset: Int, term: UInt64 = 1, checksum: UInt32? = nil, bytes: [UInt8]? = nil, in group: Group
    ) -> Message {
        let end = min(offset + 5, data.count)
        return .snapshotChunk(
            SnapshotChunk(
                term: Term(term), snapshot: EntryID(term: Term(1), index: LogIndex(9)), configuration: group.founding,
                configurationIndex: .zero, totalBytes: data.count, checksum: checksum ?? CRC32C.of(data), offset: offset,
                bytes: bytes ?? Array(data[offset..<end])))
    }

    private func answers(_ group: inout Group) -> [Message] {
        defer { group.wire = [] }
        return group.wire.map(\.message)
    }

    private func wants(_ offset: Int, term: UInt64 = 1) -> [Message] {
        let id = EntryID(term: Term(1), index: LogIndex(9))
        return [.snapshotAnswer(SnapshotAnswer(term: Term(term), snapshot: id, nextOffset: offset))]
    }

    /// A member is cut off, and needs a snapshot by now.
    private static func leftBehind() throws -> (group: Group, leader: MemberID, away: MemberID) {
        var (group, leader) = try Group.elected()
        group.compactEvery = 5
        let away = try #require(group.names.first { $0 != leader })
        group.isolate(away)
        for number in 0..<20 { try group.propose("x\(number)", at: leader); try group.run(.milliseconds(5)) }
        return (group, leader, away)
    }

    @Test("a new leader with the same snapshot goes on where the old one stopped")
    func resumes() throws {
        var group = try Group(3)
        let (a, b, c) = (group.names[0], group.names[1], group.names[2])
        try group.input(.received(chunk(0, in: group), from: a), to: b)
        try group.input(.received(chunk(5, in: group), from: a), to: b)
        #expect(answers(&group) == wants(5) + wants(10))
        try group.input(.received(chunk(0, term: 2, in: group), from: c), to: b)
        #expect(answers(&group) == wants(10, term: 2))
    }

    @Test("another snapshot at the same place is not patched together with the first")
    func otherSnapshot() throws {
        var group = try Group(3)
        let (a, b) = (group.names[0], group.names[1])
        try group.input(.received(chunk(0, in: group), from: a), to: b)
        try group.input(.received(chunk(5, checksum: 7, in: group), from: a), to: b)
        #expect(answers(&group) == wants(5) + wants(0))
    }

    @Test("a snapshot whose checksum differs is never installed, and begun anew")
    func damaged() throws {
        var group = try Group(3)
        let (a, b) = (group.names[0], group.names[1])
        for offset in [0, 5, 10] { try group.input(.received(chunk(offset, in: group), from: a), to: b) }
        _ = answers(&group)
        try group.input(.received(chunk(15, bytes: [15, 16, 17, 18, 0], in: group), from: a), to: b)
        #expect(answers(&group).isEmpty)
        #expect(group.raft(b)?.log.base == .zero)
        try group.input(.received(chunk(15, in: group), from: a), to: b)
        #expect(answers(&group) == wants(0))
    }

    @Test("an answer that comes twice does not call for two chunks")
    func doubledAnswers() throws {
        var (group, _, away) = try Self.leftBehind()
        group.heal()
        group.weather.doubles = 100
        var chunks = 0
        let end = group.now + .milliseconds(300)
        while group.now < end, group.raft(away)?.log.base == .zero {
            group.now = group.now + .milliseconds(5)
            for name in group.names where (group.raft(name)?.nextDeadline ?? end) <= group.now {
                try group.input(.tick, to: name)
            }
            while !group.wire.isEmpty {
                if case .snapshotChunk = group.wire[0].message { chunks += 1 }
                try group.deliverOne()
            }
        }
        #expect((group.raft(away)?.log.base.index ?? .zero) > .zero)
        // Eight bytes in chunks of five; the network doubles each of the two, and the answers to them.
        #expect(chunks <= 4)
    }

    @Test("membership comes back from log and snapshot after all have stopped")
    func membership() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        group.compactEvery = 5
        let learner = group.names[3]
        try group.change([.addLearner(learner)], at: leader)
        try group.run(.milliseconds(100))
        try group.change([.promote(learner)], at: leader)
        try group.run(.milliseconds(100))
        for number in 0..<20 { try group.propose("x\(number)", at: leader); try group.run(.milliseconds(5)) }
        for name in group.names { group.crash(name) }
        for name in group.names {
            group.start(name)
            #expect((group.raft(name)?.log.base.index ?? .zero) > .zero)
            #expect(group.raft(name)?.configuration.voters == group.names)
        }
    }

    @Test("who is brought up by a snapshot knows where the configuration stands, as those do who were there")
    func configurationIndex() throws {
        var (group, leader) = try Group.elected(3, joining: 1)
        let away = try #require(group.names.first { $0 != leader })
        group.isolate(away)
        let added = try #require(try group.change([.addLearner(group.names[3])], at: leader))
        for number in 0..<5 { try group.propose("x\(number)", at: leader) }
        try group.run(.milliseconds(100))
        group.compactEvery = 5
        for number in 0..<20 { try group.propose("y\(number)", at: leader); try group.run(.milliseconds(5)) }
        group.heal()
        try group.run(.milliseconds(300))
        #expect((group.raft(away)?.snapshot.id.index ?? .zero) > added.index)
        for name in group.names {
            #expect((group.raft(name)?.log.base.index ?? .zero) > added.index)
            #expect(group.raft(name)?.log.configurationIndex == added.index)
            #expect(group.raft(name)?.snapshot.configurationIndex == added.index)
            group.crash(name)
            group.start(name)
            #expect(group.raft(name)?.log.configurationIndex == added.index)
        }
    }

    @Test("what is kept behind a snapshot is bounded by count and by bytes")
    func trailing() throws {
        let heavy = (1...10).map { index in
            Entry(id: EntryID(term: Term(1), index: LogIndex(index)), content: .command([UInt8](repeating: 0, count: 68)))
        }
        let log = RaftLog(snapshot: .founding(try MemberConfiguration(voters: [MemberID(text: "a")])), entries: heavy)
        func droppable(_ count: UInt64, _ bytes: Int) -> LogIndex {
            log.droppable(coveredThrough: LogIndex(8), keeping: count, bytes: bytes)
        }
        #expect(droppable(3, .max) == LogIndex(5))
        #expect(droppable(0, .max) == LogIndex(8))
        #expect(droppable(100, .max) == .zero)
        // An entry weighs a hundred.
        #expect(droppable(100, 300) == LogIndex(5))
        #expect(droppable(100, 299) == LogIndex(6))
        #expect(droppable(100, 99) == LogIndex(8))
        #expect(droppable(2, 300) == LogIndex(6))
    }

    @Test("a snapshot that is kept elsewhere is sent from there, and when it cannot be read just now, later")
    func keptElsewhere() throws {
        let gate = Gate()
        var (group, leader, away) = try Self.leftBehind()
        group.compactEvery = nil
        let taken = try #require(group.raft(leader)?.snapshot)
        #expect(taken.id.index > .zero)
        let bytes = taken.data
        let kept = SnapshotContents(count: bytes.count, checksum: CRC32C.of(bytes)) { range in
            gate.isOpen ? Array(bytes[range]) : nil
        }
        group.members[leader]?.raft?.keepSnapshot(taken.id, in: kept)
        group.heal()
        try group.run(.milliseconds(300))
        #expect(group.raft(away)?.log.base == .zero)
        gate.isOpen = true
        try group.run(.milliseconds(600))
        #expect(group.raft(away)?.log.base == taken.id)
        #expect(group.members[away]?.digest == group.members[leader]?.digest)
    }

    @Test("no chunk is made of bytes that cannot all be read", arguments: [nil, [], [0, 1, 2, 3]] as [[UInt8]?])
    func readShort(bytes: [UInt8]?) throws {
        let id = EntryID(term: Term(1), index: LogIndex(9))
        let configuration = try MemberConfiguration(voters: [MemberID(text: "a")])
        var outgoing = OutgoingSnapshot(Snapshot(id: id, configuration: configuration, data: data))
        #expect(outgoing.chunk(at: 0, limit: 5, term: Term(1))?.bytes == [0, 1, 2, 3, 4])
        outgoing.keep(SnapshotContents(count: data.count, checksum: CRC32C.of(data)) { _ in bytes })
        #expect(outgoing.chunk(at: 0, limit: 5, term: Term(1)) == nil)
    }

    @Test("a snapshot that is being sent goes on from where its bytes are kept by then")
    func keptMeanwhile() throws {
        var (group, leader, away) = try Self.leftBehind()
        group.compactEvery = nil
        let taken = try #require(group.raft(leader)?.snapshot)
        let lost = SnapshotContents(count: taken.data.count, checksum: CRC32C.of(taken.data)) { _ in nil }
        group.members[leader]?.raft?.keepSnapshot(taken.id, in: lost)
        group.heal()
        try group.run(.milliseconds(300))
        #expect(group.raft(away)?.log.base == .zero)
        group.members[leader]?.raft?.keepSnapshot(taken.id, in: SnapshotContents(taken.data))
        try group.run(.milliseconds(600))
        #expect(group.raft(away)?.log.base == taken.id)
    }

    @Test("what is kept of another snapshot than the newest changes nothing")
    func keptTooLate() throws {
        var (group, leader) = try Group.elected()
        group.compactEvery = 5
        for number in 0..<20 { try group.propose("x\(number)", at: leader); try group.run(.milliseconds(5)) }
        let taken = try #require(group.raft(leader)?.snapshot)
        let other = EntryID(term: taken.id.term, index: taken.id.index.previous)
        group.members[leader]?.raft?.keepSnapshot(
            other, in: SnapshotContents(count: taken.data.count, checksum: 0) { _ in nil })
        #expect(group.raft(leader)?.snapshot == taken && group.raft(leader)?.snapshot.data == taken.data)
    }
}

private final class Gate: Sendable {
    private let state = Mutex(false)
    var isOpen: Bool {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
