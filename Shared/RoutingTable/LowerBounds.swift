import Model

// Finds a key's place among the lower bounds of a table's partitions. A bound is compared as a number: the eight bytes behind what all
// bounds begin with. The numbers stand in levels, each of every eighth number of the level below, and a search takes one group of eight
// out of each: a million take seven groups, of which two at most are outside of the processor's nearest caches. How many of a group are
// below the key is counted without a branch that could be guessed wrongly.
//
// A search by halves guesses every second branch wrongly and looks at twenty places; a tree in the order of its levels (Eytzinger's)
// would have to be made anew by each change. Groups of sixteen are fewer and take longer.

/// The lower bounds of a table's partitions, in key order.
struct LowerBounds: Sendable {
    private static let group = 8

    private let count: Int
    /// 1 when the first bound is the least key, which is left out of `common`.
    private let start: Int
    /// What all bounds from `start` on begin with.
    private let common: [UInt8]
    /// From the top to the numbers of all bounds. The last group of each is filled up with the greatest number.
    private let levels: [ContiguousArray<UInt64>]

    /// - Parameters:
    ///   - partitions: sorted by their lower bounds.
    ///   - old: the bounds of a table that begins with the same `head` and ends with the same `tail` partitions.
    init(_ partitions: [PartitionDescriptor], after old: LowerBounds? = nil, head: Int = 0, tail: Int = 0) {
        count = partitions.count
        start = partitions.first?.range.low == .least ? 1 : 0
        common = Self.commonStart(partitions.dropFirst(start))
        var numbers = ContiguousArray<UInt64>()
        numbers.reserveCapacity(Self.filled(count))
        if let old, old.start == start, old.common == common, let known = old.levels.last {
            numbers += known[..<head]
            for partition in partitions[head..<count - tail] { numbers.append(Self.number(partition.range.low, common.count)) }
            numbers += known[(old.count - tail)..<old.count]
        } else {
            for partition in partitions { numbers.append(Self.number(partition.range.low, common.count)) }
        }
        var levels = [Self.fill(numbers)]
        while let top = levels.last, top.count > Self.group {
            var next = ContiguousArray<UInt64>()
            next.reserveCapacity(Self.filled(top.count / Self.group))
            for index in stride(from: 0, to: top.count, by: Self.group) { next.append(top[index]) }
            levels.append(Self.fill(next))
        }
        self.levels = levels.reversed()
    }

    /// Bounds before these are not above `key`, bounds behind them are; of these ones, only all their bytes tell.
    func undecided(for key: Key) -> Range<Int> {
        if !common.isEmpty, !key.bytes.starts(with: common) {
            let place = key.bytes.lexicographicallyPrecedes(common) ? start : count
            return place..<place
        }
        let number = Self.number(key, common.count)
        let first = first(notBelow: number)
        guard first < count, let numbers = levels.last, numbers[first] == number else { return first..<first }
        return first..<(number == .max ? count : self.first(notBelow: number + 1))
    }

    /// How many numbers are below `number`.
    private func first(notBelow number: UInt64) -> Int {
        var place = 0
        for level in levels {
            // In the level above, the number before is below, and the one behind is not: the place is behind the former.
            place = max(place - 1, 0) * Self.group
            for other in level[place..<place + Self.group] { place &+= other < number ? 1 : 0 }
        }
        return place
    }

    /// Orders as the keys do that begin with the same `skipped` bytes, except for ties.
    private static func number(_ key: Key, _ skipped: Int) -> UInt64 {
        key.bytes.withUnsafeBytes { bytes in
            if bytes.count - skipped >= 8 {
                return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: skipped, as: UInt64.self))
            }
            return (skipped..<skipped + 8).reduce(0) { $0 << 8 | ($1 < bytes.count ? UInt64(bytes[$1]) : 0) }
        }
    }

    /// All of sorted bounds begin with what the first and the last of them do.
    private static func commonStart(_ partitions: ArraySlice<PartitionDescriptor>) -> [UInt8] {
        guard let first = partitions.first?.range.low, let last = partitions.last?.range.low else { return [] }
        return zip(first.bytes, last.bytes).prefix { $0 == $1 }.map(\.0)
    }

    private static func filled(_ count: Int) -> Int { max(1, (count + group - 1) / group) * group }

    private static func fill(_ numbers: consuming ContiguousArray<UInt64>) -> ContiguousArray<UInt64> {
        numbers.append(contentsOf: repeatElement(.max, count: filled(numbers.count) - numbers.count))
        return numbers
    }
}
