import Model
import Testing

@Suite struct SharedMapTests {
    /// All but a few of its hashes are the same.
    private struct Clashing: Hashable, Sendable {
        let number: Int
        func hash(into hasher: inout Hasher) { hasher.combine(number % 3) }
    }

    private func check<Key: Hashable & Sendable>(_ key: (Int) -> Key, turns: Int) {
        var random = SeededGenerator(seed: 7)
        var (map, twin) = (SharedMap<Key, Int>(), [Key: Int]())
        var older: [(SharedMap<Key, Int>, [Key: Int])] = []
        for turn in 0..<turns {
            let name = key(Int.random(in: 0..<(turns / 4), using: &random))
            let value = Int.random(in: 0..<3, using: &random) == 0 ? nil : turn
            map[name] = value
            twin[name] = value
            #expect(map[name] == value && map.count == twin.count)
            if turn % (turns / 5) == 0 { older.append((map, twin)) }
        }
        for (map, twin) in older + [(map, twin)] {
            #expect(Dictionary(uniqueKeysWithValues: map.map { ($0.key, $0.value) }) == twin)
            #expect(map.isEmpty == twin.isEmpty && map.values.reduce(0, +) == twin.values.reduce(0, +))
        }
    }

    @Test("it holds what a dictionary would hold, and a version that somebody keeps stays as it was")
    func twin() {
        check({ "key \($0)" }, turns: 20_000)
    }

    @Test("keys whose hashes are the same are kept apart")
    func clashes() {
        check({ Clashing(number: $0) }, turns: 600)
    }

    @Test("two maps with the same entries are equal and hash alike, however they came about")
    func equality() {
        var (a, b) = (SharedMap<Int, String>(), SharedMap<Int, String>())
        for number in 0..<500 { a[number] = "\(number)" }
        for number in (0..<700).reversed() { b[number] = "\(number)" }
        #expect(a != b)
        for number in 500..<700 { b[number] = nil }
        #expect(a == b && a.hashValue == b.hashValue)
        b[3] = "other"
        #expect(a != b)
    }
}
