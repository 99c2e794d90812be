import Model
import SimulationKit
import Testing

@Suite struct SimulatedDiskTests {
    @Test("what was not synced may be lost with the power, and what was is not")
    func unsynced() throws {
        var lost = 0
        for seed in 0..<50 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var disk = SimulatedDisk()
            try disk.perform(.write(file: "a", at: 0, [1, 2, 3]))
            try disk.perform(.sync(file: "a"))
            try disk.perform(.syncFolder)
            try disk.perform(.write(file: "a", at: 3, [4]))
            #expect(disk.bytes(of: "a") == [1, 2, 3, 4])
            #expect(!disk.isDurable("a"))
            disk.losePower(&random)
            let bytes = try #require(disk.bytes(of: "a"))
            #expect(bytes.starts(with: [1, 2, 3]))
            if bytes != [1, 2, 3, 4] { lost += 1 }
        }
        #expect(lost > 10 && lost < 45, "\(lost) of 50")
    }

    @Test("a file that was renamed and not synced can be there with nothing in it")
    func renamedUnsynced() throws {
        var outcomes: Set<String> = []
        for seed in 0..<100 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var disk = SimulatedDisk()
            try disk.perform(.write(file: "new", at: 0, [9, 9]))
            try disk.perform(.rename("new", to: "whole"))
            disk.losePower(&random)
            outcomes.insert(disk.files.map { "\($0)=\(disk.bytes(of: $0) ?? [])" }.joined())
        }
        #expect(outcomes.isSuperset(of: ["", "new=[]", "whole=[]", "whole=[9, 9]"]), "\(outcomes)")
    }

    @Test("a write that was torn arrives by sectors")
    func torn() throws {
        var outcomes: Set<[UInt8]> = []
        for seed in 0..<100 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var disk = SimulatedDisk()
            try disk.perform(.write(file: "a", at: 0, Array(repeating: 0, count: 1_024)))
            try disk.perform(.sync(file: "a"))
            try disk.perform(.syncFolder)
            try disk.perform(.write(file: "a", at: 0, Array(repeating: 1, count: 1_024)))
            disk.losePower(&random)
            let bytes = try #require(disk.bytes(of: "a"))
            outcomes.insert([bytes[0], bytes[511], bytes[512], bytes[1_023]])
        }
        #expect(outcomes == [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]])
    }

    @Test("a full disk takes what fits into files as they are, and nothing more")
    func full() throws {
        var disk = SimulatedDisk()
        try disk.perform(.write(file: "a", at: 0, [0, 0]))
        disk.isFull = true
        try disk.perform(.write(file: "a", at: 0, [1, 1]))
        #expect(throws: DiskFailure.full) { try disk.perform(.write(file: "a", at: 1, [1, 1])) }
        #expect(throws: DiskFailure.full) { try disk.perform(.write(file: "b", at: 0, [1])) }
        #expect(disk.bytes(of: "a") == [1, 1])
    }
}

@Suite struct SimulatedClockTests {
    @Test(
        "a clock that is fast or slow shows a wanted time at the instant that it says, or a little later",
        arguments: [-90_000, 0, 90_000])
    func inverse(drift: Int64) {
        var clock = SimulatedClock()
        clock.setDrift(drift, at: LogicalInstant(microseconds: 500))
        for wanted in stride(from: Int64(1_000), to: 3_000_000, by: 77_777) {
            let local = LogicalInstant(microseconds: wanted)
            let shown = clock.local(at: clock.instant(of: local))
            #expect(shown >= local - .microseconds(1) && shown <= local + .microseconds(4), "\(shown) for \(local)")
        }
    }

    @Test("a clock never goes back, whatever is done to it")
    func monotone() {
        var random = SeededGenerator(seed: 3)
        var clock = SimulatedClock()
        var last = LogicalInstant.origin
        for step in 0..<1_000 as Range<Int64> {
            let now = LogicalInstant(microseconds: step * 1_000)
            if random.next() % 3 == 0 { clock.setDrift(Int64(random.next() % 400_000) - 200_000, at: now) }
            if random.next() % 9 == 0 { clock.leap(.milliseconds(5)) }
            #expect(clock.local(at: now) >= last)
            last = clock.local(at: now)
        }
    }
}

@Suite struct ShrinkerTests {
    @Test("only what makes a run fail is kept")
    func shrinks() {
        var asked = 0
        let kept = shrink(Array(0..<100), budget: 500) { list in
            asked += 1
            return list.contains(17) && list.contains(71)
        }
        #expect(kept == [17, 71])
        #expect(asked < 200)
    }

    @Test("with its budget spent the shrinker gives back a list that fails")
    func budget() {
        let kept = shrink(Array(0..<100), budget: 5) { $0.contains(99) && $0.contains(0) }
        #expect(kept.contains(99) && kept.contains(0))
    }
}

@Suite struct EventQueueTests {
    @Test("events come by time, and those of one time as they were put in")
    func order() {
        var random = SeededGenerator(seed: 5)
        var queue = EventQueue<Int>()
        var expected: [(Int64, Int)] = []
        for number in 0..<2_000 {
            let at = Int64(random.next() % 50)
            queue.push(number, at: LogicalInstant(microseconds: at))
            expected.append((at, number))
        }
        expected.sort { $0 < $1 }
        for (at, number) in expected {
            let next = queue.pop()
            #expect(next?.at == LogicalInstant(microseconds: at) && next?.event == number)
        }
        #expect(queue.isEmpty)
    }
}
