import CoordinatorServer
import Identity
import Model
import Synchronization
import Testing
import Transport
import Wire

@testable import AgentServer

/// An agent that no coordinator tells, and that hears by gossip of a newer revision.
private final class CutOff: TopologyFollower {
    private let state: Mutex<(topology: Topology, newest: Revision)>
    private let proofs = Mutex<[TopologyDelta]>([])
    let peers: [NodeID: String]

    init(_ topology: Topology, peers: [NodeID: String]) {
        state = Mutex((topology, topology.revision))
        self.peers = peers
    }

    var topology: Topology { state.withLock { $0.topology } }
    var revision: Revision { topology.revision }
    var newestRevision: Revision { state.withLock { $0.newest } }
    func hear(of revision: Revision) { state.withLock { $0.newest = revision } }
    func learned(_ delta: TopologyDelta) async { state.withLock { try? $0.topology.apply(delta) } }
    func proved(_ delta: TopologyDelta) async { proofs.withLock { $0.append(delta) } }
    var proven: [TopologyDelta] { proofs.withLock { $0 } }
}

@Suite("What coordinators have decided is learned from other agents (T2)", .timeLimit(.minutes(5))) struct PeerTopologyTests {
    private let start = Topology(revision: Revision(history: 1, index: 10))

    /// One agent with a session and a listener for others.
    private struct Told {
        let stage: Stage
        let relay = DeltaRelay()
        let owner: ScriptedOwner
        let peers: [NodeID: String]

        /// - Parameter asker: n2, as the agent that is told knows it.
        init(asker: NodeStatus = .healthy) async throws {
            stage = try Stage()
            var known = Topology()
            known.commit([.node(try Self.node("n2", asker))], at: Revision(history: 1, index: 1 << 20))
            let topology = known
            owner = try await stage.agent(with: [0], relay: relay).owner
            let listener = LinkListener(
                endpoint: try Stage.endpoint(Stage.identity("n1", .node, stage.authority), stage.cluster),
                address: HostPort(host: "127.0.0.1", port: 0),
                handlers: [.topology: { [relay] in await relay.serve($0) { topology } }], logger: quiet)
            stage.run { try await listener.run() }
            _ = await eventually { listener.port != nil }
            peers = [try NodeID("n1"): "127.0.0.1:\(listener.port ?? 0)"]
        }

        private static func node(_ name: String, _ status: NodeStatus) throws -> NodeDescriptor {
            NodeDescriptor(
                id: try NodeID(name), store: StoreID(1), session: SessionID(1), generation: Generation(1),
                zone: try ZoneName("a"),
                addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"), status: status)
        }

        /// Commits changes, and waits until the agent has them.
        func commit(_ count: Int) async throws {
            for index in 0..<count { stage.commit(.nodeRemoved(try NodeID("x\(index)"))) }
            #expect(await eventually { await owner.topology == stage.feed.topology })
        }

        func peerTopology(of follower: any TopologyFollower, relay: DeltaRelay = DeltaRelay()) throws -> PeerTopology {
            PeerTopology(
                endpoint: try Stage.endpoint(Stage.identity("n2", .node, stage.authority), stage.cluster),
                authority: stage.authority.certificate, relay: relay, follower: follower, logger: quiet)
        }
    }

    @Test("an agent that is cut off from all coordinators learns from a peer, and hands on what it has learned")
    func learns() async throws {
        let told = try await Told()
        #expect(await eventually { await told.owner.topology.revision.index == 10 })
        try await told.commit(600)
        let follower = CutOff(start, peers: told.peers)
        let relay = DeltaRelay()
        let learner = try told.peerTopology(of: follower, relay: relay)
        told.stage.run { await learner.run() }
        follower.hear(of: told.stage.feed.topology.revision)
        #expect(await eventually { follower.topology == told.stage.feed.topology })
        #expect(
            relay.answer(after: start.revision, through: told.stage.feed.topology.revision).parts
                == told.relay.answer(after: start.revision, through: told.stage.feed.topology.revision).parts)
        #expect(
            relay.answer(after: start.revision, through: told.stage.feed.topology.revision).parts.count
                == TopologyAnswer.mostDeltas)
        await told.stage.end()
    }

    @Test("where what lies between is missing, what a coordinator has signed is handed on as a proof, once (E2)")
    func proves() async throws {
        let told = try await Told()
        #expect(await eventually { await told.owner.topology.revision.index == 10 })
        let signer = try Stage.identity("c1", .coordinator, told.stage.authority)
        let deltas = try (50..<400 as Range<UInt64>).map { index in
            TopologyDelta(
                from: Revision(history: 1, index: index), to: Revision(history: 1, index: index + 1),
                changes: [.nodeRemoved(try NodeID("x\(index)"))])
        }
        for delta in deltas {
            told.relay.note(
                SignedDelta(delta) { try? signer.sign(delta: $0, of: told.stage.cluster) }, by: signer.certificate.der)
        }
        let follower = CutOff(start, peers: told.peers)
        let learner = try told.peerTopology(of: follower)
        told.stage.run { await learner.run() }
        follower.hear(of: Revision(history: 1, index: 400))
        #expect(await eventually { follower.proven.count >= TopologyAnswer.mostDeltas })
        #expect(follower.proven == Array(deltas.suffix(TopologyAnswer.mostDeltas)))
        #expect(follower.revision == start.revision)
        let more = TopologyDelta(
            from: Revision(history: 1, index: 400), to: Revision(history: 1, index: 401), changes: [])
        told.relay.note(
            SignedDelta(more) { try? signer.sign(delta: $0, of: told.stage.cluster) }, by: signer.certificate.der)
        follower.hear(of: more.to)
        #expect(await eventually { follower.proven.last == more })
        #expect(follower.proven == Array(deltas.suffix(TopologyAnswer.mostDeltas)) + [more])
        await told.stage.end()
    }

    @Test("who was decommissioned is told nothing by peers")
    func strangers() async throws {
        let told = try await Told(asker: .decommissioned)
        #expect(await eventually { await told.owner.topology.revision.index == 10 })
        try await told.commit(3)
        let follower = CutOff(start, peers: told.peers)
        let dialer = LinkDialer(
            endpoint: try Stage.endpoint(Stage.identity("n2", .node, told.stage.authority), told.stage.cluster))
        let link = try await dialer.connect(
            to: try #require(told.peers.values.first), expecting: NodeID("n1"), conversation: .topology)
        try? await link.send(TopologyQuestion(after: follower.revision).serialized())
        #expect(((try? await link.receive()) ?? nil) == nil)
        await told.stage.end()
    }

    // MARK: - What proves nothing

    private enum Fault: CaseIterable {
        case none, laterStart, anotherDelta, aNodesSignature, anotherAuthority, anotherCluster, earlierStart, anotherHistory
        case gap, notForward
    }

    @Test(
        "only what a coordinator of this cluster has signed is taken, in one row, and only behind what is there",
        arguments: Fault.allCases)
    private func proofs(_ fault: Fault) async throws {
        let told = try await Told()
        let authority =
            fault == .anotherAuthority ? try Authority.create(cluster: "demo", at: BootClock.wallTime()) : told.stage.authority
        let cluster = fault == .anotherCluster ? try ClusterID("ffffffffffffffffffffffffffffffff") : told.stage.cluster
        let signer = try Stage.identity(
            "c1", fault == .aNodesSignature ? .node : .coordinator, authority)
        func delta(_ index: UInt64, _ name: String = "x") throws -> TopologyDelta {
            let history: UInt64 = fault == .anotherHistory ? 2 : 1
            return TopologyDelta(
                from: Revision(history: history, index: index),
                to: Revision(history: history, index: fault == .notForward ? index : index + 1),
                changes: [.nodeRemoved(try NodeID(name))])
        }
        let first: UInt64 = fault == .laterStart ? 11 : fault == .earlierStart ? 9 : 10
        var parts = try [first, first + (fault == .gap ? 2 : 1)].map { index in
            TopologyAnswer.Part(
                signed: SignedDelta(try delta(index)) { try? signer.sign(delta: $0, of: cluster) },
                signer: signer.certificate.der)
        }
        if fault == .anotherDelta {
            let signature = parts[1].signed.signature
            parts[1] = .init(signed: SignedDelta(try delta(first + 1, "y")) { _ in signature }, signer: parts[1].signer)
        }
        let learner = try told.peerTopology(of: CutOff(start, peers: [:]))
        let answer = TopologyAnswer(parts)
        if fault == .none || fault == .laterStart {
            #expect(try learner.verified(answer, after: start.revision) == parts)
        } else {
            #expect(throws: (any Error).self) { try learner.verified(answer, after: start.revision) }
        }
        await told.stage.end()
    }

    // MARK: - What is kept

    @Test("what is handed on is without gaps, and bounded")
    func bounded() throws {
        let relay = DeltaRelay()
        func note(_ index: UInt64, signed: Bool = true) {
            let delta = TopologyDelta(
                from: Revision(history: 1, index: index), to: Revision(history: 1, index: index + 1), changes: [])
            relay.note(SignedDelta(delta) { _ in signed ? [UInt8](repeating: 7, count: 64) : nil }, by: [1])
        }
        func count(after index: UInt64, through end: UInt64 = 10_000) -> Int {
            let after = Revision(history: 1, index: index)
            let parts = relay.answer(after: after, through: Revision(history: 1, index: end)).parts
            return parts.first?.signed.delta.from == after ? parts.count : 0
        }
        /// What is told to who is too far behind to apply it.
        func proofs(after index: UInt64, through end: UInt64 = 10_000) -> [UInt64] {
            relay.answer(after: Revision(history: 1, index: index), through: Revision(history: 1, index: end)).parts
                .map(\.signed.delta.from.index)
        }
        for index in 1...5 as ClosedRange<UInt64> { note(index) }
        #expect(count(after: 1) == 5 && count(after: 3) == 3 && count(after: 6) == 0 && count(after: 0) == 0)
        #expect(count(after: 1, through: 4) == 3)
        #expect(proofs(after: 0) == [1, 2, 3, 4, 5] && proofs(after: 0, through: 4) == [1, 2, 3] && proofs(after: 6) == [])
        // A session that begins anew sends again what came a moment ago.
        note(4)
        note(5)
        #expect(count(after: 1) == 5)
        note(9)
        #expect(count(after: 1) == 0 && count(after: 9) == 1)
        note(10, signed: false)
        note(11)
        #expect(count(after: 9) == 0 && count(after: 11) == 1)
        for index in 12...3_000 as ClosedRange<UInt64> { note(index) }
        #expect(count(after: 11) == 0 && count(after: 2_990) == 11)
        #expect(count(after: 2_400) == TopologyAnswer.mostDeltas)
        #expect(proofs(after: 11) == Array(2_745...3_000))
    }
}
