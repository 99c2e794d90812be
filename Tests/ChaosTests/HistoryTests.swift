// What a run would say of a cluster that breaks its promises: no real one does so when it is asked to.

import Client
import LoadLedger
import Model
import SimulationKit
import Testing

@testable import chaos

@Suite struct HistoryTests {
    private let history = History()

    private func receipt(_ sequence: UInt64) -> CoxswainClient.Receipt {
        .init(partition: 7, position: Position(epoch: Epoch(1), run: 1, sequence: sequence))
    }

    private func write(_ value: UInt64, _ result: Result<CoxswainClient.Receipt, ClientError>) async {
        await history.write(value, to: "k", as: 0) { () async throws(ClientError) in try result.get() }
    }

    private var isLinearizable: Bool { history.judge() == .linearizable }

    @Test("a strong read of what an acknowledged write had replaced is found")
    func staleRead() async {
        await write(1, .success(receipt(1)))
        await write(2, .success(receipt(2)))
        await history.read("k", as: 1) { 2 }
        #expect(isLinearizable)
        await history.read("k", as: 1) { 1 }
        #expect(!isLinearizable)
    }

    @Test("a row that is gone is found, by the reads and by the book")
    func lostWrite() async {
        await write(1, .success(receipt(1)))
        await history.read("k", as: 1) { 0 }
        #expect(!isLinearizable)
        #expect(history.ledger.judge("k", found: nil) != .kept)
        #expect(history.ledger.acknowledged(of: "k") == 1)
    }

    @Test("a write that was refused may not be seen")
    func refusedWrite() async {
        await write(1, .failure(.unreachable("nobody answers")))
        #expect(isLinearizable)
        await history.read("k", as: 1) { 1 }
        #expect(!isLinearizable)
    }

    @Test("a write of unknown outcome may be seen or not, but once seen it stays until another replaces it")
    func unknownWrite() async {
        await write(1, .success(receipt(1)))
        await write(2, .failure(.outcomeUnknown("no answer")))
        await history.read("k", as: 1) { 1 }
        await history.read("k", as: 1) { 2 }
        #expect(isLinearizable)
        await history.read("k", as: 1) { 1 }
        #expect(!isLinearizable)
    }

    @Test("a hundred writes of unknown outcome that nobody saw cost the judge nothing")
    func unseenWrites() async {
        for value in 1...100 as ClosedRange<UInt64> { await write(value, .failure(.outcomeUnknown("no answer"))) }
        await write(101, .success(receipt(1)))
        await history.read("k", as: 1) { 101 }
        #expect(isLinearizable)
    }

    @Test("two writes that were acknowledged at one position are told of")
    func onePosition() async {
        await write(1, .success(receipt(1)))
        await write(2, .success(receipt(1)))
        #expect(history.ledger.conflicts == ["k"])
    }
}
