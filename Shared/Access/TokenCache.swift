package import Model

/// A token whose signature and origin were found good, and with which key. A class: a look-up of what is known copies no claim.
package final class VerifiedToken: Sendable {
    package let key: SigningKey
    package let claims: TokenClaims

    package init(key: SigningKey, claims: TokenClaims) {
        self.key = key
        self.claims = claims
    }
}

/// Remembers verified tokens by the exact text in which they came, so that a second use costs a look-up and no signature. What changes
/// (time, revocation, the key set, what the request wants) is checked at each use by the caller. Bounded; the one longest unused goes
/// first, as nearly as one bit per entry tells (CLOCK).
package struct TokenCache: Sendable {
    private struct Slot: Sendable {
        let text: String
        let token: VerifiedToken
        var used: Bool
    }

    private var slots: [Slot] = []
    private var places: [String: Int] = [:]
    private var hand = 0
    package let capacity: Int

    package init(capacity: Int = 4_096) {
        precondition(capacity > 0, "a cache of \(capacity) tokens")
        self.capacity = capacity
    }

    package var count: Int { slots.count }

    /// The token, if its key is still one of `keys`, unchanged.
    package mutating func token(_ text: String, keys: [String: SigningKey]) -> VerifiedToken? {
        guard let place = places[text] else { return nil }
        let token = slots[place].token
        guard keys[token.key.id] == token.key else { return nil }
        slots[place].used = true
        return token
    }

    package mutating func insert(_ token: VerifiedToken, for text: String) {
        let slot = Slot(text: text, token: token, used: false)
        if let place = places[text] {
            slots[place] = slot
        } else if slots.count < capacity {
            places[text] = slots.count
            slots.append(slot)
        } else {
            while slots[hand].used {
                slots[hand].used = false
                hand = (hand + 1) % capacity
            }
            places[slots[hand].text] = nil
            places[text] = hand
            slots[hand] = slot
            hand = (hand + 1) % capacity
        }
    }
}
