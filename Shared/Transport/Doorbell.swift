import Synchronization

/// Wakes the one task that waits for it. A ring while nobody waits is remembered, once, so that none is missed between a look and the
/// wait after it; and a task may be woken without a reason, so it looks again.
package final class Doorbell: Sendable {
    private enum State {
        /// Can move to: rung, awaited.
        case quiet
        /// Can move to: quiet.
        case rung
        /// Can move to: quiet.
        case awaited(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex(State.quiet)

    package init() {}

    package func ring() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard case .awaited(let waiter) = state else {
                state = .rung
                return nil
            }
            state = .quiet
            return waiter
        }
        waiter?.resume()
    }

    /// Waits for the next ring since the last call returned.
    ///
    /// - Precondition: no other task waits.
    package func wait() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isRung = state.withLock { state in
                switch state {
                case .quiet:
                    state = .awaited(continuation)
                    return false
                case .rung:
                    state = .quiet
                    return true
                case .awaited: preconditionFailure("two tasks wait for one bell")
                }
            }
            if isRung { continuation.resume() }
        }
    }

    /// Waits for the next ring, for so long at the most, or until the task is cancelled.
    ///
    /// - Returns: whether it rang.
    package func wait(atMost span: Duration) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await withTaskCancellationHandler {
                    await self.wait()
                } onCancel: {
                    self.ring()
                }
                return !Task.isCancelled
            }
            group.addTask {
                try? await Task.sleep(for: span)
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }
}
