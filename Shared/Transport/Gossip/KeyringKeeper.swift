// Keeps a member's gossip keys what the cluster's record says. A ring is on disk before it is in force, and in force before anybody is
// told that it is held: what a member has said of itself stays true when it dies and comes back. The file is replaced as a whole, so
// it holds the ring before or the one after.

import Identity
package import Logging
package import Model
import ServiceLifecycle
import Synchronization

package final class KeyringKeeper: Service {
    private struct State {
        /// Of the ring in force.
        var version: Revision
        var held: HeldGossipKeys
        /// The newest ring that is not in force yet.
        var wanted: GossipKeys?
        /// Whether the record is known as it was when this process started, or newer.
        var isCurrent = false
    }

    private let seal: GossipSeal
    private let path: String
    private let logger: Logger
    private let state: Mutex<State>
    private let bell = Doorbell()
    private let current: (stream: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation)
    private let continuation: AsyncStream<HeldGossipKeys>.Continuation
    /// What is held, at first and after each change; for one reader.
    package let news: AsyncStream<HeldGossipKeys>

    /// - Parameter path: the file of the keyring with which `seal` was made.
    package init(seal: GossipSeal, path: String, logger: Logger) {
        self.seal = seal
        self.path = path
        self.logger = logger
        let keyring = seal.keyring
        state = Mutex(State(version: keyring.version, held: keyring.held))
        current = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        (news, continuation) = AsyncStream.makeStream(of: HeldGossipKeys.self, bufferingPolicy: .bufferingNewest(1))
        continuation.yield(keyring.held)
    }

    /// What this member opens and seals with, and will again after a crash.
    package var held: HeldGossipKeys { state.withLock { $0.held } }

    /// Takes the record as it is known now; an older one than the ring in force changes nothing.
    ///
    /// - Parameter isCurrent: whether it is as new as the start of this process: nothing that was decided before is still unknown.
    package func follow(_ record: GossipKeys?, isCurrent: Bool) {
        let isNews = state.withLock { state in
            let newest = max(state.version, state.wanted?.version ?? .none)
            let isNewer = record.map { $0.version > newest } ?? false
            if isNewer { state.wanted = record }
            defer { state.isCurrent = state.isCurrent || isCurrent }
            return isNewer || (isCurrent && !state.isCurrent)
        }
        if isNews { bell.ring() }
    }

    /// Waits until what was decided before this start is in force, for so long at the most: without coordinators the file holds.
    package func becomesCurrent(within span: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [stream = current.stream] in for await _ in stream { break } }
            group.addTask { try? await Task.sleep(for: span) }
            await group.next()
            group.cancelAll()
        }
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskCancellationHandler {
                await self.keep()
            } onCancel: {
                self.bell.ring()
            }
        }
        continuation.finish()
    }

    private func keep() async {
        while !Task.isCancelled {
            let (wanted, isCurrent) = state.withLock { ($0.wanted, $0.isCurrent) }
            if let wanted {
                guard takeOver(wanted) else {
                    _ = await bell.wait(atMost: GossipLimits.keysPause)
                    continue
                }
                continue
            }
            if isCurrent { current.continuation.finish() }
            await bell.wait()
        }
    }

    /// - Returns: false when the disk would not have it.
    private func takeOver(_ record: GossipKeys) -> Bool {
        do throws(IdentityError) {
            let keyring = try GossipKeyring(record)
            try SecretFile.write(Array(try keyring.json()), to: path)
            seal.use(keyring)
            state.withLock { state in
                (state.version, state.held) = (keyring.version, keyring.held)
                if state.wanted?.version == record.version { state.wanted = nil }
            }
            logger.notice(
                "gossip keys",
                metadata: ["held": "\(keyring.held.ids.map(\.description))", "sealing": "\(keyring.held.primary)"])
            continuation.yield(keyring.held)
            return true
        } catch {
            logger.error("the gossip keys were not stored and are not in force", metadata: ["reason": "\(error)"])
            return false
        }
    }
}

/// Gossip that begins when the cluster's keys are known: before that, what a member seals with a key that was exchanged while it was
/// away, nobody opens. Who reaches no coordinator begins with the keys that it has.
package struct InformedGossip: Service {
    private let gossip: GossipService
    private let keys: KeyringKeeper

    package init(gossip: GossipService, keys: KeyringKeeper) {
        self.gossip = gossip
        self.keys = keys
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.keys.becomesCurrent(within: GossipLimits.keysPatience) }
        try await gossip.run()
    }
}
