// The coordinator's side of an agent's session: one link, on which the agent asks and the topology streams.
//
// A stream that is slow holds back only itself: the feed keeps the deltas, and a watcher that falls behind them gets a snapshot.

package import Identity
package import Logging
package import Model
import Synchronization
package import Transport
import Wire

/// Serves agents' sessions.
package final class AgentSessions: Sendable {
    private enum Bounds {
        static let beacon = Duration.milliseconds(100)
        static let silence = Span.seconds(10)
    }

    private let backend: any SessionBackend
    private let writer: DeltaWriter
    private let ended: @Sendable (NodeID) -> Void
    private let logger: Logger
    private let open = Mutex<[NodeID: Int]>([:])

    /// - Parameters:
    ///   - identity: who signs the deltas, so that agents can hand them on (rule T2); nil: they cannot.
    ///   - ended: told of each session that the agent's machine ended: its process may be gone.
    package init(
        backend: any SessionBackend, signingAs identity: TLSIdentity? = nil, of cluster: ClusterID, logger: Logger,
        ended: @escaping @Sendable (NodeID) -> Void = { _ in }
    ) {
        self.backend = backend
        writer = DeltaWriter(signingAs: identity, of: cluster)
        self.ended = ended
        self.logger = logger
    }

    /// The agents that have a session here now.
    package var connected: [NodeID] { open.withLock { $0.keys.sorted() } }

    /// Holds one session until the agent, the network or shutdown ends it: the listener's handler for `.session`.
    package func serve(_ link: Link) async {
        let node = link.peer.node
        open.withLock { $0[node, default: 0] += 1 }
        logger.info("session open", metadata: ["agent": "\(node)", "remote": "\(link.remoteAddress)"])
        let conversation = SessionConversation(node: node, link: link, backend: backend, writer: writer)
        var isEndedByPeer = false
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await conversation.beacon(every: Bounds.beacon, silence: Bounds.silence) }
            group.addTask { await conversation.watch() }
            group.addTask {
                do {
                    try await conversation.listen()
                } catch  where !Task.isCancelled {
                    self.logger.warning("a session ended", metadata: ["agent": "\(node)", "reason": "\(error)"])
                } catch {
                    // This side ends it.
                }
            }
            await group.next()
            isEndedByPeer = link.isEndedByPeer
            group.cancelAll()
            link.abort()
        }
        open.withLock { open in
            let left = (open[node] ?? 1) - 1
            open[node] = left > 0 ? left : nil
        }
        logger.info("session closed", metadata: ["agent": "\(node)"])
        if isEndedByPeer { ended(node) }
    }
}

/// One session's tasks and what they share.
private final class SessionConversation: Sendable {
    private enum Bounds {
        /// Questions of one agent that are asked at a time.
        static let underWay = 256
        /// Bytes of those that wait to be asked. What does not fit is dropped, and the agent repeats it.
        static let waitingBytes = 4 << 20
        /// Proposals that may end a fence, asked at a time beside the others; an agent has one for each operation that it drives.
        static let fenceEnds = 1_024
    }

    private let node: NodeID
    private let link: Link
    private let backend: any SessionBackend
    private let writer: DeltaWriter
    private let heardAt = Mutex(BootClock.now())
    /// Whether a whole topology is on its way. What anybody asks for meanwhile it brings, or the deltas that follow it on this stream.
    private let isSendingWhole = Mutex(false)
    private let watches: (stream: AsyncStream<Revision>, continuation: AsyncStream<Revision>.Continuation)
    private let questions: (stream: AsyncStream<Question>, continuation: AsyncStream<Question>.Continuation)
    private let waitingBytes = Mutex(0)

    private struct Question {
        let frame: AgentFrame
        let bytes: Int
    }

    init(node: NodeID, link: Link, backend: any SessionBackend, writer: DeltaWriter) {
        self.node = node
        self.link = link
        self.backend = backend
        self.writer = writer
        watches = AsyncStream.makeStream(of: Revision.self, bufferingPolicy: .bufferingNewest(1))
        questions = AsyncStream.makeStream(of: Question.self)
    }

    // MARK: - The agent's questions

    /// Reads on whatever waits to be answered: behind a flood of other questions may come the end of a fence, and a fence has 400 ms
    /// (rule M4).
    func listen() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.answerInTurn() }
            var fenceEnds = 0
            for try await bytes in link.frames {
                heardAt.withLock { $0 = BootClock.now() }
                let frame = try AgentFrame(bytes: bytes)
                switch frame {
                case .watch(let revision):
                    // Begun anew for each question, a large topology would never arrive.
                    if !isSendingWhole.withLock({ $0 }) { watches.continuation.yield(revision) }
                case .ping(let number): link.offer(CoordinatorFrame.pong(number).serialized())
                case .loadReport(let report):
                    // An agent speaks for its own node only.
                    if report.node == node { await backend.take(report) }
                case .propose(_, let proposal, _) where proposal.mayEndFence:
                    if fenceEnds >= Bounds.fenceEnds {
                        try await group.next()
                        fenceEnds -= 1
                    }
                    fenceEnds += 1
                    group.addTask { try await self.answer(frame) }
                case .propose, .register, .deathReport, .confirmQuorum: put(Question(frame: frame, bytes: bytes.count))
                }
            }
            group.cancelAll()
        }
    }

    private func put(_ question: Question) {
        let fits = waitingBytes.withLock { waiting in
            guard waiting + question.bytes <= Bounds.waitingBytes else { return false }
            waiting += question.bytes
            return true
        }
        if fits { questions.continuation.yield(question) }
    }

    /// Asks one beside the other: a commit takes a while, and what is behind it must not wait.
    private func answerInTurn() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var underWay = 0
            for await question in questions.stream {
                if underWay >= Bounds.underWay {
                    try await group.next()
                    underWay -= 1
                }
                underWay += 1
                waitingBytes.withLock { $0 -= question.bytes }
                group.addTask { try await self.answer(question.frame) }
            }
            group.cancelAll()
        }
    }

    private func answer(_ frame: AgentFrame) async throws(LinkError) {
        switch frame {
        case .propose(let request, let proposal, let session):
            let outcome = await backend.propose(proposal, as: request, by: node, in: session)
            try await link.send(CoordinatorFrame.outcome(request, outcome).serialized())
        case .register(let request, let registration):
            let outcome = await backend.register(registration, as: request, by: node)
            try await link.send(CoordinatorFrame.registered(request, outcome).serialized())
        case .deathReport(let found): await backend.take(found, by: node)
        case .confirmQuorum(let number):
            // No answer when nobody is sure: the agent asks again for as long as it wants to know.
            if let revision = await backend.confirmQuorum() {
                try await link.send(CoordinatorFrame.quorumConfirmed(number, revision: revision).serialized())
            }
        case .watch, .ping, .loadReport: break
        }
    }

    // MARK: - The topology's stream

    /// Streams from where the agent last said that it stands. One stream at a time: the old one has ended before the new one starts,
    /// or deltas would cross. Each has a group of its own, since a cancelled group cancels whatever is added to it.
    func watch() async {
        var revisions = watches.stream.makeAsyncIterator()
        var next = await revisions.next()
        while let start = next {
            next = await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.stream(from: start) }
                defer { group.cancelAll() }
                return await revisions.next()
            }
        }
    }

    private func stream(from start: Revision) async {
        var revision = start
        var signer = writer.signer
        do {
            while let update = await backend.feed.updates(after: revision) {
                // Who is gone for good may hear that, and no keys any more: its certificate is still good for a while.
                let isMember = backend.feed.topology.nodes[node]?.status != .decommissioned
                switch update {
                case .deltas(let deltas):
                    for delta in deltas {
                        let signed = isMember ? writer.signed(delta) : SignedDelta(delta.withoutGossipKeys)
                        try await link.send(CoordinatorFrame.delta(signed, signer: signer).serialized())
                        // It has been said.
                        signer = nil
                        revision = delta.to
                    }
                case .snapshot(let topology):
                    let shown = isMember ? topology : topology.withoutGossipKeys
                    isSendingWhole.withLock { $0 = true }
                    defer { isSendingWhole.withLock { $0 = false } }
                    for chunk in SnapshotChunk.chunks(of: shown) {
                        try await link.send(CoordinatorFrame.snapshot(chunk).serialized())
                    }
                    revision = topology.revision
                }
            }
        } catch {
            // The link is gone; the listening task says why.
        }
    }

    // MARK: - Signs of life

    /// Tells who leads, at once when that changes; ends when the agent has fallen silent.
    func beacon(every interval: Duration, silence: Span) async {
        var told: LeaderHint?
        var toldAt = BootClock.now()
        while !Task.isCancelled, !link.isClosed, BootClock.now() - heardAt.withLock({ $0 }) < silence {
            let hint = await backend.leader()
            // Again from time to time: an agent that could not reach the leader a moment ago may be able to now.
            if hint != told || BootClock.now() - toldAt >= .seconds(2) {
                link.offer(CoordinatorFrame.leader(hint).serialized())
                (told, toldAt) = (hint, BootClock.now())
            }
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }
}
