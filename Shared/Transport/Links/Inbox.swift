import NIOCore
import NIOSSL
import Synchronization

/// Frames received and not yet taken. Bounded by bytes: when it is full, the socket is not read, so that TCP holds the sender back.
final class Inbox: Sendable {
    private struct State {
        var frames = CircularBuffer<[UInt8]>()
        var bytes = 0
        var waiter: CheckedContinuation<Result<[UInt8]?, LinkError>, Never>?
        var end: LinkError?
        var isEndedByPeer = false
        var isEndingHere = false
        var isPaused = false
        var certificate: NIOSSLCertificate?
    }

    private let state = Mutex(State())
    private let highBytes: Int
    private let lowBytes: Int
    /// A frame has a cost beside its bytes; a peer that sends empty ones is held back too.
    private static let frameCost = 64

    init(highBytes: Int, lowBytes: Int) {
        self.highBytes = highBytes
        self.lowBytes = lowBytes
    }

    /// - Returns: whether more may be read now; if not, `take` will say when.
    func put(_ frame: [UInt8]) -> Bool {
        let (waiter, goOn) = state.withLock { state -> (CheckedContinuation<Result<[UInt8]?, LinkError>, Never>?, Bool) in
            if let waiter = state.waiter {
                state.waiter = nil
                return (waiter, true)
            }
            guard state.end == nil else { return (nil, true) }
            state.frames.append(frame)
            state.bytes += frame.count + Self.frameCost
            // Once paused, only `take` ends it: one read brings many frames, and a smaller sum after one was taken must not hide
            // that reading is held back, or nobody would ever let it go on.
            if state.bytes >= highBytes { state.isPaused = true }
            return (nil, !state.isPaused)
        }
        waiter?.resume(returning: .success(frame))
        return goOn
    }

    /// Who the peer proved to be. It is kept beside what it sent, since the channel forgets it when it closes, and a peer may close
    /// right behind its last word.
    var certificate: NIOSSLCertificate? { state.withLock { $0.certificate } }

    func noteProof(_ certificate: NIOSSLCertificate?) { state.withLock { $0.certificate = certificate } }

    /// This side has begun to end the link: however it ends now, it says nothing about the peer.
    func noteEndingHere() { state.withLock { $0.isEndingHere = true } }

    /// Whether the peer's machine said that it is over, and this side had not.
    var isEndedByPeer: Bool { state.withLock { $0.isEndedByPeer } }

    /// No more frames will come. What is there can still be taken. The first reason stands.
    func end(_ reason: LinkError, byPeer: Bool = false) {
        let waiter = state.withLock { state -> CheckedContinuation<Result<[UInt8]?, LinkError>, Never>? in
            if state.end == nil {
                state.end = reason
                state.isEndedByPeer = byPeer && !state.isEndingHere
            }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: reason == .closed ? .success(nil) : .failure(reason))
    }

    /// The next frame; nil at an orderly end.
    ///
    /// - Parameter resume: called when reading, stopped by `put`, may go on.
    /// - Throws: what ended the link, or `.cancelled`.
    func take(resume: () -> Void) async throws(LinkError) -> [UInt8]? {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                var shouldResume = false
                let ready = state.withLock { state -> Result<[UInt8]?, LinkError>? in
                    precondition(state.waiter == nil, "a link's frames are taken by one task")
                    if let frame = state.frames.popFirst() {
                        state.bytes -= frame.count + Self.frameCost
                        if state.isPaused, state.bytes <= lowBytes {
                            state.isPaused = false
                            shouldResume = true
                        }
                        return .success(frame)
                    }
                    if let end = state.end { return end == .closed ? .success(nil) : .failure(end) }
                    if Task.isCancelled { return .failure(.cancelled) }
                    state.waiter = continuation
                    return nil
                }
                if shouldResume { resume() }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Result<[UInt8]?, LinkError>, Never>? in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: .failure(.cancelled))
        }
        return try result.get()
    }
}
