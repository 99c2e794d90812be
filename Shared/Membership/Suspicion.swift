import Model

/// The time that a suspect has to refute. It starts long and shrinks with each independent confirmation (Lifeguard, LHA-Suspicion):
/// a lone accuser is probably the one who is sick.
struct Suspicion: Hashable, Sendable {
    /// Moved forward by the length of every pause of our own.
    private(set) var since: LogicalInstant
    /// Sorted; at most `needed + 1`, the first accuser included.
    private(set) var accusers: [NodeID]
    /// When the suspect was called for the last time before the verdict.
    var calledAt: LogicalInstant?
    private let shortest: Span
    private let longest: Span
    private let needed: Int

    /// - Parameters:
    ///   - members: how many members there are, the suspect included.
    ///   - patience: how many times the usual time this suspect gets.
    init(by accuser: NodeID, at now: LogicalInstant, members: Int, patience: Int64 = 1, tuning: SwimTuning) {
        since = now
        accusers = [accuser]
        shortest = tuning.probeInterval * tuning.suspicionFactor * patience * hundredthsOfLog10(members) / 100
        longest = shortest * tuning.suspicionStretch
        // Neither the suspect, nor ourselves, can confirm what we say.
        needed = members - 2 < tuning.confirmations ? 0 : tuning.confirmations
    }

    /// Counts an accuser; false when it was counted before or no more are needed.
    mutating func confirm(by accuser: NodeID) -> Bool {
        guard accusers.count <= needed, !accusers.contains(accuser) else { return false }
        accusers.append(accuser)
        accusers.sort()
        return true
    }

    mutating func postpone(by gap: Span) {
        since = since + gap
        calledAt = nil
    }

    /// Whether the suspect has had a fair part of its shortest time to refute.
    func isRipe(at now: LogicalInstant) -> Bool { now - since >= shortest / 2 }

    var deadline: LogicalInstant {
        let confirmations = Int64(min(accusers.count - 1, needed))
        guard needed > 0 else { return since + shortest }
        // longest - (longest - shortest) * log(c + 1) / log(K + 1)
        let share = confirmations == 0 ? 0 : logarithmOfTwoTo(confirmations + 1) * 1_000 / logarithmOfTwoTo(Int64(needed) + 1)
        return since + longest - (longest - shortest) * share / 1_000
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
