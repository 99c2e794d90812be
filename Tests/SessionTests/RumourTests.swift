import Identity
import Membership
import Model
import Synchronization
import Testing
import Transport

@testable import AgentServer

/// What the failure detector finds, on its way through an agent to the coordinators.
@Suite(.timeLimit(.minutes(5))) struct RumourTests {
    /// Members of one cluster, each of whom knows of all.
    private func members(_ names: [String], firstPort: Int) throws -> [GossipService] {
        let seal = GossipSeal(try GossipKeyring.generate(), of: try ClusterID("0123456789abcdef0123456789abcdef"))
        let entries = try names.enumerated().map { number, name in
            RosterEntry(
                node: try NodeID(name), generation: Generation(1),
                profile: MemberProfile(
                    kind: .agent, zone: try ZoneName("a"), gossip: "127.0.0.1:\(firstPort + number)", link: "127.0.0.1:1",
                    store: StoreID(UInt64(number) + 1), session: SessionID(UInt64(number) + 5)))
        }
        return entries.enumerated().map { number, entry in
            GossipService(
                node: entry.node, generation: entry.generation, profile: entry.profile, tuning: .fast,
                address: HostPort(host: "127.0.0.1", port: firstPort + number), seal: seal, coordinators: entries, logger: quiet
            )
        }
    }

    private func isWhole(_ services: [GossipService]) -> Bool {
        services.allSatisfy { service in
            service.members.count { $0.heard && $0.status == .alive } == services.count - 1
        }
    }

    @Test(
        "a revision that a peer tells of is asked for at the coordinators, and a death that was found is told to them (T2, F1)")
    func carried() async throws {
        let stage = try Stage()
        let (session, owner) = try await stage.agent(with: [0, 1])
        #expect(await eventually { await owner.topology.revision.index == 10 })
        let services = try members(["n1", "n2", "n3"], firstPort: 27_481)
        let tellers = Mutex<[NodeID]>([])
        let rumours = RumourService(
            gossip: services[0], session: session, ownRevision: { Revision(history: 1, index: 10) },
            heard: { node in tellers.withLock { $0.append(node) } }, logger: quiet)
        let reader = Task { try await rumours.run() }
        let tasks = services.map { service in Task { try await service.run() } }
        #expect(await eventually { isWhole(services) })

        // One that we have is no reason to ask; of one that no coordinator has, all of them were asked when it is given up.
        services[1].noteRevision(Revision(history: 1, index: 9))
        let wrong = Revision(history: 1, index: 1_000)
        services[1].noteRevision(wrong)
        #expect(await eventually { await owner.events.contains(.revisionDisbelieved(wrong)) })
        #expect(tellers.withLock { $0.allSatisfy { $0 != services[0].ownRecord.node } && !$0.isEmpty })

        tasks[1].cancel()
        let dead = services[1].ownRecord
        #expect(
            await eventually {
                stage.backends.contains { backend in
                    backend.state.withLock { Array($0.deaths.joined()) }.contains {
                        $0.node == dead.node && $0.session == dead.profile.session
                    }
                }
            })
        for task in tasks { task.cancel() }
        for task in tasks { _ = try? await task.value }
        _ = try? await reader.value
        await stage.end()
    }
}
