import Model

// Anti-entropy that costs nothing while there is nothing to mend: instead of all that they know, members exchange one sum per bucket
// of names, and then only the records of the buckets that differ. Whole tables would be a hundred datagrams a second for each of
// 10,000 members.

/// What a member holds, in short, on its way to another.
package struct TableDigest: Hashable, Sendable {
    /// Sums of one digest, at most: with them a datagram is two thirds full, and 10,000 members are forty to a bucket.
    package static let mostSums = 256
    static let fewestSums = 8

    /// A power of two of them: the sender's choice, by the size of its table.
    package let sums: [UInt32]
    /// Whether the receiver shall tell its own in return, so that both sides learn.
    package let answer: Bool

    package init(sums: [UInt32], answer: Bool) {
        self.sums = sums
        self.answer = answer
    }

    /// Bytes that a codec may spend on it.
    var weight: Int { 4 * sums.count + 8 }

    /// The same in at most so many bytes: fewer buckets, of more members each; nil when not even the fewest fit.
    func fitting(_ bytes: Int) -> TableDigest? {
        var folded = self
        while folded.weight > bytes, folded.sums.count > Self.fewestSums {
            let half = folded.sums.count / 2
            folded = TableDigest(sums: (0..<half).map { folded.sums[$0] ^ folded.sums[$0 + half] }, answer: answer)
        }
        return folded.weight <= bytes ? folded : nil
    }

    /// Sums over lives: those who are alive, or suspect and not judged yet. The dead and the gone are left out, so that one who has
    /// forgotten them is not reminded.
    struct Sums: Hashable, Sendable {
        private var buckets = [UInt32](repeating: 0, count: mostSums)

        /// Adds a life, or takes it out: they are the same.
        mutating func toggle(_ node: NodeID, _ life: Life) {
            let name = nameHash(node)
            let sum = mixed(name ^ mixed(life.generation.number &* 0x9E37_79B9_7F4A_7C15 ^ life.incarnation))
            buckets[Int(name % UInt64(mostSums))] ^= UInt32(truncatingIfNeeded: sum >> 32)
        }

        /// The same in `count` buckets, a power of two.
        func folded(to count: Int) -> [UInt32] {
            guard count < buckets.count else { return buckets }
            var sums = [UInt32](repeating: 0, count: count)
            for (index, sum) in buckets.enumerated() { sums[index % count] ^= sum }
            return sums
        }

        /// About four members to a bucket.
        static func buckets(members: Int) -> Int {
            var count = fewestSums
            while count < mostSums, count * 4 < members { count *= 2 }
            return count
        }
    }
}

/// FNV-1a over the name, mixed: equal on every machine.
func nameHash(_ node: NodeID) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in node.name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return mixed(hash)
}

/// Spreads every bit over all (the last step of SplitMix64).
func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}
