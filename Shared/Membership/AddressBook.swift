package import Model

// Members are known by addresses that may be names of machines, and what a name stands for is asked of somebody who may be slow, or not
// there. So each name is asked for once at a time: answers then come in the order of their questions, an old one never displaces a newer
// one, and a name server that takes minutes is asked no more every few seconds. Names that nobody knows, of which gossip may bring any
// number, wait for their answers in the same queue as all others: so only so many are asked for at a time. Until the first answer the
// newest letter waits, and not all of them: what a member has to say is said again.

/// What names stand for, what is being asked, and what waits for an answer.
package struct AddressBook<Place: Sendable, Letter: Sendable>: Sendable {
    package enum Delivery {
        /// Send it there; and ask, if `asks` says so.
        case send(to: Place, asks: Bool)
        /// It is kept, in place of the one that waited before.
        case waits(asks: Bool, displaces: Bool)
        /// There are too many names, or too many that are being asked for: it is not kept.
        case full
    }

    private struct Entry {
        var place: Place?
        var isAsked = true
        /// As of the first question, until there is an answer.
        var answeredAt: LogicalInstant
        var usedAt: LogicalInstant
        var waiting: Letter?
    }

    /// Looked up only.
    private var entries: [String: Entry] = [:]
    private var sweptAt: LogicalInstant?
    private let age: Span
    private let most: Int
    private let mostAsked: Int
    /// How many are being asked for.
    private var asked = 0

    /// - Parameters:
    ///   - age: after this a name is asked for again, if anything is sent there: its machine may have got another address.
    ///   - most: names at a time. Members come and go, but never in such numbers: a bound against hostile gossip.
    ///   - mostAsked: names that are asked for at a time. A few threads ask, each for milliseconds, or for seconds where nobody answers:
    ///     what waits behind more than these would wait for minutes.
    package init(age: Span, most: Int = 16_384, mostAsked: Int = 64) {
        self.age = age
        self.most = most
        self.mostAsked = mostAsked
    }

    package var count: Int { entries.count }

    /// Where to send a letter. Whoever is told to ask owes an `answer`.
    package mutating func post(_ letter: Letter, to name: String, at now: LogicalInstant) -> Delivery {
        guard var entry = entries[name] else {
            guard asked < mostAsked, makeRoom(at: now) else { return .full }
            asked += 1
            entries[name] = Entry(answeredAt: now, usedAt: now, waiting: letter)
            return .waits(asks: true, displaces: false)
        }
        defer { entries[name] = entry }
        entry.usedAt = now
        guard let place = entry.place else {
            let displaces = entry.waiting != nil
            entry.waiting = letter
            return .waits(asks: false, displaces: displaces)
        }
        let asks = !entry.isAsked && now - entry.answeredAt >= age && asked < mostAsked
        if asks {
            entry.isAsked = true
            asked += 1
        }
        return .send(to: place, asks: asks)
    }

    /// - Parameter place: nil when nobody knew. What was known before is kept then: a name server that is gone takes no member with it.
    /// - Returns: the letter that has waited, to be sent to `place`, or lost.
    package mutating func answer(_ place: Place?, for name: String, at now: LogicalInstant) -> Letter? {
        guard var entry = entries[name] else { return nil }
        let letter = entry.waiting
        entry.waiting = nil
        if entry.isAsked { asked -= 1 }
        entry.isAsked = false
        entry.answeredAt = now
        if let place { entry.place = place }
        // Of one that nobody knew, nothing is to be remembered: the next letter asks again.
        entries[name] = entry.place == nil ? nil : entry
        return letter
    }

    /// Names that are in use are never forgotten for the sake of others.
    private mutating func makeRoom(at now: LogicalInstant) -> Bool {
        if entries.count < most { return true }
        // All are looked at, so not for each letter.
        guard sweptAt.map({ now - $0 >= age }) ?? true else { return false }
        sweptAt = now
        entries = entries.filter { $0.value.isAsked || now - $0.value.usedAt < age * 6 }
        return entries.count < most
    }
}
