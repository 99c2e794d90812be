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

    private var told: [NodeID: Belief] = [:]
    private var nextLook = LogicalInstant(microseconds: .min)

    /// - Returns: whether the core did not know this yet.
    @discardableResult
    mutating func note(_ member: Held) -> Bool {
        guard member.record.profile.kind == .agent else { return false }
        let belief = Belief(member)
        return told.updateValue(belief, forKey: member.record.node) != belief
    }

    /// What of all that is held the core does not know, if it is time to look; who is held no more is forgotten.
    mutating func news(among members: () -> [Held], at now: LogicalInstant) -> [Held] {
        guard now >= nextLook else { return [] }
        nextLook = now + Self.interval
        let members = members()
        let news = members.filter { note($0) }
        let held = Set(members.map(\.record.node))
        told = told.filter { held.contains($0.key) }
        return news
    }
}
