// A datagram that was recorded opens as well the second time. What it says is outlived by the order of lives, but who may have a
// member answer old questions, or hear old news again and again, has it work for him.

/// Which numbers of one sender were seen: the highest, and those a little below it.
struct ReplayWindow: Hashable, Sendable {
    static let width = GossipLimits.replayWindow

    private var highest: UInt32
    /// By the number's remainder.
    private var seen: [UInt64]

    init(first: UInt32) {
        highest = first
        seen = Array(repeating: 0, count: Int(Self.width / 64))
        mark(first)
    }

    /// False when it was seen before, or is too old to tell.
    mutating func admit(_ number: UInt32) -> Bool {
        if number > highest {
            let step = number - highest
            if step >= Self.width {
                for word in seen.indices { seen[word] = 0 }
            } else {
                for passed in 1...step { clear(highest + passed) }
            }
            highest = number
            mark(number)
            return true
        }
        guard highest - number < Self.width, !isMarked(number) else { return false }
        mark(number)
        return true
    }

    private func place(_ number: UInt32) -> (word: Int, bit: UInt64) {
        let index = Int(number % Self.width)
        return (index / 64, 1 << UInt64(index % 64))
    }

    private func isMarked(_ number: UInt32) -> Bool { seen[place(number).word] & place(number).bit != 0 }
    private mutating func mark(_ number: UInt32) { seen[place(number).word] |= place(number).bit }
    private mutating func clear(_ number: UInt32) { seen[place(number).word] &= ~place(number).bit }
}

/// The windows of all senders. Only who holds a key makes one, so their number is that of processes, and bounded all the same.
struct ReplayGuard: Sendable {
    static let capacity = GossipLimits.replaySenders

    private var recent: [UInt64: ReplayWindow] = [:]
    /// Those that were heard before the last time that there were too many.
    private var older: [UInt64: ReplayWindow] = [:]

    var senders: Int { recent.count + older.count }

    /// Whether this is new: to be asked only about what has opened.
    mutating func admit(_ number: UInt32, of sender: UInt64) -> Bool {
        if recent[sender] != nil { return recent[sender]?.admit(number) ?? false }
        let isNew: Bool
        var window: ReplayWindow
        if let known = older.removeValue(forKey: sender) {
            window = known
            isNew = window.admit(number)
        } else {
            window = ReplayWindow(first: number)
            isNew = true
        }
        if recent.count >= Self.capacity / 2 {
            older = recent
            recent = [:]
        }
        recent[sender] = window
        return isNew
    }
}
