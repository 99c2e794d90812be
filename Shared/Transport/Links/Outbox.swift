import NIOCore
import Synchronization

/// Frames on their way out. Those offered from any thread gather here, and the channel's event loop writes all that has gathered with
/// one flush; bytes count until the socket has taken them.
final class Outbox: Sendable {
    enum Admission: Hashable {
        case accepted(schedule: Bool)
        case full, closed
    }

    private struct State {
        var frames: [[UInt8]] = []
        var gatheredBytes = 0
        /// Gathered and written but not yet taken by the socket.
        var pendingBytes = 0
        var pendingFrames = 0
        var isScheduled = false
        var isClosed = false
        var nextWaiter: UInt64 = 0
        var waiters: [(id: UInt64, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    /// Takes a frame unless more than `bytes` or `frames` are pending; a single frame of any size is always taken when none is.
    func put(_ frame: [UInt8], underBytes bytes: Int, underFrames frames: Int = .max) -> Admission {
        state.withLock { state in
            guard !state.isClosed else { return .closed }
            guard state.pendingFrames == 0 || (state.pendingBytes < bytes && state.pendingFrames < frames) else { return .full }
            state.frames.append(frame)
            state.gatheredBytes += frame.count
            state.pendingBytes += frame.count
            state.pendingFrames += 1
            defer { state.isScheduled = true }
            return .accepted(schedule: !state.isScheduled)
        }
    }

    /// All that has gathered; the caller writes it.
    func gather() -> (frames: [[UInt8]], bytes: Int) {
        state.withLock { state in
            defer {
                state.frames = []
                state.gatheredBytes = 0
                state.isScheduled = false
            }
            return (state.frames, state.gatheredBytes)
        }
    }

    /// The socket has taken what `gather` gave.
    func settle(frames: Int, bytes: Int) {
        wake { state in
            state.pendingBytes -= bytes
            state.pendingFrames -= frames
        }
    }

    /// Nothing is taken any more.
    func close() { wake { $0.isClosed = true } }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    private func wake(_ change: (inout sending State) -> Void) {
        let waiters = state.withLock { state -> [(id: UInt64, continuation: CheckedContinuation<Void, Never>)] in
            change(&state)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume() }
    }

    /// Waits until something has changed since the outbox was full: room, an end, or the task's cancellation.
    func waitForRoom(underBytes bytes: Int) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isReady = state.withLock { state in
                    if state.isClosed || state.pendingBytes < bytes || Task.isCancelled { return true }
                    state.waiters.append((id, continuation))
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume()
        }
    }
}
