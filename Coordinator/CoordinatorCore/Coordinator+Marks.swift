// Whether all members come to the same state (rule C4). At fixed indices each tells the others a hash of what the entries since the
// last such index made of its state, and of all that was ever decided (the audit trail's head, which snapshots carry). A difference is
// an alarm at everybody who sees it. Whoever differs from a quorum that agrees takes no part any more: what it serves, and the snapshots
// that it would send, are not the group's. Each judges itself, so that no member is put out by another's word.
//
// A quorum that is wrong in the same way cannot be told from one that is right, and where no quorum agrees nobody stops: then people
// must look. A mark that is lost on its way is not sent again. What was decided differently shows in every later one, through the
// trail; a value that differs shows in the marks of its own interval alone.

package import Consensus
import Catalog
import Model

/// A member's state at one index, in few bytes.
package struct StateMark: Hashable, Sendable {
    package let index: LogIndex
    /// What the hash is made of: marks of different forms are not compared.
    package let form: UInt32
    package let hash: UInt64

    package init(index: LogIndex, form: UInt32 = StateHash.form, hash: UInt64) {
        self.index = index
        self.form = form
        self.hash = hash
    }
}

struct StateMarks: Sendable {
    /// Entries between two marks, counted from the log's beginning.
    static let interval: UInt64 = 128
    /// Of each member; one that is further behind compares nothing before it has caught up.
    private static let kept = 8

    /// Of the entries since the last mark; nil where not all of them were applied here.
    private(set) var hash: StateHash? = StateHash()
    private var marks: [MemberID: [StateMark]] = [:]

    /// The state was taken from a snapshot.
    mutating func begin(behind index: LogIndex) { hash = index.number % Self.interval == 0 ? StateHash() : nil }

    mutating func mix(_ bytes: [UInt8], _ applied: AppliedEntry) {
        hash?.mix(bytes)
        hash?.mix(applied)
    }

    /// The mark that is due behind the entry at `index`, if one is.
    mutating func mark(at index: LogIndex, trail head: [UInt8]) -> StateMark? {
        guard index.number % Self.interval == 0 else { return nil }
        defer { hash = StateHash() }
        hash?.mix(head)
        return hash.map { StateMark(index: index, hash: $0.value) }
    }

    mutating func note(_ mark: StateMark, of member: MemberID) {
        var known = marks[member] ?? []
        known.removeAll { $0.index == mark.index }
        known.append(mark)
        marks[member] = known.suffix(Self.kept)
    }

    /// Only of members: others' are forgotten.
    mutating func keep(_ members: [MemberID]) { marks = marks.filter { members.contains($0.key) } }

    func mark(of member: MemberID, at index: LogIndex) -> StateMark? { marks[member]?.first { $0.index == index } }
}

extension Coordinator {
    /// Every entry comes by here when it has been applied.
    mutating func markIfDue(at index: LogIndex, now: LogicalInstant) {
        guard let mark = marks.mark(at: index, trail: catalog.audit.head) else { return }
        let others = raft.configuration.members.filter { $0 != id }
        marks.keep(others + [id])
        marks.note(mark, of: id)
        for member in others { actions.append(.send(.mark(mark), to: member)) }
        for member in others where differs(member, from: mark) { actions.append(.stateDiffers(member, at: index)) }
        judge(mark, at: now)
    }

    mutating func take(_ mark: StateMark, from sender: MemberID, at now: LogicalInstant) {
        guard raft.configuration.members.contains(sender), marks.mark(of: sender, at: mark.index) != mark else { return }
        marks.note(mark, of: sender)
        guard let own = marks.mark(of: id, at: mark.index) else { return }
        if differs(sender, from: own) { actions.append(.stateDiffers(sender, at: mark.index)) }
        judge(own, at: now)
    }

    private func differs(_ member: MemberID, from own: StateMark) -> Bool {
        marks.mark(of: member, at: own.index).map { $0.form == own.form && $0.hash != own.hash } ?? false
    }

    /// Whether a quorum agrees on another state than this member's.
    private mutating func judge(_ own: StateMark, at now: LogicalInstant) {
        let differing = raft.configuration.members.filter { $0 != id && differs($0, from: own) }
        for member in differing {
            let agreeing = differing.filter { marks.mark(of: $0, at: own.index) == marks.mark(of: member, at: own.index) }
            guard raft.configuration.isQuorum(Set(agreeing)) else { continue }
            return raft.step(.stateDiffers(own.index), at: now)
        }
    }
}
