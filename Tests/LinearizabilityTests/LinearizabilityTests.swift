import Model
import SimulationKit
import Testing

@Suite struct LinearizabilityTests {
    private func call(
        _ operation: RegisterOperation, _ called: Int64, _ returned: Int64?, client: Int = 0, key: Int = 0
    ) -> Call {
        Call(
            client: client, key: key, operation: operation, called: LogicalInstant(microseconds: called),
            returned: returned.map(LogicalInstant.init(microseconds:)))
    }

    private func isLegal(_ history: [Call]) -> Bool { Linearizability.check(history) == .linearizable }

    @Test("no calls at all are in order")
    func nothing() { #expect(isLegal([])) }

    @Test("a read sees the last write that ended before it")
    func readsLastWrite() {
        #expect(isLegal([call(.write(1), 0, 1), call(.read(1), 2, 3)]))
        #expect(!isLegal([call(.write(1), 0, 1), call(.read(0), 2, 3)]))
        #expect(!isLegal([call(.write(1), 0, 1), call(.write(2), 2, 3), call(.read(1), 4, 5)]))
    }

    @Test("a read beside a write may see it or not, and once it was seen nobody sees what was before")
    func overlap() {
        #expect(isLegal([call(.write(1), 0, 10), call(.read(0), 1, 2), call(.read(1), 3, 4)]))
        #expect(!isLegal([call(.write(1), 0, 10), call(.read(1), 1, 2), call(.read(0), 3, 4)]))
    }

    @Test("a write of unknown end may come late, early or never")
    func unknown() {
        let write = call(.write(1), 0, nil)
        #expect(isLegal([write, call(.read(0), 5, 6)]))
        #expect(isLegal([write, call(.read(0), 5, 6), call(.read(1), 7, 8)]))
        #expect(!isLegal([write, call(.read(1), 5, 6), call(.read(0), 7, 8)]))
        #expect(!isLegal([call(.read(1), 1, 2), call(.write(1), 3, nil)]))
    }

    @Test("a value that nobody wrote is a phantom")
    func phantom() { #expect(!isLegal([call(.write(1), 0, 9), call(.read(7), 1, 2)])) }

    @Test("a write that takes effect twice is found by the writes between")
    func twice() {
        #expect(
            !isLegal([
                call(.write(1), 0, 1), call(.write(2), 2, 3), call(.read(2), 4, 5), call(.read(1), 6, 7),
            ]))
    }

    @Test("of two swaps of the same value one fails")
    func swaps() {
        let first = call(.swap(expected: 0, new: 1, succeeded: true), 0, 10)
        #expect(isLegal([first, call(.swap(expected: 0, new: 2, succeeded: false), 0, 10), call(.read(1), 11, 12)]))
        #expect(!isLegal([first, call(.swap(expected: 0, new: 2, succeeded: true), 0, 10)]))
        #expect(isLegal([first, call(.swap(expected: 0, new: 2, succeeded: nil), 0, nil), call(.read(1), 11, 12)]))
    }

    @Test("keys are judged each by itself, and the verdict names the one that failed")
    func keys() {
        let history = [call(.write(1), 0, 1, key: 3), call(.read(0), 2, 3, key: 4), call(.read(0), 2, 3, key: 3)]
        guard case .violated(let key, _, let stuck) = Linearizability.check(history) else {
            Issue.record("passed")
            return
        }
        #expect(key == 3)
        #expect(stuck == [history[2]])
    }

    /// A register that really exists: each call takes effect at a drawn instant between its ends.
    /// - Parameter unknown: of a thousand calls, how many nobody learns the end of.
    private func legalHistory(of count: Int, keys: Int, clients: Int, unknown: UInt64 = 10, seed: UInt64) -> [Call] {
        var random = SeededGenerator(seed: seed)
        var registers = Array(repeating: UInt64(0), count: keys)
        var free = Array(repeating: Int64(0), count: clients)
        struct Plan {
            let client: Int
            let key: Int
            let kind: UInt64
            let ends: (Int64, Int64)
            let effect: Int64
            let isUnknown: Bool
        }
        var plans: [Plan] = []
        for _ in 0..<count {
            let client = Int(random.next() % UInt64(clients))
            let called = free[client] + Int64(random.next() % 50)
            let returned = called + 1 + Int64(random.next() % 100)
            free[client] = returned + 1
            plans.append(
                Plan(
                    client: client, key: Int(random.next() % UInt64(keys)), kind: random.next() % 5, ends: (called, returned),
                    effect: called + Int64(random.next() % UInt64(returned - called + 1)),
                    isUnknown: random.next() % 1_000 < unknown))
        }
        var history: [Call] = []
        for (number, plan) in plans.enumerated().sorted(by: { ($0.element.effect, $0.offset) < ($1.element.effect, $1.offset) })
        {
            let value = registers[plan.key]
            let new = UInt64(number + 1)
            let operation: RegisterOperation
            switch plan.kind {
            case 0, 1:
                operation = .write(new)
                registers[plan.key] = new
            case 2:
                let expected = random.next() % 2 == 0 ? value : value &+ 1
                operation = .swap(expected: expected, new: new, succeeded: plan.isUnknown ? nil : expected == value)
                if expected == value { registers[plan.key] = new }
            default: operation = .read(value)
            }
            history.append(
                call(operation, plan.ends.0, plan.isUnknown ? nil : plan.ends.1, client: plan.client, key: plan.key))
        }
        return history
    }

    @Test("a history of 10,000 calls on real registers is found in order", arguments: [1, 8], [1, 5, 12])
    func largeLegal(keys: Int, clients: Int) {
        let history = legalHistory(of: 10_000, keys: keys, clients: clients, seed: UInt64(keys * 100 + clients))
        #expect(Linearizability.check(history) == .linearizable)
    }

    @Test("one stale read planted among 10,000 calls is found", arguments: 1...5 as ClosedRange<UInt64>)
    func largePlanted(seed: UInt64) {
        var history = legalHistory(of: 10_000, keys: 4, clients: 6, unknown: 0, seed: seed)
        // Long after the end, a read of what the first write of that key wrote.
        guard
            let old = history.first(where: {
                if case .write = $0.operation { return $0.key == 2 && $0.returned != nil }
                return false
            }), case .write(let value) = old.operation
        else {
            Issue.record("no write of the key")
            return
        }
        history.append(call(.read(value), 10_000_000, 10_000_001, key: 2))
        guard case .violated(2, _, _) = Linearizability.check(history) else {
            Issue.record("passed")
            return
        }
    }

    @Test("what was given up at one key hides no violation at another, and is told when there is none")
    func givenUp() {
        // Eight writes at once and a read of none of them: every order has to be tried.
        let puzzle =
            (0..<8).map { call(.write(UInt64($0) + 1), 0, 100, client: $0, key: 1) } + [call(.read(99), 0, 100, key: 1)]
        #expect(Linearizability.check(puzzle, limit: 50) == .undecided(keys: [1]))
        let violated = [call(.write(5), 0, 1, key: 2), call(.read(0), 2, 3, key: 2)]
        guard case .violated(2, _, _) = Linearizability.check(puzzle + violated, limit: 50) else {
            Issue.record("the violation is hidden")
            return
        }
    }

    @Test("small histories are judged as trying every order judges them")
    func againstEveryOrder() {
        var random = SeededGenerator(seed: 11)
        var illegal = 0
        for _ in 0..<3_000 {
            let history = (0..<5).map { _ in
                let called = Int64(random.next() % 8)
                let operation: RegisterOperation =
                    switch random.next() % 3 {
                    case 0: .write(1 + random.next() % 2)
                    case 1: .read(random.next() % 3)
                    default: .swap(expected: random.next() % 3, new: 1 + random.next() % 2, succeeded: random.next() % 2 == 0)
                    }
                return call(operation, called, called + Int64(random.next() % 4))
            }
            let expected = hasOrder(history, after: 0)
            if !expected { illegal += 1 }
            #expect(isLegal(history) == expected, "\(history)")
        }
        #expect(illegal > 300 && illegal < 2_700, "\(illegal) of 3000 were illegal: the test tells little")
    }

    private func hasOrder(_ calls: [Call], after value: UInt64) -> Bool {
        if calls.isEmpty { return true }
        return calls.indices.contains { index in
            let call = calls[index]
            let mayBeFirst = calls.allSatisfy { other in other.returned.map { $0 >= call.called } ?? true }
            var next = value
            switch call.operation {
            case .write(let new): next = new
            case .read(let seen): guard seen == value else { return false }
            case .swap(let expected, let new, let succeeded):
                guard (expected == value) == (succeeded ?? true) else { return false }
                if succeeded ?? true { next = new }
            }
            var rest = calls
            rest.remove(at: index)
            return mayBeFirst && hasOrder(rest, after: next)
        }
    }
}
