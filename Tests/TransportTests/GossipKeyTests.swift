import Identity
import Membership
import Model
import NIOCore
import NIOPosix
import Testing
import Wire

@testable import Transport

/// Keys that are exchanged while members run, and datagrams that come twice.
@Suite(.serialized, .timeLimit(.minutes(5))) struct GossipKeyTests {
    private let cluster: ClusterID

    init() throws { cluster = try ClusterID("0123456789abcdef0123456789abcdef") }

    @Test("a number is new once, if it is not too old: as whoever remembers all of them would say")
    func window() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<20 {
            var highest = UInt32.random(in: 0...100_000, using: &generator)
            var window = ReplayWindow(first: highest)
            var seen: Set<UInt32> = [highest]
            for _ in 0..<20_000 {
                let jump: UInt32 = UInt32.random(in: 0...99, using: &generator) == 0 ? 5_000 : 40
                let number = UInt32.random(in: highest - min(highest, 2_000)...highest + jump, using: &generator)
                highest = max(highest, number)
                let isNew = highest - number < ReplayWindow.width && seen.insert(number).inserted
                let isTaken = window.admit(number)
                #expect(isTaken == isNew, "\(number) below \(highest)")
            }
        }
    }

    @Test("senders are forgotten only when there are more of them than processes, and each has numbers of its own")
    func senders() {
        var replays = ReplayGuard()
        var taken = 0
        for _ in 0..<2 {
            for sender in 0..<UInt64(ReplayGuard.capacity / 2) where replays.admit(7, of: sender) { taken += 1 }
        }
        #expect(taken == ReplayGuard.capacity / 2)
    }

    @Test("however many senders there were, their number is bounded, and who was heard lately is remembered")
    func forgetting() {
        var replays = ReplayGuard()
        let half = UInt64(ReplayGuard.capacity / 2)
        func admitted(_ number: UInt32, of senders: Range<UInt64>) -> Int {
            var count = 0
            for sender in senders where replays.admit(number, of: sender) { count += 1 }
            return count
        }
        // One more than there is room for among the recent ones: all others are the older ones, and known all the same.
        #expect(admitted(7, of: 0..<half + 1) == Int(half) + 1)
        #expect(admitted(7, of: 0..<half) == 0)
        #expect(admitted(8, of: 0..<10) == 10)
        #expect(admitted(8, of: 0..<10) == 0)
        var most = 0
        for sender in half + 1..<5 * half {
            _ = admitted(1, of: sender..<sender + 1)
            most = max(most, replays.senders)
        }
        #expect(most <= ReplayGuard.capacity)
    }

    @Test("who has used up the numbers of its name takes another name, and both open")
    func numbersEnd() throws {
        let keyring = try GossipKeyring.generate()
        let name: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
        let seal = GossipSeal(keyring, of: cluster, sender: name, next: .max - 2)
        let receiver = GossipSeal(keyring, of: cluster)
        let sealed = try (0..<4).map { try seal.seal([$0]) }
        #expect(sealed.map { Array($0[1..<9]) == name } == [true, true, false, false])
        #expect(
            sealed.map { Array($0[9..<13]) } == [[255, 255, 255, 253], [255, 255, 255, 254], [0, 0, 0, 0], [0, 0, 0, 1]])
        #expect(try sealed.map { try receiver.open($0) } == [[0], [1], [2], [3]])
        for datagram in sealed { #expect(throws: DatagramRefusal.replayed) { try receiver.open(datagram) } }
    }

    @Test("what does not open leaves no trace: a forged number does not keep the true one out")
    func forgedNumbers() throws {
        let keyring = try GossipKeyring.generate()
        let seal = GossipSeal(keyring, of: cluster, sender: [0, 0, 0, 0, 0, 0, 0, 9], next: 5)
        let receiver = GossipSeal(keyring, of: cluster)
        let sealed = try seal.seal([1])
        for number in [5, 200] as [UInt8] {
            var forged = sealed
            forged[12] = number
            forged[sealed.count - 1] ^= 1
            #expect(throws: DatagramRefusal.forged) { try receiver.open(forged) }
        }
        #expect(try receiver.open(sealed) == [1])
    }

    @Test("no two datagrams of a process have a nonce in common, nor have two processes")
    func nonces() throws {
        let keyring = try GossipKeyring.generate()
        let seals = [GossipSeal(keyring, of: cluster), GossipSeal(keyring, of: cluster)]
        var nonces: Set<ArraySlice<UInt8>> = []
        for _ in 0..<1_000 {
            for seal in seals { nonces.insert(try seal.seal([1])[1..<13]) }
        }
        #expect(nonces.count == 2_000)
    }

    // MARK: - Over sockets

    private struct Peer {
        let gossip: GossipService
        let seal: GossipSeal
    }

    private func peers(_ count: Int, _ keyring: GossipKeyring, of cluster: ClusterID, ports first: Int) throws -> [Peer] {
        let entries = try (0..<count).map { index in
            RosterEntry(
                node: try NodeID("n\(index)"), generation: Generation(1),
                profile: MemberProfile(
                    kind: .agent, zone: try ZoneName("a"), gossip: "127.0.0.1:\(first + index)", link: "127.0.0.1:1",
                    store: StoreID(7), session: SessionID(1)))
        }
        return (0..<count).map { index in
            let seal = GossipSeal(keyring, of: cluster)
            return Peer(
                gossip: GossipService(
                    node: entries[index].node, generation: Generation(1), profile: entries[index].profile, tuning: .fast,
                    address: HostPort(host: "127.0.0.1", port: first + index), seal: seal, coordinators: entries,
                    logger: quiet), seal: seal)
        }
    }

    private func isWhole(_ peers: [Peer]) -> Bool {
        peers.allSatisfy { peer in peer.gossip.members.count { $0.status == .alive && $0.heard } == peers.count - 1 }
    }

    /// Each member has answered and asked some more, since now.
    private func goesOn(_ peers: [Peer]) async -> Bool {
        let before = peers.map { $0.gossip.socketCounters?.received ?? 0 }
        return await eventually { zip(peers, before).allSatisfy { ($0.gossip.socketCounters?.received ?? 0) > $1 + 20 } }
    }

    @Test(
        "keys are installed, used and removed under members that notice nothing, and who missed it comes back with the new ring"
    )
    func rotates() async throws {
        let old = try GossipKeyring.generate()
        let peers = try peers(5, old, of: cluster, ports: 9_560)
        let present = Array(peers[..<4])
        let tasks = peers.map { peer in Task { try await peer.gossip.run() } }
        #expect(await eventually { isWhole(peers) })

        let key = [UInt8](repeating: 3, count: 32)
        // Each step at one member after the other, while they talk.
        for peer in peers {
            peer.seal.use(try peer.seal.keyring.installing(key, as: 2))
            #expect(await goesOn(peers))
        }
        for peer in peers {
            peer.seal.use(try peer.seal.keyring.using(2))
            #expect(await goesOn(peers))
        }
        for peer in peers {
            peer.seal.use(try peer.seal.keyring.removing(1))
            #expect(await goesOn(peers))
        }
        for peer in peers {
            #expect(peer.gossip.protocolCounters.verdicts == 0)
            #expect(peer.gossip.socketCounters?.unknownKey == 0 && peer.gossip.socketCounters?.forged == 0)
            #expect(peer.seal.keyring.listed.map(\.number) == [2])
        }

        // One is not there while the next key comes and the last one goes.
        for peer in present {
            peer.seal.use(try GossipKeyring(keys: [3: [UInt8](repeating: 4, count: 32)], primary: 3))
        }
        #expect(await eventually { present.allSatisfy { ($0.gossip.socketCounters?.unknownKey ?? 0) > 0 } })
        #expect(
            await eventually {
                present.allSatisfy { $0.gossip.members.contains { $0.node.name == "n4" && $0.status == .dead } }
            })
        peers[4].seal.use(present[0].seal.keyring)
        #expect(await eventually { isWhole(peers) })
        for task in tasks { task.cancel() }
        for task in tasks { _ = try? await task.value }
    }

    @Test("datagrams of another cluster, recorded ones, and some that are too long are counted, and change nothing")
    func strangers() async throws {
        let keyring = try GossipKeyring.generate()
        let peers = try peers(2, keyring, of: cluster, ports: 9_570)
        let tasks = peers.map { peer in Task { try await peer.gossip.run() } }
        #expect(await eventually { isWhole(peers) })
        let stranger = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let target = try SocketAddress(ipAddress: "127.0.0.1", port: 9_570)
        func send(_ bytes: [UInt8]) async throws {
            try await stranger.writeAndFlush(AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: bytes)))
        }
        let message = SwimMessage(
            from: try NodeID("n9"), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .gossip,
            rumours: []
        ).serialized()
        let other = GossipSeal(keyring, of: try ClusterID("ffffffffffffffffffffffffffffffff"))
        for _ in 0..<5 { try await send(other.seal(message)) }
        let recorded = try GossipSeal(keyring, of: cluster).seal(message)
        for _ in 0..<5 { try await send(recorded) }
        for _ in 0..<5 { try await send([UInt8](repeating: 1, count: 1_401)) }
        #expect(
            await eventually {
                guard let counters = peers[0].gossip.socketCounters else { return false }
                return counters.forged >= 5 && counters.replayed >= 4 && counters.malformed >= 5
            })
        let counters = try #require(peers[0].gossip.socketCounters)
        #expect(counters.forged == 5 && counters.replayed == 4 && counters.malformed == 5)
        #expect(isWhole(peers))
        try await stranger.close()
        for task in tasks { task.cancel() }
        for task in tasks { _ = try? await task.value }
    }
}
