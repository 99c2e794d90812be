/// Counts of latencies in buckets whose width is at most 1/32 of their value: enough for a p999 with one and a half digits.
struct LatencyHistogram: Hashable {
    private static let steps = 32
    private var counts = [UInt64](repeating: 0, count: 60 * steps)
    private(set) var count: UInt64 = 0
    private(set) var longest: Int64 = 0

    init() {}

    mutating func record(microseconds: Int64) {
        let value = UInt64(max(0, microseconds))
        counts[Self.bucket(of: value)] += 1
        count += 1
        longest = max(longest, microseconds)
    }

    mutating func merge(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        count += other.count
        longest = max(longest, other.longest)
    }

    /// The latency, in microseconds, that the given share of requests did not exceed (by more than a bucket's width).
    func quantile(_ share: Double) -> Int64 {
        guard count > 0 else { return 0 }
        let wanted = max(1, UInt64((Double(count) * share).rounded(.up)))
        var seen: UInt64 = 0
        for (index, number) in counts.enumerated() {
            seen += number
            if seen >= wanted { return min(longest, Int64(Self.upperBound(of: index))) }
        }
        return longest
    }

    private static func bucket(of value: UInt64) -> Int {
        guard value >= UInt64(steps) else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        return (exponent - 4) * steps + Int(value >> UInt64(exponent - 5)) - steps
    }

    private static func upperBound(of bucket: Int) -> UInt64 {
        guard bucket >= steps else { return UInt64(bucket) }
        let exponent = bucket / steps + 4
        return (UInt64(bucket % steps + steps + 1) << UInt64(exponent - 5)) - 1
    }
}
