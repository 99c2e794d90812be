import Model
import Replication
import Synchronization

/// The continuations of those who wait for an answer, by the opaque ids that the core knows.
final class Callers: Sendable {
    enum Waiter {
        case write(CheckedContinuation<Result<Position, DataRefusal>, Never>)
        case read(CheckedContinuation<Result<Void, DataRefusal>, Never>)
    }

    private struct State {
        var next: UInt64 = 0
        var waiting: [CallerID: (waiter: Waiter, deadline: LogicalInstant)] = [:]
    }

    /// Requests that may wait at once; beyond it they are refused (rule: a limit on everything).
    private static let limit = 16_384

    private let state = Mutex(State())

    /// Registers a waiter; nil, and the waiter is answered `overloaded`, when too many wait.
    func add(_ waiter: Waiter, until deadline: LogicalInstant) -> CallerID? {
        let id = state.withLock { state -> CallerID? in
            guard state.waiting.count < Self.limit else { return nil }
            state.next += 1
            let id = CallerID(state.next)
            state.waiting[id] = (waiter, deadline)
            return id
        }
        if id == nil { waiter.refuse(.overloaded) }
        return id
    }

    func acknowledge(_ id: CallerID, _ position: Position) {
        guard case .write(let continuation) = take(id) else { return }
        continuation.resume(returning: .success(position))
    }

    func readable(_ id: CallerID) {
        guard case .read(let continuation) = take(id) else { return }
        continuation.resume(returning: .success(()))
    }

    func refuse(_ id: CallerID, _ refusal: DataRefusal) { take(id)?.refuse(refusal) }

    /// Answers those who have waited too long: what became of a write is then not known.
    func expire(at now: LogicalInstant) {
        let late = state.withLock { $0.waiting.filter { $0.value.deadline <= now }.map(\.key) }
        for id in late.sorted() { take(id)?.refuse(.outcomeUnknown("no answer within the time allowed")) }
    }

    /// Answers everybody: what becomes of a write that was ordered is not known here, and nobody may say that it was not made.
    func abandonAll(_ why: String) {
        let all = state.withLock { Array($0.waiting.keys) }
        for id in all.sorted() {
            switch take(id) {
            case .write(let continuation): continuation.resume(returning: .failure(.outcomeUnknown(why)))
            case .read(let continuation): continuation.resume(returning: .failure(.stopping))
            case nil: break
            }
        }
    }

    private func take(_ id: CallerID) -> Waiter? { state.withLock { $0.waiting.removeValue(forKey: id)?.waiter } }
}

extension Callers.Waiter {
    func refuse(_ refusal: DataRefusal) {
        switch self {
        case .write(let continuation): continuation.resume(returning: .failure(refusal))
        case .read(let continuation): continuation.resume(returning: .failure(refusal))
        }
    }
}
