import Glibc

/// Picks items so that few are asked for often: the generator of Gray et al. (SIGMOD 1994) that YCSB uses, its popular items
/// scattered over the whole range by a hash.
package struct Zipfian: Sendable {
    private let items: UInt64
    private let theta: Double
    private let zeta: Double
    private let alpha: Double
    private let eta: Double

    /// - Precondition: at least one item.
    package init(items: UInt64, theta: Double = 0.99) {
        precondition(items > 0, "no items")
        self.items = items
        self.theta = theta
        var sum = 0.0
        for rank in 1...items { sum += 1 / pow(Double(rank), theta) }
        zeta = sum
        alpha = 1 / (1 - theta)
        let two = 1 + pow(0.5, theta)
        eta = (1 - pow(2 / Double(items), 1 - theta)) / (1 - two / sum)
    }

    /// The rank of the next item: 0 is the most popular.
    package func rank(_ random: inout some RandomNumberGenerator) -> UInt64 {
        let uniform = Double.random(in: 0..<1, using: &random)
        let scaled = uniform * zeta
        if scaled < 1 || items == 1 { return 0 }
        if scaled < 1 + pow(0.5, theta) { return 1 }
        return min(items - 1, UInt64(Double(items) * pow(eta * uniform - eta + 1, alpha)))
    }

    /// The next item, popular ones scattered.
    package func item(_ random: inout some RandomNumberGenerator) -> UInt64 { Self.hash(rank(&random)) % items }

    /// FNV-1a over the eight bytes.
    private static func hash(_ value: UInt64) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for shift in stride(from: 0, to: 64, by: 8) { hash = (hash ^ (value >> UInt64(shift) & 0xFF)) &* 0x100_0000_01B3 }
        return hash
    }
}
