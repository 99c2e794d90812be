import Model
import Testing

@testable import AgentServer

@Suite struct HeldWritersTests {
    private let start = LogicalInstant(microseconds: 1_000_000)

    /// What becomes of writers of these partitions, in this order, when `change` is made after all of them wait.
    private func outcomes(
        of writers: [(partition: UInt64, patience: Span)], _ change: (inout HeldWriters) -> Void
    ) async -> [Bool] {
        let (answers, say) = AsyncStream.makeStream(of: (Int, Bool).self)
        let (waits, began) = AsyncStream.makeStream(of: (Int, CheckedContinuation<Bool, Never>).self)
        let tasks = writers.indices.map { index in
            Task { _ = say.yield((index, await withCheckedContinuation { _ = began.yield((index, $0)) })) }
        }
        var held = HeldWriters()
        var left = writers.count
        for await (index, continuation) in waits {
            held.add(
                to: PartitionID(writers[index].partition), holding: 10, until: start + writers[index].patience, continuation)
            left -= 1
            if left == 0 { break }
        }
        change(&held)
        // Whoever is left is none of those that were asked about.
        held.abandonAll()
        #expect(held.isEmpty)
        for task in tasks { await task.value }
        say.finish()
        var outcomes = [Bool](repeating: false, count: writers.count)
        for await (index, isWorthAnother) in answers { outcomes[index] = isWorthAnother }
        return outcomes
    }

    @Test("writers go on when their own partition has changed hands, and no others do")
    func release() async {
        let found = await outcomes(of: [(1, .seconds(1)), (2, .seconds(1)), (1, .seconds(1))]) { held in
            held.release { $0 == PartitionID(1) }
        }
        #expect(found == [true, false, true])
    }

    @Test("whose time is up is sent away, whoever came before; the others go on later")
    func expire() async {
        let found = await outcomes(of: [(1, .seconds(2)), (1, .seconds(1)), (1, .seconds(2))]) { held in
            held.expire(at: start + .seconds(1))
            held.release { _ in true }
        }
        #expect(found == [true, false, true])
    }

    @Test("what waits is bounded, by its number and by what it holds in memory")
    func bounds() async {
        _ = await outcomes(of: (0..<1_024).map { _ in (1, .seconds(1)) }) { held in
            #expect(!held.hasRoom(for: 10))
            held.release { _ in true }
            #expect(held.hasRoom(for: 10) && held.hasRoom(for: 1 << 20))
        }
        #expect(!HeldWriters().hasRoom(for: 1 << 30))
    }
}
