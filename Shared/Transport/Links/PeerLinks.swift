// A process's outbound links of one conversation: one to each peer, opened again whenever it ends.
//
// Messages to a peer whose link is down are dropped and counted, not kept: their protocols repeat what still matters when the link
// is back (`PeerEvent.connected`), and a queue of stale messages would only delay the fresh ones.

package import Logging
package import Model
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
package import Wire

/// What became of the link to one peer.
package enum PeerEvent: Hashable, Sendable {
    case connected(Hello)
    /// The peer's machine has ended the link: its process is gone, most likely.
    case disconnected(NodeID)
    /// The link has ended, and that says nothing about the peer: it has moved, is none any more, or the way to it is cut.
    case ended(NodeID)
    /// Its machine is there, and nobody listens: the peer's process is gone, most likely. Told at each attempt.
    case refused(NodeID)
}

/// One-way links to a changing set of peers.
package final class PeerLinks: Service {
    package struct Counters: Hashable, Sendable {
        package var sent: UInt64 = 0
        /// The peer is unknown or its link is down.
        package var droppedUnconnected: UInt64 = 0
        /// The peer takes less than it is sent.
        package var droppedFull: UInt64 = 0
        package var connects: UInt64 = 0
        package var failedConnects: UInt64 = 0
    }

    private final class Peer: Sendable {
        struct State {
            var address: String
            var link: Link?
            var isRemoved = false
        }
        let node: NodeID
        let state: Mutex<State>
        /// Rung when the peer is heard of while a new link to it is waited for.
        let bell = Doorbell()

        init(node: NodeID, address: String) {
            self.node = node
            state = Mutex(State(address: address))
        }
    }

    private struct State {
        var peers: [NodeID: Peer] = [:]
        var unstarted: [Peer] = []
        var counters = Counters()
    }

    /// The first wait after a failure, and the longest: short, because a returned peer's writes wait for it.
    private static let backoff = (first: Span.milliseconds(30), longest: Span.milliseconds(1_000))

    private let dialer: LinkDialer
    private let conversation: Conversation
    private let logger: Logger
    private let state = Mutex(State())
    private let wake: (stream: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation)
    private let eventContinuation: AsyncStream<PeerEvent>.Continuation
    /// What becomes of the links; a reader that falls behind by more than 4096 loses the oldest.
    package let events: AsyncStream<PeerEvent>

    package init(
        endpoint: LinkEndpoint, conversation: Conversation, limits: LinkLimits = LinkLimits(), logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        dialer = LinkDialer(endpoint: endpoint, limits: limits, group: group)
        self.conversation = conversation
        self.logger = logger
        wake = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        (events, eventContinuation) = AsyncStream.makeStream(of: PeerEvent.self, bufferingPolicy: .bufferingNewest(4_096))
    }

    package var counters: Counters { state.withLock { $0.counters } }
    package var connected: [NodeID] {
        state.withLock { state in state.peers.values.filter { $0.state.withLock { $0.link != nil } }.map(\.node).sorted() }
    }

    /// Makes these, at these addresses, all the peers there are. Links to others end; a link whose peer moved is opened anew.
    package func setPeers(_ addresses: [NodeID: String]) {
        let ended = state.withLock { state -> [Link] in
            var ended: [Link] = []
            for (node, peer) in state.peers where addresses[node] == nil {
                state.peers[node] = nil
                ended += peer.state.withLock {
                    $0.isRemoved = true
                    return $0.link.map { [$0] } ?? []
                }
            }
            for (node, address) in addresses {
                if let peer = state.peers[node] {
                    ended += peer.state.withLock {
                        guard $0.address != address else { return [] }
                        $0.address = address
                        return $0.link.map { [$0] } ?? []
                    }
                } else {
                    let peer = Peer(node: node, address: address)
                    state.peers[node] = peer
                    state.unstarted.append(peer)
                }
            }
            return ended
        }
        for link in ended { link.abort() }
        wake.continuation.yield()
    }

    /// Hands a message over for one peer, without waiting.
    ///
    /// - Returns: whether it was taken; if not, it is gone and counted.
    @discardableResult
    package func send(_ frame: [UInt8], to node: NodeID) -> Bool {
        let link = state.withLock { $0.peers[node] }?.state.withLock { $0.link }
        guard let link, !link.isClosed else {
            state.withLock { $0.counters.droppedUnconnected += 1 }
            return false
        }
        let isTaken = link.offer(frame)
        state.withLock {
            if isTaken { $0.counters.sent += 1 } else { $0.counters.droppedFull += 1 }
        }
        return isTaken
    }

    /// Keeps the links open until shutdown.
    package func run() async {
        await cancelWhenGracefulShutdown { await self.keepAll() }
        eventContinuation.finish()
    }

    private func keepAll() async {
        await withDiscardingTaskGroup { group in
            wake.continuation.yield()
            for await _ in wake.stream {
                let peers = state.withLock { state -> [Peer] in
                    defer { state.unstarted = [] }
                    return state.unstarted
                }
                for peer in peers { group.addTask { await self.keep(peer) } }
            }
            group.cancelAll()
        }
    }

    private func keep(_ peer: Peer) async {
        var wait = Self.backoff.first
        while !Task.isCancelled {
            let (address, isRemoved) = peer.state.withLock { ($0.address, $0.isRemoved) }
            if isRemoved { return }
            if await hold(peer, at: address) { wait = Self.backoff.first }
            let jittered = Int64.random(in: wait.microseconds / 2...wait.microseconds)
            let isHeard = await peer.bell.wait(atMost: .microseconds(jittered))
            wait = isHeard ? Self.backoff.first : min(wait * 2, Self.backoff.longest)
        }
    }

    /// A peer that opens a link of its own is there: ours to it is tried at once, and not when its time comes.
    package func noteAlive(_ node: NodeID) {
        let peer = state.withLock { $0.peers[node] }
        guard let peer, peer.state.withLock({ $0.link == nil }) else { return }
        peer.bell.ring()
    }

    /// Opens the link and stays until it ends.
    ///
    /// - Returns: whether it was open at all.
    private func hold(_ peer: Peer, at address: String) async -> Bool {
        let link: Link
        do throws(LinkError) {
            link = try await dialer.connect(to: address, expecting: peer.node, conversation: conversation)
        } catch {
            state.withLock { $0.counters.failedConnects += 1 }
            if case .refused = error { eventContinuation.yield(.refused(peer.node)) }
            logger.debug(
                "no link", metadata: ["peer": "\(peer.node)", "address": "\(address)", "reason": "\(error)"])
            return false
        }
        let isWanted = peer.state.withLock {
            guard !$0.isRemoved, $0.address == address else { return false }
            $0.link = link
            return true
        }
        guard isWanted else {
            link.abort()
            return true
        }
        state.withLock { $0.counters.connects += 1 }
        eventContinuation.yield(.connected(link.peer))
        // The peer has nothing to say on a one-way link; the wait is for its end.
        do throws(LinkError) {
            while try await link.receive() != nil {}
        } catch {
            logger.debug("a link ended", metadata: ["peer": "\(peer.node)", "reason": "\(error)"])
        }
        let isUnwanted = peer.state.withLock {
            $0.link = nil
            return $0.isRemoved || $0.address != address
        }
        let isStopping = Task.isCancelled
        let isEndedByPeer = link.isEndedByPeer && !isUnwanted && !isStopping
        if isStopping { await link.close() } else { link.abort() }
        eventContinuation.yield(isEndedByPeer ? .disconnected(peer.node) : .ended(peer.node))
        return true
    }
}
