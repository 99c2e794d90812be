package import Consensus
import FoundationEssentials
import Model
import SwiftProtobuf
package import Wire

// Raft's values on the wire and in the log. Readers are total: a peer's certificate says who it is, not that it is sane.

extension Check {
    /// A member's name as `MemberID` writes it: of a founding member, that of its node.
    static func member(_ name: String, _ field: String) throws(WireError) -> MemberID {
        do { return try MemberID(text: name) } catch { throw WireError(field, .invalid(error.detail)) }
    }
}

extension EntryID: WireCodable {
    package init(wire: ProtoRaftEntryID) throws(WireError) {
        self.init(
            term: Term(try Check.counter(wire.term, "RaftEntryID.term")),
            index: LogIndex(try Check.counter(wire.index, "RaftEntryID.index")))
    }

    package var wire: ProtoRaftEntryID {
        var wire = ProtoRaftEntryID()
        wire.term = term.number
        wire.index = index.number
        return wire
    }
}

extension MemberConfiguration: WireCodable {
    /// More members than any group has.
    private static let limit = 64

    package init(wire: ProtoRaftMembers) throws(WireError) {
        func members(_ names: [String], _ field: String) throws(WireError) -> [MemberID] {
            try Check.list(names, field, atMost: Self.limit) { (name) throws(WireError) in try Check.member(name, field) }
        }
        let voters = try members(wire.voters, "RaftMembers.voters")
        let outgoing = try members(wire.outgoing, "RaftMembers.outgoing")
        let learners = try members(wire.learners, "RaftMembers.learners")
        do {
            try self.init(voters: voters, outgoing: outgoing, learners: learners)
        } catch {
            throw WireError("RaftMembers.\(error.field)", .invalid(error.detail))
        }
    }

    package var wire: ProtoRaftMembers {
        var wire = ProtoRaftMembers()
        wire.voters = voters.map(\.description)
        wire.outgoing = outgoing.map(\.description)
        wire.learners = learners.map(\.description)
        return wire
    }
}

extension Consensus.Entry: WireCodable {
    package init(wire: ProtoRaftEntry) throws(WireError) {
        guard wire.hasID else { throw WireError("RaftEntry.id", .missing) }
        let content: EntryContent
        switch try Check.present(wire.content, "RaftEntry.content") {
        case .leaderStarted(let marker):
            try Check.marker(marker, "RaftEntry.leader_started")
            content = .leaderStarted
        case .command(let data): content = .command(try Check.bytes(data, "RaftEntry.command", atMost: Limits.frameBytes))
        case .configuration(let members): content = .configuration(try MemberConfiguration(wire: members))
        }
        self.init(id: try EntryID(wire: wire.id), content: content)
    }

    package var wire: ProtoRaftEntry {
        var wire = ProtoRaftEntry()
        wire.id = id.wire
        switch content {
        case .leaderStarted: wire.leaderStarted = true
        case .command(let bytes): wire.command = Data(bytes)
        case .configuration(let members): wire.configuration = members.wire
        }
        return wire
    }
}

extension HardState: WireCodable {
    package init(wire: ProtoRaftHardState) throws(WireError) {
        self.init(
            term: Term(try Check.counter(wire.term, "RaftHardState.term")),
            vote: wire.hasVote ? try Check.member(wire.vote, "RaftHardState.vote") : nil,
            commit: LogIndex(try Check.counter(wire.commit, "RaftHardState.commit")))
    }

    package var wire: ProtoRaftHardState {
        var wire = ProtoRaftHardState()
        wire.term = term.number
        if let vote { wire.vote = vote.description }
        wire.commit = commit.number
        return wire
    }
}

extension Consensus.Snapshot: WireCodable {
    package init(wire: ProtoRaftSnapshot) throws(WireError) {
        guard wire.hasID, wire.hasConfiguration else { throw WireError("RaftSnapshot.id", .missing) }
        let id = try EntryID(wire: wire.id)
        let place = LogIndex(try Check.counter(wire.configurationIndex, "RaftSnapshot.configuration_index"))
        guard place <= id.index else {
            throw WireError("RaftSnapshot.configuration_index", .invalid("\(place) is behind the snapshot at \(id)"))
        }
        self.init(
            id: id, configuration: try MemberConfiguration(wire: wire.configuration), configurationIndex: place,
            data: [UInt8](wire.data))
    }

    package var wire: ProtoRaftSnapshot {
        var wire = ProtoRaftSnapshot()
        wire.id = id.wire
        wire.configuration = configuration.wire
        wire.configurationIndex = configurationIndex.number
        wire.data = Data(data)
        return wire
    }
}

extension Consensus.Snapshot {
    /// Where `data` stands in what `serialized()` gives, which has `count` bytes: before the last field.
    func placeOfData(inBodyOf count: Int) -> Range<Int> {
        var behind = ProtoRaftSnapshot()
        behind.configurationIndex = configurationIndex.number
        let end = count - ((try? behind.serializedBytes() as [UInt8])?.count ?? 0)
        return end - contents.count..<end
    }
}

extension VoteRequest: WireCodable {
    package init(wire: ProtoRaftVoteRequest) throws(WireError) {
        self.init(
            term: Term(try Check.counter(wire.term, "RaftVoteRequest.term")), last: try EntryID(wire: wire.last),
            isTransfer: wire.isTransfer)
    }

    package var wire: ProtoRaftVoteRequest {
        var wire = ProtoRaftVoteRequest()
        wire.term = term.number
        wire.last = last.wire
        wire.isTransfer = isTransfer
        return wire
    }
}

extension VoteAnswer: WireCodable {
    package init(wire: ProtoRaftVoteAnswer) throws(WireError) {
        self.init(term: Term(try Check.counter(wire.term, "RaftVoteAnswer.term")), granted: wire.granted)
    }

    package var wire: ProtoRaftVoteAnswer {
        var wire = ProtoRaftVoteAnswer()
        wire.term = term.number
        wire.granted = granted
        return wire
    }
}
