import Membership
import Model

/// What the core was last told that gossip holds of each agent. Changes come as events, of which the oldest are lost to a reader that is
/// behind, and none comes of what stays as it is: so all is looked at from time to time, and what differs is told.
struct ToldBeliefs: Sendable {
    static let interval = Span.seconds(5)

    private struct Belief: Hashable, Sendable {
        let life: Life
        let session: SessionID
        let isAlive: Bool

        init(_ record: MemberRecord) {
            life = record.life
            session = record.profile.session
            isAlive = record.status == .alive
        }
    }

    private var told: [NodeID: Belief] = [:]
    private var nextLook = LogicalInstant(microseconds: .min)

    /// - Returns: whether the core did not know this yet.
    @discardableResult
    mutating func note(_ record: MemberRecord) -> Bool {
        guard record.profile.kind == .agent else { return false }
        let belief = Belief(record)
        return told.updateValue(belief, forKey: record.node) != belief
    }

    /// What of all that is held the core does not know, if it is time to look; who is held no more is forgotten.
    mutating func news(among members: () -> [MemberRecord], at now: LogicalInstant) -> [MemberRecord] {
        guard now >= nextLook else { return [] }
        nextLook = now + Self.interval
        let members = members()
        let news = members.filter { note($0) }
        let held = Set(members.map(\.node))
        told = told.filter { held.contains($0.key) }
        return news
    }
}
