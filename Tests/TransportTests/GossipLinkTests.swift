import Identity
import Membership
import Model
import Synchronization
import Testing
import Transport
import Wire

/// The detector's second way to a member: its links.
@Suite(.serialized, .timeLimit(.minutes(5))) struct GossipLinkTests {
    /// A seal that can be shut: no datagram that arrives opens any more.
    private final class Valve: DatagramSealing {
        private let seal: GossipSeal
        let isShut = Mutex(false)

        init(_ seal: GossipSeal) { self.seal = seal }
        func seal(_ plain: [UInt8]) throws -> [UInt8] { try seal.seal(plain) }
        func open(_ sealed: [UInt8]) throws(DatagramRefusal) -> [UInt8] {
            if isShut.withLock({ $0 }) { throw .forged }
            return try seal.open(sealed)
        }
    }

    /// A member with all that a process has: datagrams, a listener, and links to the others.
    private struct Peer {
        let node: NodeID
        let gossip: GossipService
        let valve: Valve
        let listener: LinkListener
        let links: PeerLinks

        func run() async {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await listener.run() }
                group.addTask { _ = try? await gossip.run() }
                group.addTask { await links.run() }
                group.addTask { try? await LinkWatch(links: links, gossip: gossip).run() }
            }
        }
    }

    private func peers(_ count: Int, ports first: Int, _ tuning: SwimTuning) throws -> [Peer] {
        let authority = try TestAuthority()
        let keyring = try GossipKeyring.generate()
        func profile(_ index: Int) throws -> MemberProfile {
            MemberProfile(
                kind: .agent, zone: try ZoneName("a"), gossip: "127.0.0.1:\(first + 2 * index)",
                link: "127.0.0.1:\(first + 2 * index + 1)", store: StoreID(7), session: SessionID(1))
        }
        let entries = try (0..<count).map {
            RosterEntry(node: try NodeID("n\($0)"), generation: Generation(1), profile: try profile($0))
        }
        return try (0..<count).map { index in
            let endpoint = try authority.endpoint("n\(index)")
            let valve = Valve(GossipSeal(keyring, of: authority.cluster))
            let gossip = GossipService(
                node: entries[index].node, generation: Generation(1), profile: entries[index].profile, tuning: tuning,
                address: HostPort(host: "127.0.0.1", port: first + 2 * index), seal: valve, coordinators: entries,
                endpoint: endpoint, logger: quiet)
            let links = PeerLinks(endpoint: endpoint, conversation: .replication, logger: quiet)
            let others = entries.filter { $0.node != entries[index].node }
            links.setPeers(Dictionary(uniqueKeysWithValues: others.map { ($0.node, $0.profile.link) }))
            let listener = LinkListener(
                endpoint: endpoint, address: HostPort(host: "127.0.0.1", port: first + 2 * index + 1),
                handlers: [.replication: { link in while (try? await link.receive()) != nil {} }], logger: quiet)
            return Peer(node: entries[index].node, gossip: gossip, valve: valve, listener: listener, links: links)
        }
    }

    private func whole(_ peers: [Peer]) async -> Bool {
        await eventually {
            peers.allSatisfy { peer in
                peer.links.connected.count == peers.count - 1
                    && peer.gossip.members.count { $0.status == .alive && $0.heard } == peers.count - 1
            }
        }
    }

    @Test("whom no datagram reaches, and whose process answers on its links, is not held dead")
    func deaf() async throws {
        // Nearly two seconds for each handshake: beside other work two cores may not manage four of them in a quarter.
        var tuning = SwimTuning.lan
        tuning.probeInterval = .seconds(2)
        tuning.probeTimeout = .milliseconds(250)
        let peers = try peers(4, ports: 9_520, tuning)
        let tasks = peers.map { peer in Task { await peer.run() } }
        #expect(await whole(peers))
        peers[3].valve.isShut.withLock { $0 = true }
        // Every probe of it by each of the three, for longer than the longest patience with a silent one.
        #expect(await eventually { peers.map(\.gossip.protocolCounters.savedByLink).reduce(0, +) >= 12 })
        #expect(peers.allSatisfy { $0.gossip.protocolCounters.verdicts == 0 })
        #expect(peers.allSatisfy { peer in peer.gossip.members.allSatisfy { $0.status != .dead } })
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    @Test("a process whose links are reset and refused is dead for all long before its silence would tell")
    func gone() async throws {
        let peers = try peers(4, ports: 9_540, .fast)
        let tasks = peers.map { peer in Task { await peer.run() } }
        #expect(await whole(peers))
        let start = ContinuousClock.now
        tasks[3].cancel()
        let isFound = await eventually {
            peers[..<3].allSatisfy { $0.gossip.members.contains { $0.node == peers[3].node && $0.status == .dead } }
        }
        let time = start.duration(to: .now)
        print("dead for all by refused links after \(time)")
        // In silence it would be three times the shortest suspicion: it is young.
        #expect(isFound && time < .seconds(3))
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }
}
