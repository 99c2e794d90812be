import Membership
import Model

/// What the core was last told that gossip holds of each agent. Changes come as events, of which the oldest are lost to a reader that is
/// behind, and none comes of what stays as it is: so all is looked at from time to time, and what differs is told.
struct ToldBeliefs: Sendable {
    static let interval = Span.seconds(5)

    /// A member, and whether anything was heard of it in that life.
    struct Held: Hashable, Sendable {
        let record: MemberRecord
        let isHeard: Bool

        init(record: MemberRecord, isHeard: Bool) {
            self.record = record
            self.isHeard = isHeard
        }

        init(_ member: Member) { self.init(record: member.record, isHeard: member.heard) }

        /// The same, whom nobody holds any more.
        var asGone: Held {
            var record = record
            record.status = .left
            return Held(record: record, isHeard: false)
        }
    }

    private struct Belief: Hashable, Sendable {
        let life: Life
        let session: SessionID
        let isAlive: Bool
        let isHeard: Bool

        init(_ member: Held) {
            life = member.record.life
            session = member.record.profile.session
            isAlive = member.record.status == .alive
            isHeard = member.isHeard
        }
    }

    private var told: [NodeID: Held] = [:]
    private var nextLook = LogicalInstant(microseconds: .min)

    /// - Returns: whether the core did not know this yet.
    @discardableResult
    mutating func note(_ member: Held) -> Bool {
        guard member.record.profile.kind == .agent else { return false }
        return told.updateValue(member, forKey: member.record.node).map(Belief.init) != Belief(member)
    }

    /// What of all that is held the core does not know, if it is time to look; who is held no more is forgotten, there and here.
    mutating func news(among members: () -> [Held], at now: LogicalInstant) -> [Held] {
        guard now >= nextLook else { return [] }
        nextLook = now + Self.interval
        let members = members()
        let news = members.filter { note($0) }
        let held = Set(members.map(\.record.node))
        let gone = told.values.filter { !held.contains($0.record.node) }.sorted { $0.record.node < $1.record.node }
        for member in gone { told[member.record.node] = nil }
        return news + gone.filter { $0.record.status == .alive }.map(\.asGone)
    }
}
