import CoordinatorServer
import Model
import Synchronization
import Testing
import Transport
import Wire

@testable import AgentServer

@Suite(.timeLimit(.minutes(5))) struct SessionTests {
    @Test("an agent registers once, follows the topology, and everything that it says arrives")
    func wholeSession() async throws {
        let stage = try Stage()
        let backend = stage.backends[0]
        let (session, owner) = try await stage.agent(with: [0])
        #expect(await eventually { session.status.session == SessionID(101) && session.status.leader == (try? NodeID("c1")) })
        #expect(await eventually { await owner.topology == stage.feed.topology })
        for index in 0..<20 { stage.commit(.nodeRemoved(try NodeID("x\(index)"))) }
        #expect(await eventually { await owner.topology == stage.feed.topology })
        #expect(await owner.count { if case .topology = $0 { true } else { false } } == 1)

        let proposal = PartitionProposal.replicaReady(PartitionID(7), expecting: Epoch(1))
        session.propose(proposal, as: try RequestID("one"))
        let outcome = ProposalOutcome.refused(code: "test", detail: "n1 101")
        #expect(await eventually { await owner.events.contains(.answered(proposal, outcome)) })
        let found = try ["n8", "n9"].map {
            FoundDeath(
                node: try NodeID($0), session: .none, generation: Generation(3), accusers: [try NodeID("n2")], localHealth: 2)
        }
        session.report(found)
        #expect(await eventually { backend.state.withLock { $0.deaths } == [found] })
        #expect(await eventually { backend.state.withLock { !$0.reports.isEmpty } })
        let asked = BootClock.now()
        session.confirmQuorum()
        let revision = stage.feed.topology.revision
        #expect(
            await eventually {
                await owner.count {
                    if case .quorumConfirmed(let at, let known) = $0 { at >= asked && known == revision } else { false }
                } == 1
            })
        #expect(backend.state.withLock { $0.registrations.map(\.text) } == ["n1/1/1/register/0"])
        await stage.end()
    }

    @Test("keys that seal gossip come with the topology to members, and to nobody who was decommissioned")
    func keysForMembers() async throws {
        func ring(_ byte: UInt8) throws -> GossipKeys {
            let secret = GossipSecret(
                id: GossipKeyID(UInt64(byte)), bytes: [UInt8](repeating: byte, count: GossipSecret.byteCount))
            let key = GossipKey(number: byte, secret: secret, createdAt: WallTime(milliseconds: 0))
            let ring = GossipKeys(
                keys: [key], primary: byte, version: Revision(history: 1, index: UInt64(byte)), rotation: nil)
            return try #require(ring)
        }
        let stage = try Stage()
        let (_, owner) = try await stage.agent(with: [0])
        let first = try ring(1)
        stage.commit(.gossipKeys(first))
        #expect(await eventually { await owner.topology.gossipKeys == first })
        let gone = NodeDescriptor(
            id: try NodeID("n1"), store: StoreID(1), session: SessionID(101), generation: Generation(1),
            zone: try ZoneName("a"), addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"),
            status: .decommissioned)
        stage.commit(.node(gone))
        stage.commit(.gossipKeys(try ring(2)))
        stage.commit(.nodeRemoved(try NodeID("x")))
        let revision = stage.feed.topology.revision
        #expect(await eventually { await owner.topology.revision == revision })
        #expect(await owner.topology.gossipKeys == first)
        #expect(await owner.topology.nodes[gone.id] == gone)
        let whole = stage.feed.topology.withoutGossipKeys
        #expect(whole.gossipKeys == nil && whole.revision == revision)
        await stage.end()
    }

    @Test("an agent whose node has had its generation before registers in the next one, once that is on disk")
    func precededByAnotherDisk() async throws {
        let stage = try Stage()
        let backend = stage.backends[0]
        backend.state.withLock { $0.preceding = Generation(7) }
        let (session, owner) = try await stage.agent(with: [0], failing: 1)
        #expect(await eventually { session.status.session == SessionID(101) })
        // The disk did not take it at first: it is asked for again, and nothing is registered under it before.
        #expect(await owner.begun == [Generation(8), Generation(8)])
        #expect(
            backend.state.withLock { $0.registrations.map(\.text) }
                == ["n1/1/1/register/0", "n1/1/1/register/0", "n1/1/8/register/0"])
        await stage.end()
    }

    @Test(
        "an agent whose disk went back registers in a later generation, vouches for nothing, then raises the disk's count (E4)")
    func diskWentBack() async throws {
        let stage = try Stage()
        let backend = stage.backends[0]
        backend.state.withLock { $0.earlier = Generation(7) }
        let (session, owner) = try await stage.agent(with: [0], failing: 1)
        #expect(await eventually { session.status.session != .none })
        // The disk did not take it at first: without its count no session begins, and the same registration is repeated.
        #expect(await owner.begun == [Generation(8), Generation(8)])
        #expect(
            backend.state.withLock { $0.registrations.map(\.text) }
                == ["n1/1/1/register/0", "n1/1/8/register-damaged/0", "n1/1/8/register-damaged/0"])
        #expect(backend.state.withLock { $0.vouched } == [false, false])
        #expect(await owner.wentBack == [Generation(8)])
        await stage.end()
    }

    @Test("an agent goes to the leader that it is told of, and its watch goes on without a gap or a snapshot")
    func followsTheLeader() async throws {
        let stage = try Stage()
        let (session, owner) = try await stage.agent(with: [0])
        #expect(await eventually { session.status.session != .none })
        #expect(await eventually { await owner.topology == stage.feed.topology })
        let leader = try NodeID("c2")
        let address = await stage.address(1)
        stage.backends[0].state.withLock { $0.hint = .elsewhere(leader, linkAddress: address) }
        #expect(await eventually { session.status.coordinator == leader })
        stage.commit(.nodeRemoved(try NodeID("x")))
        #expect(await eventually { await owner.topology == stage.feed.topology })
        #expect(await owner.count { if case .topology = $0 { true } else { false } } == 1)
        // The session is the process's, not the link's.
        #expect(stage.backends[1].state.withLock { $0.registrations.isEmpty })
        await stage.end()
    }

    @Test("an agent that does not reach the leader that it is told of goes there when it can")
    func reachesTheLeaderLater() async throws {
        let stage = try Stage()
        let leader = try NodeID("c2")
        let address = await stage.address(1)
        await stage.stop(1)
        stage.backends[0].state.withLock { $0.hint = .elsewhere(leader, linkAddress: address) }
        let (session, owner) = try await stage.agent(with: [0])
        // It came, went to look for the leader, and came back.
        #expect(await eventually { await owner.count { if case .connected = $0 { true } else { false } } == 2 })
        try stage.restart(1)
        #expect(await eventually { session.status.coordinator == leader })
        await stage.end()
    }

    @Test("when a coordinator goes, the agent goes to the next and catches up on what it missed")
    func failsOver() async throws {
        let stage = try Stage()
        let (session, owner) = try await stage.agent(with: [0, 1])
        #expect(await eventually { session.status.session != .none })
        #expect(await eventually { await owner.topology == stage.feed.topology })
        let first = session.status.coordinator == (try NodeID("c1")) ? 0 : 1
        await stage.stop(first)
        for index in 0..<5 { stage.commit(.nodeRemoved(try NodeID("x\(index)"))) }
        #expect(await eventually { await owner.topology == stage.feed.topology })
        #expect(session.status.coordinator == (try NodeID("c\(2 - first)")))
        await stage.end()
    }

    @Test("a proposal on which a fence hangs goes to the next coordinator when it is not answered; any other waits (M4)")
    func unansweredProposal() async throws {
        let stage = try Stage()
        let (session, owner) = try await stage.agent(with: [0, 1])
        #expect(await eventually { session.status.session != .none && session.status.coordinator != nil })
        let first = try #require(session.status.coordinator)
        let mute = stage.backends[first == (try NodeID("c1")) ? 0 : 1]
        mute.state.withLock { $0.isMute = true }
        let patient = PartitionProposal.replicaReady(PartitionID(7), expecting: Epoch(1))
        let start = BootClock.now()
        _ = await eventually {
            if let request = try? RequestID("patient") { session.propose(patient, as: request) }
            return BootClock.now() - start > .milliseconds(600)
        }
        #expect(session.status.coordinator == first)
        let abort = PartitionProposal.abort(OperationID(5), partition: PartitionID(7), reason: "late", expecting: Epoch(1))
        let urgent = try RequestID("urgent")
        var askedAt: LogicalInstant?
        let begun = BootClock.now()
        #expect(
            await eventually {
                let now = BootClock.now()
                if askedAt.map({ now - $0 > .milliseconds(200) }) ?? true {
                    session.propose(abort, as: urgent)
                    askedAt = now
                }
                guard now - begun < .seconds(30) else { return true }
                return await owner.count { if case .answered(abort, _) = $0 { true } else { false } } > 0
            })
        #expect(session.status.coordinator != first)
        #expect(mute.state.withLock { $0.proposals.contains(abort) })
        mute.state.withLock { $0.isMute = false }
        await stage.end()
    }

    @Test("what may end a fence is asked at once, however many other proposals are open (M4)")
    func fenceEndAmongMany() async throws {
        let stage = try Stage()
        let backend = stage.backends[0]
        let (session, _) = try await stage.agent(with: [0])
        #expect(await eventually { session.status.session != .none })
        backend.state.withLock { $0.isMute = true }
        let abort = PartitionProposal.abort(OperationID(5), partition: PartitionID(7), reason: "late", expecting: Epoch(1))
        // More than the coordinator asks at a time, then more than the agent keeps open.
        for count in [300, 5_000] {
            for number in 0..<count {
                let other = PartitionProposal.replicaReady(PartitionID(UInt64(number)), expecting: Epoch(1))
                session.propose(other, as: try RequestID("\(count)/\(number)"))
            }
            let end = try RequestID("end/\(count)")
            session.propose(abort, as: end)
            #expect(await eventually { backend.state.withLock { $0.requests.contains(end) } }, "behind \(count)")
        }
        #expect(await eventually { backend.state.withLock { $0.requests.count } == 256 + 2 })
        backend.state.withLock { $0.isMute = false }
        // None of those that the agent kept open was lost on the way.
        // Nor did the ends of fences take the places of others.
        #expect(await eventually { backend.state.withLock { $0.requests.count } == 4_096 + 2 })
        await stage.end()
    }

    @Test("an agent does not stay with a coordinator that knows no leader, while another knows one")
    func leavesTheLeaderless() async throws {
        let stage = try Stage()
        let (session, owner) = try await stage.agent(with: [0, 1])
        #expect(await eventually { session.status.leader != nil })
        for _ in 0..<2 {
            let coordinator = try #require(session.status.coordinator)
            let index = coordinator == (try NodeID("c1")) ? 0 : 1
            stage.backends[1 - index].state.withLock { $0.hint = .here }
            stage.backends[index].state.withLock { $0.hint = .unknown }
            #expect(await eventually { session.status.coordinator.map { $0 != coordinator } ?? false })
            #expect(await eventually { session.status.leader == session.status.coordinator })
        }
        #expect(await eventually { await owner.topology == stage.feed.topology })
        await stage.end()
    }

    @Test("an agent leaves a coordinator that does not tell of a revision that others have, for one that does (T2)")
    func leavesWhoIsBehind() async throws {
        let stage = try Stage(secondIsHalted: true)
        // So that it finds the one that is behind.
        _ = await stage.address(0)
        await stage.stop(0)
        let (session, owner) = try await stage.agent(with: [0, 1])
        #expect(await eventually { await owner.topology.revision.index == 10 })
        let (behind, ahead) = (try NodeID("c2"), try NodeID("c1"))
        #expect(session.status.coordinator == behind)
        stage.commit(.nodeRemoved(try NodeID("x")))
        session.askTopology(from: Revision(history: 1, index: 10), toReach: stage.feed.topology.revision)
        // There is no other yet.
        #expect(await eventually { await owner.count { $0 == .connected(behind) } == 2 })
        try stage.restart(0)
        #expect(await eventually { await owner.topology == stage.feed.topology })
        #expect(session.status.coordinator == ahead)
        await stage.end()
    }

    @Test("a revision that every coordinator goes on without is given up, and another that is told of later counts anew (T2)")
    func givesUpFalseRevisions() async throws {
        let stage = try Stage()
        let (session, owner) = try await stage.agent(with: [0, 1])
        #expect(await eventually { await owner.topology.revision.index == 10 })
        for index in [1_000, 2_000] as [UInt64] {
            let wrong = Revision(history: 1, index: index)
            session.askTopology(from: Revision(history: 1, index: 10), toReach: wrong)
            #expect(await eventually { await owner.events.contains(.revisionDisbelieved(wrong)) })
        }
        // Both were asked, and the second wrong one was asked for where the agent was.
        let met = await owner.events.compactMap { if case .connected(let coordinator) = $0 { coordinator } else { nil } }
        #expect(Set(met).count == 2 && (2...4).contains(met.count), "\(met)")
        stage.commit(.nodeRemoved(try NodeID("x")))
        #expect(await eventually { await owner.topology == stage.feed.topology })
        await stage.end()
    }

    @Test("an awaited revision is given up when all have been asked for it for a second each, and not while one cannot be")
    func awaitedRevision() throws {
        let (c1, c2, c3) = (try NodeID("c1"), try NodeID("c2"), try NodeID("c3"))
        let (own, wrong) = (Revision(history: 1, index: 5), Revision(history: 1, index: 900))
        var awaited = AwaitedRevision()
        var now = LogicalInstant.origin
        func look(_ coordinator: NodeID, after span: Span, having revision: Revision? = nil) -> AwaitedRevision.Verdict? {
            now = now + span
            return awaited.look(having: revision ?? own, from: coordinator, of: [c1, c2, c3], at: now)
        }
        func go(to coordinator: NodeID) {
            awaited.pause()
            #expect(look(coordinator, after: .zero) == nil)
        }
        #expect(look(c1, after: .seconds(60)) == nil)
        awaited.hear(of: wrong)
        go(to: c1)
        #expect(look(c1, after: .milliseconds(999)) == nil && !awaited.isLacked(by: c1))
        #expect(look(c1, after: .milliseconds(1)) == .lacking(wrong) && awaited.isLacked(by: c1))
        // Left for another reason before it was over: a second is enough to know.
        go(to: c2)
        #expect(look(c2, after: .milliseconds(1_500)) == nil && awaited.isLacked(by: c2))
        // The third cannot be reached: however long the others are asked, it may be the one that has it.
        for coordinator in [c1, c2, c1] {
            go(to: coordinator)
            #expect(look(coordinator, after: .seconds(60)) == .lacking(wrong))
        }
        go(to: c3)
        #expect(look(c3, after: .milliseconds(1_100)) == .disbelieved(wrong))
        #expect(look(c3, after: .seconds(60)) == nil && awaited.revision == .none && !awaited.isLacked(by: c1))
        // A higher one is asked for anew, everywhere; one that comes ends the matter.
        let real = Revision(history: 1, index: 901)
        awaited.hear(of: wrong)
        go(to: c1)
        #expect(look(c1, after: .seconds(1)) == .lacking(wrong))
        awaited.hear(of: real)
        #expect(!awaited.isLacked(by: c1))
        go(to: c2)
        #expect(look(c2, after: .seconds(1)) == nil && awaited.isLacked(by: c2))
        #expect(look(c2, after: .seconds(1), having: real) == nil && !awaited.isLacked(by: c2))
    }

    @Test("a coordinator that has lacked an older revision for long has a second for the one that was just heard of")
    func justHeardOf() throws {
        let c1 = try NodeID("c1")
        let own = Revision(history: 1, index: 5)
        let (older, newer) = (Revision(history: 1, index: 6), Revision(history: 1, index: 7))
        var awaited = AwaitedRevision()
        var now = LogicalInstant.origin
        func look(after span: Span) -> AwaitedRevision.Verdict? {
            now = now + span
            return awaited.look(having: own, from: c1, of: [c1], at: now)
        }
        awaited.hear(of: older)
        #expect(look(after: .zero) == nil)
        #expect(look(after: .milliseconds(900)) == nil)
        awaited.hear(of: newer)
        // It is left for what it has lacked so long; whether it has the newer one is not known.
        #expect(look(after: .milliseconds(100)) == .lacking(newer) && !awaited.isLacked(by: c1))
        #expect(look(after: .milliseconds(999)) == nil && !awaited.isLacked(by: c1))
        #expect(look(after: .milliseconds(1)) == .disbelieved(newer))
    }

    @Test("a coordinator that lacks something is kept for a second, the next for two, and none for more than sixteen")
    func patience() {
        var patience = Patience()
        var now = LogicalInstant.origin
        func isOver(after span: Span) -> Bool { patience.isOver(at: now + span) }
        #expect(!isOver(after: .seconds(100)))
        for seconds in [1, 2, 4, 8, 16, 16] as [Int64] {
            patience.begin(at: now)
            patience.begin(at: now + .milliseconds(500))
            #expect(!isOver(after: .milliseconds(seconds * 1_000 - 1)))
            #expect(isOver(after: .seconds(seconds)))
            #expect(!isOver(after: .seconds(100)))
            now = now + .seconds(seconds)
        }
        patience.begin(at: now)
        patience.pause()
        #expect(!isOver(after: .seconds(100)))
        patience.end()
        patience.begin(at: now)
        #expect(isOver(after: .seconds(1)))
    }

    @Test("however often it is asked for meanwhile, a large topology arrives whole")
    func askedForOften() async throws {
        let stage = try Stage()
        let changes: [TopologyChange] = try (0..<20_000).map { number in
            .node(
                NodeDescriptor(
                    id: try NodeID("node-\(number)"), store: StoreID(1), session: SessionID(1), generation: Generation(1),
                    zone: try ZoneName("a"), addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"),
                    status: .healthy))
        }
        stage.feed.reset(Topology(revision: Revision(history: 1, index: 50), changes: changes))
        let (session, owner) = try await stage.agent(with: [0])
        #expect(await eventually { session.status.coordinator != nil })
        let asking = Task {
            while !Task.isCancelled {
                session.askTopology(from: Revision(history: 1, index: 0))
                try? await Task.sleep(for: .microseconds(100))
            }
        }
        #expect(await eventually { await owner.topology.revision == Revision(history: 1, index: 50) })
        asking.cancel()
        await stage.end()
    }

    @Test("each registration says what is damaged at its time, and says the same until it is answered (E4, C5)")
    func namesWhatIsDamaged() async throws {
        let stage = try Stage()
        let backend = stage.backends[0]
        backend.state.withLock { $0.losesAnswer = true }
        let first = [PartitionID(7), PartitionID(9)]
        let (session, owner) = try await stage.agent(with: [0], damaged: first)
        #expect(await eventually { backend.state.withLock { $0.damaged.count } == 1 })
        await owner.find(damaged: [PartitionID(9)])
        #expect(await eventually { session.status.session != .none })
        for (index, damaged) in [[PartitionID(9)], [], nil, Array((0...4_096).map { PartitionID($0) })].enumerated() {
            await owner.find(damaged: damaged)
            let known = session.status.session
            stage.commit(
                .node(
                    NodeDescriptor(
                        id: try NodeID("n1"), store: StoreID(1), session: known, generation: Generation(1),
                        zone: try ZoneName("a"), addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"),
                        status: .failed)))
            #expect(await eventually { session.status.session > known }, "\(index)")
        }
        #expect(backend.state.withLock { $0.damaged } == [first, first, [PartitionID(9)], [], [], []])
        #expect(backend.state.withLock { $0.vouched } == [false, false, false, true, false, false])
        await stage.end()
    }

    @Test("a node that was held for failed while it lived registers anew, under a new request")
    func registersAnew() async throws {
        let stage = try Stage()
        let (session, _) = try await stage.agent(with: [0])
        #expect(await eventually { session.status.session == SessionID(101) })
        stage.commit(
            .node(
                NodeDescriptor(
                    id: try NodeID("n1"), store: StoreID(1), session: SessionID(101), generation: Generation(1),
                    zone: try ZoneName("a"), addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"),
                    status: .failed)))
        #expect(await eventually { session.status.session == SessionID(102) })
        #expect(
            stage.backends[0].state.withLock { $0.registrations.map(\.text) } == ["n1/1/1/register/0", "n1/1/1/register/1"])
        await stage.end()
    }
}
