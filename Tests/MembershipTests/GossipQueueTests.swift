import MembershipSimulation
import Model
import Testing

@testable import Membership

@Suite struct GossipQueueTests {
    /// The same as a list that is sorted for each datagram.
    private struct Twin {
        var rumours: [(subject: Int, status: MemberStatus, told: Int, number: Int)] = []
        var number = 0

        mutating func insert(_ subject: Int, _ status: MemberStatus) {
            forget(subject)
            number += 1
            rumours.append((subject, status, 0, number))
        }

        mutating func forget(_ subject: Int) { rumours.removeAll { $0.subject == subject } }

        mutating func take(_ count: Int, limit: Int, counts: Bool) -> [Int] {
            rumours.sort { ($0.told, $0.status.rawValue, $1.number) < ($1.told, $1.status.rawValue, $0.number) }
            let taken = rumours.prefix(count).map(\.subject)
            guard counts else { return taken }
            for index in rumours.indices.prefix(count) { rumours[index].told += 1 }
            rumours.removeAll { $0.told >= limit }
            return taken
        }
    }

    private func record(_ index: Int) -> MemberRecord {
        MemberRecord(
            node: World.node(index), life: Life(generation: Generation(1), incarnation: 0), status: .alive,
            profile: World.profile(index))
    }

    @Test("rumours are told in the order of the rule, as a list that is sorted each time would tell them")
    func order() {
        var generator = SeededGenerator(seed: 21)
        let table = MemberTable(of: (100..<200).map(record), at: .origin)
        let weight = record(100).weight
        var queue = GossipQueue()
        var twin = Twin()
        for _ in 0..<20_000 {
            let subject = Int.random(in: 0..<100, using: &generator)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4:
                let status = MemberStatus.allCases[Int.random(in: 0..<4, using: &generator)]
                queue.insert(subject, status)
                twin.insert(subject, status)
            case 4:
                queue.forget(subject)
                twin.forget(subject)
            default:
                let count = Int.random(in: 1...9, using: &generator)
                let counts = Int.random(in: 0..<4, using: &generator) > 0
                var told: [MemberRecord] = []
                queue.take(
                    budget: weight * count, limit: 5, counts: counts, except: nil, from: table, ourselves: record(0),
                    into: &told)
                #expect(told.map { table.slot(of: $0.node) } == twin.take(count, limit: 5, counts: counts))
            }
            #expect(queue.count == twin.rumours.count && queue.isEmpty == twin.rumours.isEmpty)
            #expect(queue.isFresh == twin.rumours.contains { $0.told == 0 })
        }
    }

    @Test("above its bound the queue drops what was told most, and bad news before good")
    func bounded() {
        let table = MemberTable(of: (0..<6_000).map(record), at: .origin)
        var queue = GossipQueue()
        for slot in 0..<6_000 { queue.insert(slot, slot % 2 == 0 ? .alive : .dead) }
        #expect(queue.count <= SwimLimits.rumours && queue.count > SwimLimits.rumours / 2)
        var told: [MemberRecord] = []
        for _ in 0..<100 {
            queue.take(budget: 64 * 1_024, limit: 1, counts: true, except: nil, from: table, ourselves: record(0), into: &told)
        }
        // All good news are there, the newest of them first.
        #expect(queue.isEmpty)
        let good = told.map { table.slot(of: $0.node) ?? 0 }.filter { $0 % 2 == 0 }
        #expect(good == (0..<3_000).map { 5_998 - 2 * $0 })
    }

    @Test("one that does not fit does not keep a shorter one back")
    func passesOver() throws {
        var long = record(1)
        long.profile.metadata = [UInt8](repeating: 1, count: 500)
        let table = MemberTable(of: [record(0), long, record(2)], at: .origin)
        var queue = GossipQueue()
        for slot in [2, 1, 0] { queue.insert(slot, .alive) }
        var told: [MemberRecord] = []
        queue.take(
            budget: 2 * record(0).weight, limit: 3, counts: true, except: World.node(0), from: table, ourselves: record(9),
            into: &told)
        #expect(told.map(\.node) == [World.node(2)])
        #expect(queue.count == 3 && queue.isFresh)
    }
}
