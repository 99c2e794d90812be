// While gossip tells of a newer topology and no coordinator does, other agents are asked for it: they hand on what coordinators have
// signed. An agent that is cut off from all coordinators, and from no agent, so learns who leads what (rule T2).

import Identity
import Logging
import Model
import ServiceLifecycle
import Synchronization
import Transport
import Wire

/// What an agent has to know of itself to learn from others.
protocol TopologyFollower: Sendable {
    /// The revision that is in force here.
    var revision: Revision { get }
    /// The newest that anybody is said to have.
    var newestRevision: Revision { get }
    /// The other members, and where their links are accepted.
    var peers: [NodeID: String] { get }
    /// Takes one delta, which a coordinator has signed.
    func learned(_ delta: TopologyDelta) async
    /// Takes one that a coordinator has signed, and that does not follow on the revision here: it shows that partitions have
    /// gone on.
    func proved(_ delta: TopologyDelta) async
}

package final class PeerTopology: Service {
    private enum Pace {
        /// How long the coordinators have, before others are asked.
        static let patience = Span.seconds(1)
        static let look = Duration.milliseconds(250)
        static let answer = Span.milliseconds(1_500)
        /// The longest pause after answers that helped nothing: where nobody knows more, nobody is asked without end.
        static let longest = Span.seconds(5)
        /// Bytes of an answer that are read at all; an honest one has a mebibyte of deltas, and certificates.
        static let mostBytes = 2 << 20
    }

    /// Why an answer is not taken.
    enum Refusal: Error, Hashable, CustomStringConvertible {
        case notAsked(from: Revision, Revision)
        case unsigned(Revision)
        case silent
        case tooLarge(bytes: Int)

        var description: String {
            switch self {
            case .notAsked(let from, let wanted): "it begins at revision \(from), not at \(wanted)"
            case .unsigned(let revision): "no coordinator of this cluster has signed what leads to revision \(revision)"
            case .silent: "it gave no answer"
            case .tooLarge(let bytes): "its answer has \(bytes) bytes"
            }
        }
    }

    private let dialer: LinkDialer
    private let endpoint: LinkEndpoint
    private let authority: Certificate
    private let relay: DeltaRelay
    private let follower: any TopologyFollower
    private let logger: Logger
    /// Who told last of a newer revision: asked first.
    private let teller = Mutex<NodeID?>(nil)
    /// Up to where it was handed on what partitions have gone on to.
    private let proved = Mutex(Revision.none)

    init(
        endpoint: LinkEndpoint, authority: Certificate, relay: DeltaRelay, follower: any TopologyFollower, logger: Logger
    ) {
        dialer = LinkDialer(endpoint: endpoint)
        self.endpoint = endpoint
        self.authority = authority
        self.relay = relay
        self.follower = follower
        self.logger = logger
    }

    /// Somebody has a newer revision than this agent.
    func heard(from node: NodeID) { teller.withLock { $0 = node } }

    package func run() async { await cancelWhenGracefulShutdown { await self.look() } }

    private func look() async {
        var behind: (at: Revision, since: LogicalInstant)?
        var (asked, pause) = (NodeID?.none, Span.zero)
        while !Task.isCancelled {
            do { try await Task.sleep(for: Pace.look) } catch { return }
            let (own, now) = (follower.revision, BootClock.now())
            guard follower.newestRevision > own else {
                behind = nil
                continue
            }
            guard let since = behind, since.at == own else {
                behind = (own, now)
                continue
            }
            guard now - since.since >= Pace.patience + pause else { continue }
            let (node, helped) = await ask(after: own, except: asked)
            asked = node
            pause = helped ? .zero : min(max(pause * 2, .milliseconds(250)), Pace.longest)
            behind = nil
        }
    }

    /// One peer at a time: who told last, or any, and never the same twice in a row while there are others: who tells of what it does not
    /// give must not keep us from those who would.
    ///
    /// - Returns: who was asked, and whether that helped.
    private func ask(after revision: Revision, except last: NodeID?) async -> (node: NodeID?, helped: Bool) {
        var peers = follower.peers
        if let last, peers.count > 1 { peers[last] = nil }
        let told = teller.withLock { teller in
            defer { teller = nil }
            return teller
        }
        guard let node = told.flatMap({ peers[$0] == nil ? nil : $0 }) ?? peers.keys.randomElement(), let address = peers[node]
        else { return (nil, false) }
        do {
            let parts = try verified(try await answer(of: node, at: address, after: revision), after: revision)
            guard let first = parts.first, let last = parts.last else { return (node, false) }
            guard first.signed.delta.from == revision else {
                // Between them something is missing, which only a coordinator has.
                for part in parts where part.signed.delta.to > proved.withLock({ $0 }) {
                    await follower.proved(part.signed.delta)
                }
                proved.withLock { $0 = max($0, last.signed.delta.to) }
                return (node, false)
            }
            for part in parts {
                await follower.learned(part.signed.delta)
                relay.note(part.signed, by: part.signer)
            }
            logger.notice(
                "learned the topology from a peer", metadata: ["peer": "\(node)", "revision": "\(last.signed.delta.to)"])
            return (node, true)
        } catch {
            logger.debug("no topology from a peer", metadata: ["peer": "\(node)", "reason": "\(error)"])
            return (node, false)
        }
    }

    private func answer(of node: NodeID, at address: String, after revision: Revision) async throws -> TopologyAnswer {
        let link = try await dialer.connect(
            to: address, expecting: node, conversation: .topology, timeout: Pace.answer)
        defer { link.abort() }
        try await link.send(TopologyQuestion(after: revision).serialized())
        let frame = try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask { try await link.receive() }
            group.addTask {
                try await Task.sleep(for: .microseconds(Pace.answer.microseconds))
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let frame else { throw Refusal.silent }
        guard frame.count <= Pace.mostBytes else { throw Refusal.tooLarge(bytes: frame.count) }
        return try TopologyAnswer(bytes: frame)
    }

    /// The parts of an answer, if each follows on the one before it and a coordinator of this cluster has signed it: what a peer says
    /// by itself proves nothing (rule E2). The first follows on `revision`, or stands behind it in the same history.
    func verified(_ answer: TopologyAnswer, after revision: Revision) throws -> [TopologyAnswer.Part] {
        var signers: [[UInt8]: SignerCertificate] = [:]
        var end = revision
        for (place, part) in answer.parts.enumerated() {
            let delta = part.signed.delta
            let follows =
                place == 0 ? delta.from >= revision && delta.from.history == revision.history : delta.from == end
            guard follows, delta.to > delta.from else { throw Refusal.notAsked(from: delta.from, end) }
            let signer =
                try signers[part.signer]
                ?? SignerCertificate(
                    der: part.signer, by: authority, clusterName: endpoint.clusterName, cluster: endpoint.cluster,
                    at: BootClock.wallTime())
            signers[part.signer] = signer
            guard let signature = part.signed.signature, signer.hasSigned(delta: part.signed.bytes, with: signature) else {
                throw Refusal.unsigned(delta.to)
            }
            end = delta.to
        }
        return answer.parts
    }
}
