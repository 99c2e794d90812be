import Consensus
import Model
import Testing

/// Word of a commit that waits for an append to travel with.
@Suite struct CommitNewsTests {
    private func elected() throws -> (group: Group, leader: MemberID) {
        var settings = Group.settings
        settings.commitNewsDelay = .milliseconds(10)
        return try Group.elected(settings: settings)
    }

    private func commit(of name: MemberID, in group: Group) -> LogIndex { group.raft(name)?.log.commit ?? .zero }

    @Test("what is committed is told with the next append, and until then no message is sent for it")
    func rides() throws {
        var (group, leader) = try elected()
        let first = try #require(try group.propose("a", at: leader))
        // Two appends and their answers are all.
        #expect(group.wire.count == 2)
        try group.deliverAll()
        #expect(commit(of: leader, in: group) == first.index && group.wire.isEmpty)
        for name in group.names where name != leader { #expect(commit(of: name, in: group) < first.index) }
        try group.propose("b", at: leader)
        try group.deliverAll()
        for name in group.names where name != leader { #expect(commit(of: name, in: group) == first.index) }
    }

    @Test("where nothing follows, it is told after the delay, and once")
    func alone() throws {
        var (group, leader) = try elected()
        let id = try #require(try group.propose("a", at: leader))
        try group.deliverAll()
        let due = group.now + .milliseconds(10)
        #expect(try #require(group.raft(leader)).nextDeadline <= due)
        group.now = due
        try group.input(.tick, to: leader)
        #expect(group.wire.count { if case .append = $0.message { true } else { false } } == 2)
        try group.deliverAll()
        for name in group.names { #expect(commit(of: name, in: group) == id.index) }
        try group.input(.tick, to: leader)
        #expect(group.wire.isEmpty)
    }

    @Test("where another member waits for it, it is told at once")
    func awaited() throws {
        var (group, leader) = try elected()
        let id = try #require(try group.members[leader]?.raft?.propose(Array("a".utf8), isAwaitedElsewhere: true))
        try group.settle(leader)
        try group.deliverAll()
        for name in group.names { #expect(commit(of: name, in: group) == id.index) }
    }
}
