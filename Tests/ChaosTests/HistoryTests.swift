// What a run would say of a cluster that breaks its promises: no real one does so when it is asked to.

import Client
import LoadLedger
import Model
import SimulationKit
import Synchronization
import Testing

@testable import chaos

@Suite struct HistoryTests {
    /// No two things happen at the same time.
    private let history: History

    init() {
        let ticks = Ticks()
        history = History { LogicalInstant(microseconds: Int64(ticks.next())) }
    }

    private func receipt(_ sequence: UInt64) -> CoxswainClient.Receipt {
        .init(partition: 7, position: Position(epoch: Epoch(1), run: 1, sequence: sequence))
    }

    private func write(_ value: UInt64, _ result: Result<CoxswainClient.Receipt, ClientError>) async {
        await history.write(value, to: "k", as: 0) { () async throws(ClientError) in try result.get() }
    }

    /// A write of which nobody says anything until it is asked for again.
    private func write(_ value: UInt64, at last: CoxswainClient.Receipt) async {
        let tries = Ticks()
        await history.write(value, to: "k", as: 0) { () async throws(ClientError) in
            guard tries.next() > 1 else { throw .outcomeUnknown("no answer") }
            return last
        }
    }

    private final class Ticks: Sendable {
        private let count = Mutex(0)
        func next() -> Int {
            count.withLock { count in
                count += 1
                return count
            }
        }
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

    @Test("an acknowledged write that is lost does not hide behind an earlier one whose outcome was unknown")
    func hiddenLoss() async {
        await write(1, at: receipt(1))
        await write(2, .success(receipt(2)))
        #expect(Verdict.finding("k", holding: 1, in: history.ledger)?.isLost == false)
        #expect(await history.resolve() == 0)
        #expect(history.resolvedCount == 1 && history.ledger.unknownCount == 0)
        #expect(Verdict.finding("k", holding: 1, in: history.ledger)?.isLost == true)
        #expect(Verdict.finding("k", holding: 2, in: history.ledger) == nil)
    }

    @Test("a key whose audit hangs on a write of unknown outcome is a finding")
    func unknownAudit() async {
        await write(1, .success(receipt(1)))
        await write(2, .failure(.outcomeUnknown("no answer")))
        #expect(await history.resolve() == 1)
        #expect(Verdict.finding("k", holding: 1, in: history.ledger) == nil)
        #expect(Verdict.finding("k", holding: 2, in: history.ledger) != nil)
    }

    @Test("a write that is done when it is asked for again counts from that answer")
    func doneLate() async {
        await write(1, at: receipt(3))
        await history.read("k", as: 1) { 0 }
        await write(2, .success(receipt(2)))
        #expect(await history.resolve() == 0)
        #expect(isLinearizable && history.disorders == [])
        #expect(Verdict.finding("k", holding: 1, in: history.ledger) == nil)
        #expect(Verdict.finding("k", holding: 2, in: history.ledger)?.isLost == true)
        await history.read("k", as: 1) { 0 }
        #expect(!isLinearizable)
    }

    @Test("a write that was called after another was acknowledged may not stand before it")
    func disorder() async {
        await write(1, .success(receipt(2)))
        #expect(history.disorders == [])
        await write(2, .success(receipt(1)))
        #expect(!history.disorders.isEmpty)
    }

    @Test("forty writes that were answered late do not keep a stale read from being found")
    func lateAnswers() async {
        for step in 1...40 as ClosedRange<UInt64> {
            await write(2 * step, at: receipt(2 * step))
            await write(2 * step + 1, .success(receipt(2 * step + 1)))
        }
        #expect(await history.resolve() == 0)
        await history.read("k", as: 1) { 81 }
        #expect(history.judge(limit: 10_000) == .linearizable)
        await history.read("k", as: 1) { 79 }
        guard case .violated = history.judge(limit: 10_000) else {
            Issue.record("no verdict")
            return
        }
    }

    @Test("no verdict within the limit is a finding")
    func undecided() async {
        await write(1, .success(receipt(1)))
        await history.read("k", as: 1) { 1 }
        #expect(Verdict.findings(in: history) == [])
        #expect(Verdict.findings(in: history, limit: 1) == ["no verdict within the limit on k"])
    }

    @Test("a read that is refused as no trouble excuses is a finding, and one that is refused for a while is none")
    func refusedReads() async {
        func refusal(_ status: Int) -> ClientError {
            .refused(Problem(status: status, body: nil))
        }
        await history.read("k", as: 1) { throw refusal(503) }
        await history.readCopy("k", within: nil) { throw refusal(421) }
        #expect(Verdict.findings(in: history) == [] && history.failedReads == 2)
        await history.read("k", as: 1) { throw refusal(401) }
        await history.readCopy("k", within: nil) { throw refusal(500) }
        #expect(Verdict.findings(in: history).count == 2 && history.failedReads == 4)
    }

    @Test("a long run without an answered read of a copy, or with a kind of operation that never succeeded, is a finding")
    func idle() async {
        let plan = ChaosPlan(seed: 1, span: .seconds(600), kinds: Trouble.allCases)
        #expect(
            Verdict.idle(plan, history) { $0 == "merge" ? 0 : 1 }
                == ["no read of any copy was answered", "no merge has succeeded"])
        await history.readCopy("k", within: nil) { 0 }
        #expect(Verdict.idle(plan, history) { _ in 1 } == [])
        let short = ChaosPlan(seed: 1, span: .seconds(60), kinds: Trouble.allCases)
        #expect(Verdict.idle(short, history) { _ in 0 } == [])
    }

    @Test("more than a minute without an acknowledged write is a finding")
    func silence() async {
        let time = Time()
        let history = History { time.now }
        await history.readCopy("k", within: nil) { 0 }
        let plan = ChaosPlan(seed: 1, span: .seconds(60), kinds: [.kill])
        for (second, findings) in [(0, 0), (60, 0), (121, 1)] as [(Int64, Int)] {
            time.set(.seconds(second))
            let place = receipt(UInt64(second) + 1)
            await history.write(UInt64(second) + 1, to: "k", as: 0) { () async throws(ClientError) in place }
            #expect(Verdict.idle(plan, history) { _ in 1 }.count == findings)
        }
    }

    @Test("a copy may answer with what is as old as was asked for, and not older, nor with what was never written")
    func copies() async {
        let time = Time()
        let history = History { time.now }
        for value in 1...2 as ClosedRange<UInt64> {
            time.set(.seconds(Int64(value)))
            let place = receipt(value)
            await history.write(value, to: "k", as: 0) { () async throws(ClientError) in place }
        }
        time.set(.milliseconds(2_900))
        await history.readCopy("k", within: .seconds(1)) { 1 }
        time.set(.milliseconds(3_100))
        await history.readCopy("k", within: nil) { 1 }
        await history.readCopy("k", within: .seconds(1)) { 2 }
        #expect(history.judgeCopies().wrong == [])
        await history.readCopy("k", within: .seconds(1)) { 1 }
        #expect(history.judgeCopies().wrong.count == 1)
        await history.readCopy("k", within: .seconds(1)) { 0 }
        await history.readCopy("k", within: nil) { 3 }
        await history.readCopy("other", within: nil) { 2 }
        #expect(history.judgeCopies().wrong.count == 4)
        #expect(Verdict.findings(in: history).count == 4)
    }

    private final class Time: Sendable {
        private let since = Mutex(Span.zero)
        var now: LogicalInstant { LogicalInstant(microseconds: since.withLock { $0 }.microseconds) }
        func set(_ span: Span) { since.withLock { $0 = span } }
    }
}
