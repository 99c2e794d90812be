import Model

/// The time that a suspect has to refute. It starts long and shrinks with each independent confirmation (Lifeguard, LHA-Suspicion):
/// a lone accuser is probably the one who is sick.
struct Suspicion: Hashable, Sendable {
    /// Moved forward by the length of every pause of our own.
    private(set) var since: LogicalInstant
    /// Our count of pings when it began: who answers a later one has answered since.
    private(set) var number: UInt64
    /// Sorted; at most `needed + 1`, the first accuser included.
    private(set) var accusers: [NodeID]
    /// Whose links to it were refused; sorted, at most `SwimLimits.refusers`.
    private(set) var refusers: [NodeID] = []
    /// Whether we have called it because of refused links since it began, ourselves and through others, and nobody was answered.
    private(set) var isCalledInVain = false
    /// How often the suspect was called, and when it was for the last time.
    private var calls = 0
    private var calledAt: LogicalInstant?
    /// When others were asked what became of it.
    var askedAt: LogicalInstant?
    private let shortest: Span
    private let longest: Span
    private let needed: Int

    /// - Parameters:
    ///   - members: how many members there are, the suspect included.
    ///   - patience: how many times the usual time this suspect gets.
    ///   - number: of our last ping.
    init(at now: LogicalInstant, members: Int, patience: Int64 = 1, number: UInt64, tuning: SwimTuning) {
        since = now
        self.number = number
        accusers = []
        shortest = tuning.shortestSuspicion(members: members) * patience
        longest = shortest * tuning.suspicionStretch
        // Neither the suspect, nor ourselves, can confirm what we say.
        needed = members - 2 < tuning.confirmations ? 0 : tuning.confirmations
    }

    /// Counts an accuser; false when it was counted before or no more are needed.
    mutating func accuse(by accuser: NodeID, refused: Bool) -> Bool {
        var counts = false
        if refused, refusers.count < SwimLimits.refusers, !refusers.contains(accuser) {
            refusers.append(accuser)
            refusers.sort()
            counts = true
        }
        if accusers.count <= needed, !accusers.contains(accuser) {
            accusers.append(accuser)
            accusers.sort()
            counts = true
        }
        return counts
    }

    /// We were away: all of it counts from later on.
    mutating func postpone(by gap: Span, number: UInt64) {
        since = since + gap
        self.number = number
        calls = 0
        calledAt = nil
        isCalledInVain = false
    }

    /// The suspect has answered: its time starts anew, and whoever was refused was refused by one that lives.
    mutating func answered(at now: LogicalInstant, number: UInt64) {
        postpone(by: now - since, number: number)
        refusers = []
    }

    /// Its link was refused to somebody, and it has not answered this ping of ours, or anybody whom we asked. An earlier ping does
    /// not count: it may have stood still for a moment, and was not heard of since.
    mutating func noteCalledInVain(by sequence: UInt64) { isCalledInVain = isCalledInVain || sequence > number }

    /// Whether the suspect is to be called now: `early` times from a quarter of its shortest time on, an eighth apart, so that it can
    /// have answered when it has had half; and once more before its end.
    func wantsCall(at now: LogicalInstant, early: Int, lastAt: LogicalInstant) -> Bool {
        if calls < early { return now - since >= shortest * Int64(2 + calls) / 8 }
        return calls == early && now >= lastAt
    }

    mutating func noteCall(at now: LogicalInstant) {
        calls += 1
        calledAt = now
    }

    /// Whether it has left so many calls unanswered, the last of them for `wait`.
    func isDeaf(to count: Int, for wait: Span, at now: LogicalInstant) -> Bool {
        guard let calledAt else { return false }
        return calls > count || calls == count && now - calledAt >= wait
    }

    /// Whether the suspect has had a fair part of its shortest time to refute.
    func isRipe(at now: LogicalInstant) -> Bool { now - since >= shortest / 2 }
    /// Whether another accuser would shorten it.
    var wantsAccusers: Bool { accusers.count <= needed }
    /// How long it lasts when enough have confirmed.
    var shortestLength: Span { shortest }
    /// Its links were refused to so many that it is gone, not slow, if it does not answer us either.
    var isCertain: Bool { refusers.count >= SwimLimits.refusers }

    /// How long it may last from `since`.
    var length: Span {
        let confirmations = Int64(max(0, min(accusers.count - 1, needed)))
        guard needed > 0 else { return shortest }
        // longest - (longest - shortest) * log(c + 1) / log(K + 1)
        let share = confirmations == 0 ? 0 : logarithmOfTwoTo(confirmations + 1) * 1_000 / logarithmOfTwoTo(Int64(needed) + 1)
        return longest - (longest - shortest) * share / 1_000
    }
}

/// The suspicions that we hold, by the slot of the suspect, in order. Nearly always none.
struct SuspicionList: Hashable, Sendable {
    struct Entry: Hashable, Sendable {
        let slot: Int
        var suspicion: Suspicion
    }

    private(set) var entries: [Entry] = []

    private func place(of slot: Int) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].slot < slot { low = middle + 1 } else { high = middle }
        }
        return low
    }

    subscript(slot: Int) -> Suspicion? {
        get {
            let place = place(of: slot)
            return place < entries.count && entries[place].slot == slot ? entries[place].suspicion : nil
        }
        set {
            let place = place(of: slot)
            switch (place < entries.count && entries[place].slot == slot, newValue) {
            case (true, .some(let suspicion)): entries[place].suspicion = suspicion
            case (false, .some(let suspicion)): entries.insert(Entry(slot: slot, suspicion: suspicion), at: place)
            case (true, nil): entries.remove(at: place)
            case (false, nil): break
            }
        }
    }

    mutating func postpone(by gap: Span, number: UInt64) {
        for index in entries.indices { entries[index].suspicion.postpone(by: gap, number: number) }
    }

    /// Nobody could have cleared himself so far.
    mutating func restart(at now: LogicalInstant, number: UInt64) {
        for index in entries.indices {
            entries[index].suspicion.postpone(by: now - entries[index].suspicion.since, number: number)
        }
    }
}

/// 100 * max(1, log10 `count`), in integers so that every machine computes the same.
func hundredthsOfLog10(_ count: Int) -> Int64 {
    max(100, logarithmOfTwoTo(Int64(count)) * 100 / 3_402)
}

/// 1024 * log2 `value`, by repeated squaring of the mantissa. Zero for values below 2.
func logarithmOfTwoTo(_ value: Int64) -> Int64 {
    guard value > 1 else { return 0 }
    let whole = Int64(63 - value.leadingZeroBitCount)
    // A mantissa in [2^30, 2^31).
    var mantissa = whole <= 30 ? value << (30 - whole) : value >> (whole - 30)
    var fraction: Int64 = 0
    for _ in 0..<10 {
        mantissa = (mantissa * mantissa) >> 30
        fraction <<= 1
        if mantissa >= 1 << 31 {
            mantissa >>= 1
            fraction |= 1
        }
    }
    return whole << 10 | fraction
}
