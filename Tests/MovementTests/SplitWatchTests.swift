import Model
import Movement
import Testing

@Suite struct SplitWatchTests {
    private static let limits = SplitLimits(bytes: 1_000, operationsPerSecond: 100)

    private func at(_ seconds: Int64) -> LogicalInstant { .origin + .seconds(seconds) }

    private func load(_ id: UInt64, bytes: UInt64 = 0, rate: Double = 0) -> PartitionLoad {
        PartitionLoad(partition: PartitionID(id), bytes: bytes, operationsPerSecond: rate)
    }

    /// Looks every two seconds, and says what was to be split, and when.
    private func looks(
        _ watch: inout SplitWatch, _ seconds: ClosedRange<Int64>, _ loads: (Int64) -> [PartitionLoad]
    ) -> [String] {
        stride(from: seconds.lowerBound, through: seconds.upperBound, by: 2).compactMap { second in
            watch.look(loads(second), limits: Self.limits, at: at(second)).map { "\(second) \($0.partition) \($0.cause)" }
        }
    }

    @Test("a partition that has been too hot, or too large, for ten seconds is to be split")
    func evidence() {
        var hot = SplitWatch()
        #expect(looks(&hot, 0...20) { _ in [load(1, rate: 101), load(2, rate: 99)] } == ["10 1 load"])
        var large = SplitWatch()
        #expect(looks(&large, 0...20) { _ in [load(1, bytes: 1_001), load(2, bytes: 1_000)] } == ["10 1 size"])
    }

    @Test("a peak is no reason, and a dip that stays close below the limit does not begin the time anew")
    func hysteresis() {
        var peaks = SplitWatch()
        #expect(looks(&peaks, 0...60) { [load(1, rate: $0 % 8 == 0 ? 79 : 500)] } == [])
        var dips = SplitWatch()
        #expect(looks(&dips, 0...20) { [load(1, rate: $0 % 4 == 2 ? 81 : 101)] } == ["12 1 load"])
        // What never was above it is not taken up by a rate that is close.
        var close = SplitWatch()
        #expect(looks(&close, 0...60) { _ in [load(1, rate: 99)] } == [])
    }

    @Test("a node asks for one split in a minute, for the partition that is furthest above its limit first")
    func onePerMinute() {
        var watch = SplitWatch()
        var left: Set<UInt64> = [1, 2, 3]
        let loads = { [load(1, rate: 150), load(2, bytes: 3_000), load(3, rate: 200)] }
        let asked = stride(from: Int64(0), through: 200, by: 2).compactMap { second -> String? in
            let here = loads().filter { left.contains($0.partition.number) }
            guard let found = watch.look(here, limits: Self.limits, at: at(second)) else { return nil }
            left.remove(found.partition.number)
            return "\(second) \(found.partition) \(found.cause)"
        }
        #expect(asked == ["10 2 size", "70 3 load", "130 1 load"])
    }

    @Test("a partition that is gone, or was not looked at for long, has all its time to come")
    func anew() {
        var watch = SplitWatch()
        #expect(looks(&watch, 0...24) { (8...10).contains($0) ? [] : [load(1, rate: 101)] } == ["22 1 load"])
        var asleep = SplitWatch()
        #expect(looks(&asleep, 0...8) { _ in [load(1, rate: 101)] } == [])
        #expect(looks(&asleep, 100...112) { _ in [load(1, rate: 101)] } == ["110 1 load"])
    }

    @Test("one that no key would halve lets others have their turn, and has its own again after ten minutes")
    func rests() {
        var watch = SplitWatch()
        let loads = [load(1, rate: 900), load(2, rate: 101)]
        #expect(looks(&watch, 0...10) { _ in loads } == ["10 1 load"])
        watch.rest(PartitionID(1), at: at(10))
        #expect(looks(&watch, 12...70) { _ in loads } == ["70 2 load"])
        #expect(looks(&watch, 72...620) { _ in [loads[0]] } == ["610 1 load"])
    }

    @Test("a split that comes to nothing is asked for again after one minute, then two, and so on up to an hour")
    func backsOff() {
        var watch = SplitWatch()
        let asked = looks(&watch, 0...20_000) { _ in [load(1, rate: 101)] }
        #expect(
            asked == [10, 70, 190, 430, 910, 1_870, 3_790, 7_390, 10_990, 14_590, 18_190].map { "\($0) 1 load" }, "\(asked)")
    }

    @Test("the rest begins when what was under way is over, keeps nobody else waiting, and is forgotten in an hour's peace")
    func restsBehindOperations() {
        var watch = SplitWatch()
        #expect(looks(&watch, 0...10) { _ in [load(1, rate: 900)] } == ["10 1 load"])
        // For so long its split stands before its gate.
        #expect(looks(&watch, 12...100) { _ in [load(2, rate: 101)] } == ["70 2 load"])
        #expect(looks(&watch, 102...200) { _ in [load(1, rate: 900)] } == ["160 1 load"])
        #expect(looks(&watch, 202...4_200) { _ in [load(1, rate: 1)] } == [])
        #expect(looks(&watch, 4_202...4_300) { _ in [load(1, rate: 900)] } == ["4212 1 load", "4272 1 load"])
    }

    @Test("a limit of zero is none")
    func unlimited() {
        var watch = SplitWatch()
        let none = SplitLimits(bytes: 0, operationsPerSecond: 0)
        for second: Int64 in 0...60 {
            #expect(watch.look([load(1, bytes: 1 << 60, rate: 1e9)], limits: none, at: at(second)) == nil)
        }
    }
}

@Suite struct KeySampleTests {
    private func key(_ number: UInt64) -> Key { Key([UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)]) }

    private func sample(_ keys: some Sequence<UInt64>, seed: UInt64 = 1) -> KeySample {
        var sample = KeySample(at: .origin)
        var state = seed
        for number in keys {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            sample.add(key(number), random: state >> 16, at: .origin)
        }
        return sample
    }

    /// How many of a hundred are below the key that was found.
    private func share(_ sample: KeySample, below keys: [UInt64]) -> Int? {
        sample.middle(of: .all, at: .origin).map { middle in keys.count { key($0) < middle } * 100 / keys.count }
    }

    @Test("an even load is cut in the middle, and one that crowds at one end, near that end", arguments: 1...20)
    func halves(seed: UInt64) throws {
        let even = (0..<10_000).map { UInt64($0 % 5_000) }
        let half = try #require(share(sample(even, seed: seed), below: even))
        #expect((30...70).contains(half))
        let crowded = (0..<10_000).map { UInt64($0 % 10 == 0 ? $0 % 5_000 : $0 % 50) }
        let near = try #require(share(sample(crowded, seed: seed), below: crowded))
        #expect((30...70).contains(near))
    }

    @Test("no key halves a load of which one key is more than half, or of which hardly anything is known")
    func nothingHelps() {
        let oneKey = (0..<10_000).map { UInt64($0 % 3 == 0 ? $0 % 5_000 : 77) }
        #expect(share(sample(oneKey), below: oneKey) == nil)
        #expect(share(sample(0..<31), below: [0]) == nil)
        // Two keys, of which the first makes as much as the second: there is a place between them.
        let two = (0..<1_000).map { UInt64($0 % 2) }
        #expect(share(sample(two.prefix(128)), below: two) == 50)
    }

    @Test("the key lies strictly inside of the range, whatever was asked for beside it")
    func inside() throws {
        let sample = sample((0..<128).map { UInt64($0) })
        let range = KeyRange(low: key(40), high: key(120))
        let middle = try #require(sample.middle(of: range, at: .origin))
        #expect(range.split(at: middle) != nil && (75...85).contains(middle.bytes[1]), "\(middle)")
        #expect(sample.middle(of: KeyRange(low: key(200), high: nil), at: .origin) == nil)
    }

    @Test("a load that wanders, as with keys that grow, is not halved: all of it would soon be on one side")
    func wanders() {
        var sample = KeySample(span: .seconds(10), at: .origin)
        for number: UInt64 in 0..<100 { sample.add(key(number), random: 0, at: .origin) }
        for number: UInt64 in 100..<200 { sample.add(key(number), random: 0, at: .origin + .seconds(12)) }
        #expect(sample.middle(of: .all, at: .origin + .seconds(15)) == nil)
        var still = KeySample(span: .seconds(10), at: .origin)
        for second in [0, 12] as [Int64] {
            for number: UInt64 in 0..<100 { still.add(key(number), random: 0, at: .origin + .seconds(second)) }
        }
        #expect(still.middle(of: .all, at: .origin + .seconds(15)) != nil)
    }

    @Test("what was asked for two spans ago is forgotten")
    func forgets() {
        var sample = KeySample(span: .seconds(10), at: .origin)
        for number: UInt64 in 0..<100 { sample.add(key(number), random: 0, at: .origin) }
        #expect(sample.middle(of: .all, at: .origin + .seconds(9)) != nil)
        #expect(sample.middle(of: .all, at: .origin + .seconds(19)) != nil)
        #expect(sample.middle(of: .all, at: .origin + .seconds(20)) == nil)
    }
}
