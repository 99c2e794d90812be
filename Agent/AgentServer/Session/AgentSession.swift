// The agent's conversation with the coordinator group: it registers this life of the node, follows the topology, carries proposals
// out and their outcomes in, and reports load. It talks to one coordinator at a time, prefers the leader, and when the other side
// falls silent it goes to the next. Nothing that the agent serves waits for it (rule R7).
//
// What is asked while no coordinator is in reach is dropped: whoever asks repeats it under the same request id until it is answered.

import AgentCore
package import Logging
package import Model
import NIOCore
import ServiceLifecycle
import Synchronization
package import Transport
import Wire

package final class AgentSession: Service {
    private enum Pace {
        static let connectTimeout = Span.milliseconds(1_500)
        static let ping = Duration.milliseconds(500)
        static let report = Span.seconds(2)
        static let registration = Span.seconds(1)
        /// The longest pause after refusals, which are more often for good than not; each is an entry in the coordinators' log.
        static let refusedRegistration = Span.seconds(60)
        /// A coordinator that says nothing for so long is given up; it answers every ping.
        static let silence = Span.milliseconds(1_500)
        /// How long one that could not be reached, or had not what others have, is not gone to while there are others.
        static let avoidance = Span.seconds(5)
        /// Between two questions for the topology, and after a piece of it: each question begins the answer anew.
        static let topologyQuestion = Span.milliseconds(500)
        /// Those that may end a fence are neither bound by it nor counted: there are no more of them than fences.
        static let pendingProposals = 4_096
        /// Where a proposal on which a fence hangs has no answer for so long, it is made to another coordinator: all of them
        /// together have 400 ms to end the fence (rule M4).
        static let fenceAnswer = Span.milliseconds(150)
    }

    private struct State {
        var link: Link?
        var status = SessionStatus()
        var proposals: [RequestID: Asked] = [:]
        /// Counted one by one only when there is reason to.
        var isFull: Bool {
            proposals.count >= Pace.pendingProposals
                && proposals.values.count { !$0.proposal.mayEndFence } >= Pace.pendingProposals
        }
        var registration: AgentRegistration
        /// Whether that says what is damaged at the time of the question that is asked now; it says the same until that is answered.
        var isRegistrationCurrent = false
        /// The generation to begin in once it is registered: the disk's own went back.
        var later: Generation?
        var registrations = 0
        /// Refusals one after the other.
        var refusals = 0
        var registeredAt: LogicalInstant?
        var avoided: [NodeID: LogicalInstant] = [:]
        var preferred: CoordinatorAddress?
        /// With one that knows no leader: it may be cut off from a group that has one.
        var leaderless = Patience()
        var awaited = AwaitedRevision()
        /// When the topology was asked for, or a piece of it came.
        var topologyMovedAt: LogicalInstant?
        /// The newest question about the quorum, and when it was asked.
        var quorumAsked: (number: UInt64, at: LogicalInstant) = (0, .origin)

        /// - Parameter unvouched: see `SessionOwner.unvouched`. What has been said for this question stands.
        mutating func describeDamage(_ unvouched: [PartitionID]?) {
            guard !isRegistrationCurrent else { return }
            isRegistrationCurrent = true
            registration.isLogIntact = unvouched?.isEmpty ?? false
            let damaged = unvouched ?? []
            registration.damaged = damaged.count > AgentRegistration.mostDamaged ? [] : damaged
        }
    }

    /// A proposal that is not answered, and when it was last made.
    private struct Asked {
        let proposal: PartitionProposal
        var at: LogicalInstant
    }

    private let node: NodeID
    private let dialer: LinkDialer
    private let coordinators: @Sendable () -> [CoordinatorAddress]
    private let owner: any SessionOwner
    private let relay: DeltaRelay
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameters:
    ///   - coordinators: asked before each round of dialling, so that a changed group is found.
    ///   - registration: without what is damaged, which `owner` is asked for.
    ///   - relay: gets what the coordinators have signed.
    package init(
        endpoint: LinkEndpoint, coordinators: @escaping @Sendable () -> [CoordinatorAddress], registration: AgentRegistration,
        owner: any SessionOwner, relay: DeltaRelay = DeltaRelay(), logger: Logger
    ) {
        node = endpoint.node
        dialer = LinkDialer(endpoint: endpoint)
        self.coordinators = coordinators
        state = Mutex(State(registration: registration))
        self.owner = owner
        self.relay = relay
        self.logger = logger
    }

    package var status: SessionStatus { state.withLock { $0.status } }

    // MARK: - What the agent asks

    /// Sends a proposal; its outcome comes as `SessionEvent.answered`, or not at all.
    ///
    /// One on which a fence hangs and that has to be repeated is made to the next coordinator: while writers wait, nobody waits
    /// for the silence of one that has died without a word (rule M4).
    package func propose(_ proposal: PartitionProposal, as request: RequestID) {
        let now = BootClock.now()
        let hasOthers = coordinators().count > 1
        let (link, session, isLate) = state.withLock { state -> (Link?, SessionID, Bool) in
            guard let link = state.link, state.status.session != .none,
                proposal.mayEndFence || !state.isFull
            else { return (nil, .none, false) }
            let isLate =
                hasOthers && proposal.mayEndFence && state.proposals[request].map { now - $0.at >= Pace.fenceAnswer } ?? false
            if isLate { state.avoided[link.peer.node] = now + Pace.avoidance }
            state.proposals[request] = Asked(proposal: proposal, at: now)
            return (link, state.status.session, isLate)
        }
        guard let link else { return }
        if isLate {
            logger.warning("no answer on which a fence hangs", metadata: ["coordinator": "\(link.peer.node)"])
            link.abort()
        } else {
            link.offer(AgentFrame.propose(request, proposal, session).serialized())
        }
    }

    /// - Parameter found: all that the failure detector tells of at one time, `FoundDeath.mostOfReport` at most.
    package func report(_ found: [FoundDeath]) { offer(.deathReport(found)) }

    /// Asks for the topology from `revision` on, because somebody is known to have a newer one.
    ///
    /// - Parameter newest: what somebody is said to have. A coordinator that goes on without it is left for another, and when all do, it
    ///   is given up: see `SessionEvent.revisionDisbelieved`.
    package func askTopology(from revision: Revision, toReach newest: Revision = .none) {
        let isDue = state.withLock { state in
            state.awaited.hear(of: newest)
            let now = BootClock.now()
            if let moved = state.topologyMovedAt, now - moved < Pace.topologyQuestion { return false }
            state.topologyMovedAt = now
            return true
        }
        if isDue { offer(.watch(from: revision)) }
    }

    /// Asks whether the leader is sure of its quorum; the answer comes as `SessionEvent.quorumConfirmed`, or not at all.
    package func confirmQuorum() {
        let number = state.withLock { state in
            state.quorumAsked = (state.quorumAsked.number + 1, BootClock.now())
            return state.quorumAsked.number
        }
        offer(.confirmQuorum(number))
    }

    private func offer(_ frame: AgentFrame) {
        state.withLock { $0.link }?.offer(frame.serialized())
    }

    // MARK: - Links

    /// Keeps a session open until shutdown.
    package func run() async { await cancelWhenGracefulShutdown { await self.keep() } }

    private func keep() async {
        var next = Int.random(in: 0..<64)
        while !Task.isCancelled {
            let known = coordinators()
            let preferred = state.withLock { state -> CoordinatorAddress? in
                defer { state.preferred = nil }
                return state.preferred
            }
            guard let target = preferred ?? self.target(among: known, from: next) else { return await idle() }
            next += 1
            do throws(LinkError) {
                let link = try await dialer.connect(
                    to: target.link, expecting: target.node, conversation: .session, timeout: Pace.connectTimeout)
                await hold(link, to: target.node)
            } catch {
                state.withLock { $0.avoided[target.node] = BootClock.now() + Pace.avoidance }
                logger.debug("no coordinator", metadata: ["coordinator": "\(target.node)", "reason": "\(error)"])
            }
            // Spread, so that the agents of a lost coordinator do not all fall upon the next at one moment.
            do { try await Task.sleep(for: .milliseconds(Int64.random(in: 20...150))) } catch { return }
        }
    }

    /// The next in turn, but one that was of no use a moment ago, or lacks what is waited for, only where there is no other.
    private func target(among known: [CoordinatorAddress], from next: Int) -> CoordinatorAddress? {
        let inTurn = known.indices.map { known[(next + $0) % known.count] }
        let (now, avoided, awaited) = state.withLock { (BootClock.now(), $0.avoided, $0.awaited) }
        let open = inTurn.filter { avoided[$0.node].map { now >= $0 } ?? true }
        return open.first { !awaited.isLacked(by: $0.node) } ?? open.first ?? inTurn.first
    }

    private func idle() async {
        logger.error("no coordinators are configured")
        // A misconfigured agent still serves what it holds.
        do { try await Task.sleep(for: .seconds(86_400)) } catch {}
    }

    private func hold(_ link: Link, to coordinator: NodeID) async {
        let (session, urgent) = state.withLock { state in
            state.link = link
            state.proposals = state.proposals.filter { $0.value.proposal.mayEndFence }
            for request in state.proposals.keys { state.proposals[request]?.at = BootClock.now() }
            state.status.coordinator = coordinator
            state.status.heardAt = BootClock.now()
            state.leaderless.pause()
            state.awaited.pause()
            state.topologyMovedAt = BootClock.now()
            if state.refusals == 0 { state.registeredAt = nil }
            return (state.status.session, state.proposals.sorted { $0.key < $1.key })
        }
        logger.info("session open", metadata: ["coordinator": "\(coordinator)"])
        await owner.received(.connected(coordinator))
        for (request, asked) in urgent where session != .none {
            link.offer(AgentFrame.propose(request, asked.proposal, session).serialized())
        }
        link.offer(AgentFrame.watch(from: await owner.revision()).serialized())
        var isEndedByPeer = false
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.listen(on: link) }
            group.addTask { await self.speak(on: link) }
            await group.next()
            isEndedByPeer = link.isEndedByPeer
            link.abort()
            group.cancelAll()
        }
        state.withLock { state in
            state.link = nil
            state.status.coordinator = nil
        }
        logger.info("session closed", metadata: ["coordinator": "\(coordinator)"])
        await owner.received(.disconnected(coordinator, byPeer: isEndedByPeer))
    }

    // MARK: - Speaking

    /// Registers, pings and reports, until the other side is silent for too long.
    private func speak(on link: Link) async {
        var number: UInt64 = 0
        var reportedAt: LogicalInstant?
        var toldKeys: HeldGossipKeys?
        while !Task.isCancelled, !link.isClosed {
            let now = BootClock.now()
            if let heard = state.withLock({ $0.status.heardAt }), now - heard > Pace.silence {
                logger.warning("the coordinator is silent", metadata: ["coordinator": "\(link.peer.node)"])
                return
            }
            if let lack = await lack(of: link.peer.node, at: now) {
                state.withLock { $0.avoided[link.peer.node] = now + Pace.avoidance }
                logger.info("\(lack)", metadata: ["coordinator": "\(link.peer.node)"])
                return
            }
            await register(on: link, at: now)
            number += 1
            link.offer(AgentFrame.ping(number).serialized())
            let isDue = reportedAt.map { now - $0 >= Pace.report } ?? true
            if await owner.gossipKeys() != toldKeys || isDue, let report = await owner.report() {
                link.offer(AgentFrame.loadReport(report).serialized())
                (reportedAt, toldKeys) = (now, report.gossipKeys)
            }
            do { try await Task.sleep(for: Pace.ping) } catch { return }
        }
    }

    /// For what the coordinator is left, while there are others: they may have what it has not.
    private func lack(of coordinator: NodeID, at now: LogicalInstant) async -> String? {
        let known = coordinators().map(\.node)
        if known.count > 1, state.withLock({ $0.leaderless.isOver(at: now) }) { return "the coordinator knows no leader" }
        let revision = await owner.revision()
        switch state.withLock({ $0.awaited.look(having: revision, from: coordinator, of: known, at: now) }) {
        case .lacking(let awaited)? where known.count > 1: return "the coordinator does not tell of revision \(awaited)"
        case .disbelieved(let awaited)?:
            logger.warning("a revision that was told of is on no coordinator", metadata: ["revision": "\(awaited)"])
            await owner.received(.revisionDisbelieved(awaited))
            return nil
        case .lacking?, nil: return nil
        }
    }

    private static func pause(after refusals: Int) -> Span {
        refusals < 6 ? Pace.registration * Int64(1 << refusals) : Pace.refusedRegistration
    }

    /// Asks for a session until there is one; always under the same request id, so that it is made once (rules E6, C5). The id names
    /// the store: a new disk under an old name counts its starts anew, and must not be given the old one's session (rule E4).
    private func register(on link: Link, at now: LogicalInstant) async {
        if state.withLock({ $0.status.session == .none && !$0.isRegistrationCurrent }) {
            let unvouched = await owner.unvouched()
            state.withLock { $0.describeDamage(unvouched) }
        }
        let frame = state.withLock { state -> AgentFrame? in
            guard state.status.session == .none else { return nil }
            if let at = state.registeredAt, now - at < Self.pause(after: state.refusals) { return nil }
            state.registeredAt = now
            let start = "\(node)/\(state.registration.store)/\(state.registration.generation)"
            // Another question than that of a process which had this generation before the disk went back.
            let errand = state.registration.isLogIntact ? "register" : "register-damaged"
            guard let request = try? RequestID("\(start)/\(errand)/\(state.registrations)") else { return nil }
            return .register(request, state.registration)
        }
        if let frame { link.offer(frame.serialized()) }
    }

    // MARK: - Listening

    private func listen(on link: Link) async {
        var (assembler, signer) = (SnapshotAssembler(), [UInt8]?.none)
        do {
            for try await bytes in link.frames {
                state.withLock { $0.status.heardAt = BootClock.now() }
                if try await take(try CoordinatorFrame(bytes: bytes), &assembler, &signer) == .leave { return }
            }
        } catch  where !Task.isCancelled {
            logger.warning("a session ended", metadata: ["coordinator": "\(link.peer.node)", "reason": "\(error)"])
        } catch {
            // This side ends it.
        }
    }

    private enum Next { case stay, leave }

    private func take(
        _ frame: CoordinatorFrame, _ assembler: inout SnapshotAssembler, _ signer: inout [UInt8]?
    ) async throws(WireError) -> Next {
        switch frame {
        case .delta(let signed, let newSigner):
            signer = newSigner ?? signer
            state.withLock { $0.awaited.pause() }
            await learned(signed.delta)
            relay.note(signed, by: signer)
        case .snapshot(let chunk):
            state.withLock { state in
                state.topologyMovedAt = BootClock.now()
                state.awaited.pause()
            }
            if let topology = try assembler.add(chunk) {
                await owner.received(.topology(topology))
                noticeFailure(in: topology.nodes[node].map { [.node($0)] } ?? [])
            }
        case .outcome(let request, let outcome):
            if let asked = state.withLock({ $0.proposals.removeValue(forKey: request) }) {
                await owner.received(.answered(asked.proposal, outcome))
            }
        case .registered(_, let outcome): await registered(outcome)
        case .leader(let hint): return follow(hint)
        case .quorumConfirmed(let number, let revision):
            // An answer to an older question proves less than the one that is under way.
            let asked = state.withLock { $0.quorumAsked }
            if number == asked.number { await owner.received(.quorumConfirmed(asked.at, revision: revision)) }
        case .pong: break
        }
        return .stay
    }

    /// A delta that a coordinator vouches for, whoever handed it on.
    func learned(_ delta: TopologyDelta) async {
        await owner.received(.delta(delta))
        noticeFailure(in: delta.changes)
    }

    /// One that follows on something that is not known here: of what it says of partitions the core makes what is safe.
    func proved(_ delta: TopologyDelta) async { await owner.received(.delta(delta)) }

    private func registered(_ outcome: RegistrationOutcome) async {
        switch outcome {
        case .registered(let session):
            // Where the disk refuses, the registration is repeated.
            if let later = state.withLock({ $0.later }), !(await owner.begin(in: later)) { return }
            state.withLock { state in
                state.later = nil
                state.status.session = session
                state.refusals = 0
            }
            logger.info("registered", metadata: ["session": "\(session)"])
            await owner.received(.registered(session))
        case .refused(let code, let detail):
            // The answer under this request id stands for ever; the next try is another request.
            state.withLock { state in
                state.registrations += 1
                state.isRegistrationCurrent = false
                state.refusals += 1
            }
            logger.error("registration refused", metadata: ["code": "\(code)", "detail": "\(detail)"])
            await owner.received(.registrationRefused(code: code, detail: detail))
        case .preceded(let known): await begin(after: known)
        case .wentBack(let known): await distrust(after: known)
        case .unavailable: break
        }
    }

    /// This disk has had `known`, and does not know: registers in a later generation, as one that vouches for nothing.
    ///
    /// The count on the disk is raised only after that: an agent that ends before would otherwise start as one that knows all.
    private func distrust(after known: Generation) async {
        let later = Generation(known.number + 1)
        let link = state.withLock { state -> Link? in
            guard state.status.session == .none, state.registration.generation < later else { return nil }
            state.registration.generation = later
            state.isRegistrationCurrent = false
            state.describeDamage(nil)
            state.later = later
            state.registeredAt = nil
            return state.link
        }
        guard let link else { return }
        await owner.wentBack(to: later)
        logger.error(
            "this disk went back: it is a restored or a cloned one, and vouches for nothing that it holds",
            metadata: ["known": "\(known)", "generation": "\(later)"])
        await register(on: link, at: BootClock.now())
    }

    /// Another disk of this node has had `known`: registers in a later generation, once that is on disk.
    private func begin(after known: Generation) async {
        let later = Generation(known.number + 1)
        guard state.withLock({ $0.status.session == .none && $0.registration.generation < later }) else { return }
        guard await owner.begin(in: later) else { return }
        logger.notice(
            "an earlier disk of this node got further: its life goes on from there", metadata: ["generation": "\(later)"])
        let link = state.withLock { state in
            state.registration.generation = later
            state.registeredAt = nil
            return state.link
        }
        if let link { await register(on: link, at: BootClock.now()) }
    }

    /// A node that was held for dead while it lived needs a new session: the old one is over (rule F2).
    private func noticeFailure(in changes: [TopologyChange]) {
        for case .node(let descriptor) in changes where descriptor.id == node && descriptor.status == .failed {
            state.withLock { state in
                guard state.status.session != .none, descriptor.session >= state.status.session else { return }
                state.status.session = .none
                state.registrations += 1
                state.isRegistrationCurrent = false
                state.registeredAt = nil
            }
        }
    }

    /// Goes to the leader, unless it could not be reached a moment ago, or was found to lack what is still looked for elsewhere.
    private func follow(_ hint: LeaderHint) -> Next {
        state.withLock { state in
            switch hint {
            case .unknown:
                state.status.leader = nil
                state.leaderless.begin(at: BootClock.now())
                return .stay
            case .here: state.status.leader = state.status.coordinator
            case .elsewhere(let leader, _): state.status.leader = leader
            }
            state.leaderless.end()
            guard case .elsewhere(let leader, let address) = hint, leader != state.status.coordinator, !address.isEmpty,
                state.avoided[leader].map({ BootClock.now() >= $0 }) ?? true, !state.awaited.isLacked(by: leader)
            else { return .stay }
            state.preferred = CoordinatorAddress(node: leader, link: address)
            return .leave
        }
    }
}
