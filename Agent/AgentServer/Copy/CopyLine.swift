// One end of a copy's conversation: frames there and back, and the end of patience with a peer that is silent.

import Model
import Movement
import Replication
import Synchronization
import Transport
import Wire

/// How much of a copy has arrived, as one of its ends knows it.
struct CopyExtent: Hashable, Sendable, CustomStringConvertible {
    /// Chunks that the receiver has stored, those of earlier tries too.
    var chunks: UInt64 = 0
    /// Bytes of rows in this try, unpacked.
    var bytes: UInt64 = 0

    var description: String { "\(chunks) chunks were stored; this try brought \(bytes) bytes" }
}

/// Why a copy did not come to its end; it is ordered again.
enum CopyFailure: Error, Hashable, Sendable, CustomStringConvertible {
    case refused(String)
    case unexpected(String)
    /// A chunk is not taken: it is not what was sent, does not belong here, or could not be stored.
    case chunk(UInt64, of: PartitionID, because: String)
    /// The link to the peer ended in the middle.
    case ended(NodeID, CopyExtent)
    /// The peer neither sent a frame nor took one for as long as that; the link was given up.
    case silent(NodeID, for: Span, CopyExtent)

    var description: String {
        switch self {
        case .refused(let why): "refused: \(why)"
        case .unexpected(let what): what
        case .chunk(let number, let partition, let why): "chunk \(number) of partition \(partition) is not taken: \(why)"
        case .ended(let peer, let extent): "the link to \(peer) ended: \(extent)"
        case .silent(let peer, let span, let extent): "\(peer) was silent for \(span): \(extent)"
        }
    }
}

final class CopyLine: Sendable {
    private struct State {
        var watch: SilenceWatch
        var isGivenUp = false
        var extent = CopyExtent()
    }

    let link: Link
    private let limit: Span
    private let state: Mutex<State>

    /// - Parameter silence: how long the peer may let this end wait for a frame, or for room to send one.
    init(_ link: Link, silence: Span) {
        self.link = link
        limit = silence
        state = Mutex(State(watch: SilenceWatch(limit: silence)))
    }

    var extent: CopyExtent { state.withLock { $0.extent } }

    func note(_ change: (inout CopyExtent) -> Void) { state.withLock { change(&$0.extent) } }

    /// Does `body`, and aborts the link when the peer is silent for too long.
    func guarded(_ body: () async throws -> Void) async throws {
        async let _: Void = watch()
        try await body()
    }

    /// - Throws: `CopyFailure`, or `LinkError` when it ended in another way.
    func say(_ frame: CopyFrame) async throws { try await waiting { try await link.send(frame.serialized()) } }

    /// - Throws: as `say`; `refused` when the peer does not want to go on.
    func hear() async throws -> CopyFrame {
        let bytes = try await waiting {
            guard let bytes = try await link.receive() else { throw LinkError.closed }
            return bytes
        }
        let frame = try CopyFrame(bytes: bytes)
        if case .refused(let why) = frame { throw CopyFailure.refused(why) }
        return frame
    }

    private func waiting<Outcome>(_ body: () async throws -> Outcome) async throws -> Outcome {
        state.withLock { $0.watch.waits(at: BootClock.now()) }
        defer { state.withLock { $0.watch.heard() } }
        do { return try await body() } catch LinkError.closed {
            throw state.withLock { state -> CopyFailure in
                let peer = link.peer.node
                return state.isGivenUp ? .silent(peer, for: limit, state.extent) : .ended(peer, state.extent)
            }
        }
    }

    private func watch() async {
        let pause = min(max(limit / 8, .milliseconds(10)), .seconds(1))
        while true {
            do { try await Task.sleep(for: .microseconds(pause.microseconds)) } catch { return }
            let isOver = state.withLock { state in
                state.isGivenUp = state.watch.isOver(at: BootClock.now())
                return state.isGivenUp
            }
            if isOver { return link.abort() }
        }
    }
}
