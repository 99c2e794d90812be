import Identity
import Membership
import MembershipSimulation
import Model
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import Testing
import Transport
import Wire

@Suite(.timeLimit(.minutes(5))) struct GossipTests {
    private func profile(_ zone: String, port: Int) throws -> MemberProfile {
        MemberProfile(
            kind: .agent, zone: try ZoneName(zone), gossip: "127.0.0.1:\(port)", link: "127.0.0.1:1", store: StoreID(.max),
            session: SessionID(WireLimits.counter - 1))
    }

    private func messages() throws -> [SwimMessage] {
        let life = Life(generation: Generation(WireLimits.counter - 1), incarnation: WireLimits.counter - 1)
        let record = MemberRecord(
            node: try NodeID("n1"), life: life, status: .dead, profile: try profile("a", port: 7_461), accuser: try NodeID("n2")
        )
        let target = try NodeID("n3")
        var described = record
        described.profile.metadata = [UInt8](repeating: 0xFF, count: MemberProfile.metadataBytes)
        described.refused = true
        let bodies: [SwimMessage.Body] = [
            .ping(sequence: .max, target: target), .pingRequest(sequence: 1, target: target, address: "127.0.0.1:9"),
            .ack(sequence: 0), .nack(sequence: 3), .gossip, .records,
        ]
        return bodies.map {
            SwimMessage(
                from: target, life: life, revision: Revision(history: 1, index: WireLimits.counter - 1), body: $0,
                digest: TableDigest(sums: [UInt32](repeating: .max, count: TableDigest.mostSums), answer: true),
                rumours: [record, described])
        }
    }

    @Test("messages read back as they were, damage is refused or read, and records stay under their stated weight")
    func codec() throws {
        for message in try messages() {
            let bytes = message.serialized()
            #expect(try SwimMessage(bytes: bytes) == message)
            for length in bytes.indices { _ = try? SwimMessage(bytes: Array(bytes[..<length])) }
            for index in bytes.indices {
                for bit in 0..<8 {
                    var flipped = bytes
                    flipped[index] ^= 1 << UInt8(bit)
                    _ = try? SwimMessage(bytes: flipped)
                }
            }
            #expect(message.encodedBytes == bytes.count + GossipKeyring.overhead, "what simulations reckon with")
            let weight = message.rumours.map(\.weight).reduce(0, +)
            #expect(
                bytes.count + GossipKeyring.overhead
                    <= SwimMessage.overhead(from: message.from, body: message.body, digest: message.digest) + weight)
        }
    }

    @Test("a datagram opens only under its key, in its cluster, unchanged, and within its size")
    func seals() throws {
        let cluster = try ClusterID("0123456789abcdef0123456789abcdef")
        let keys = try GossipKeyring.generate()
        let seal = GossipSeal(keys, of: cluster)
        let sealed = try seal.seal([1, 2, 3])
        #expect(try seal.open(sealed) == [1, 2, 3])
        #expect(throws: DatagramRefusal.replayed) { try seal.open(sealed) }
        #expect(throws: DatagramRefusal.forged) {
            try GossipSeal(keys, of: ClusterID("ffffffffffffffffffffffffffffffff")).open(sealed)
        }
        #expect(throws: DatagramRefusal.forged) { try GossipSeal(GossipKeyring.generate(), of: cluster).open(sealed) }
        for index in 1..<sealed.count {
            var damaged = sealed
            damaged[index] ^= 1
            #expect(throws: DatagramRefusal.forged) { try seal.open(damaged) }
        }
        var otherKey = sealed
        otherKey[0] = 99
        #expect(throws: DatagramRefusal.unknownKey) { try seal.open(otherKey) }
        #expect(throws: DatagramRefusal.malformed) { try seal.open([1]) }
        #expect(throws: DatagramRefusal.malformed) { try seal.open([UInt8](repeating: 1, count: 1_401)) }
    }

    private func seal() throws -> GossipSeal {
        GossipSeal(try GossipKeyring.generate(), of: try ClusterID("0123456789abcdef0123456789abcdef"))
    }

    /// Each knows of all.
    private func members(_ names: [String], ports: [Int], _ seal: GossipSeal) throws -> [GossipService] {
        let entries = try zip(names, ports).map { name, port in
            RosterEntry(node: try NodeID(name), generation: Generation(1), profile: try profile("a", port: port))
        }
        return zip(entries, ports).map { entry, port in
            GossipService(
                node: entry.node, generation: entry.generation, profile: entry.profile, tuning: .fast,
                address: HostPort(host: "127.0.0.1", port: port), seal: seal, coordinators: entries, logger: quiet)
        }
    }

    @Test("who is shut down says good-bye, and is held to have left by all")
    func goodbye() async throws {
        let services = try members(["n1", "n2", "n3"], ports: [27_463, 27_464, 27_465], seal())
        let groups = services.map { ServiceGroup(services: [$0], logger: quiet) }
        let tasks = groups.map { group in Task { try await group.run() } }
        #expect(
            await eventually { services.allSatisfy { one in services.allSatisfy { $0 === one || one.sees($0, .alive) } } })
        await groups[2].triggerGracefulShutdown()
        try await tasks[2].value
        #expect(await eventually { services[..<2].allSatisfy { $0.sees(services[2], .left) } })
        for task in tasks { task.cancel() }
        for task in tasks { _ = try? await task.value }
    }

    @Test("who is in the topology that was adopted before gossip began should be there when it has begun")
    func adoptedBefore() async throws {
        let services = try members(["n1", "n2"], ports: [27_466, 27_467], seal())
        let absent = try NodeID("n9")
        let change = TopologyChange.node(
            NodeDescriptor(
                id: absent, store: StoreID(9), session: SessionID(9), generation: Generation(1), zone: try ZoneName("a"),
                addresses: NodeAddresses(gossip: "127.0.0.1:9", link: "127.0.0.1:9", service: "127.0.0.1:9"), status: .failed))
        services[0].adopt(Topology(revision: Revision(history: 1, index: 1), changes: [change]))
        let tasks = services.map { service in Task { try await service.run() } }
        #expect(await eventually { services[0].sees(services[1], .alive) })
        #expect(services[0].member(absent)?.inRoster == true)
        for task in tasks { task.cancel() }
        for task in tasks { _ = try? await task.value }
    }

    @Test("what members say without effect is counted by its reason, and a process that speaks no version of ours is no member")
    func ignored() async throws {
        let seal = try seal()
        let service = try #require(try members(["n1"], ports: [27_468], seal).first)
        let task = Task { try await service.run() }
        #expect(await eventually { service.port != nil })
        let life = Life(generation: Generation(1), incarnation: 0)
        let (peer, other) = (try NodeID("n8"), try NodeID("n9"))
        let foreign = MemberProfile(
            kind: .agent, zone: try ZoneName("a"), gossip: "127.0.0.1:1", link: "127.0.0.1:1", store: StoreID(9),
            session: .none, versions: ProtocolVersions(oldest: 200, newest: 201))
        let record = MemberRecord(node: other, life: life, status: .alive, profile: foreign)
        let stranger = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        for (sender, body, rumours) in [
            (peer, .gossip, [record]), (service.ownRecord.node, .gossip, []), (peer, .ping(sequence: 1, target: other), []),
        ] as [(NodeID, SwimMessage.Body, [MemberRecord])] {
            let message = SwimMessage(from: sender, life: life, revision: .none, body: body, rumours: rumours)
            try await stranger.writeAndFlush(
                AddressedEnvelope(
                    remoteAddress: try SocketAddress(ipAddress: "127.0.0.1", port: 27_468),
                    data: ByteBuffer(bytes: try seal.seal(message.serialized()))))
        }
        #expect(await eventually { service.ignored == [.otherVersion: 1, .echo: 1, .misdirected: 1] })
        #expect(service.member(other) == nil)
        try await stranger.close()
        task.cancel()
        _ = try? await task.value
    }

    @Test("two members find each other, garbage on the port is counted and skipped, and a silent one is found dead")
    func service() async throws {
        let ports = [27_461, 27_462]
        let seal = try seal()
        let services = try members(["n1", "n2"], ports: ports, seal)
        let tasks = services.map { service in Task { try await service.run() } }
        func sees(_ observer: Int, _ other: Int, _ status: MemberStatus) -> Bool {
            services[observer].sees(services[other], status)
        }
        #expect(await eventually { sees(0, 1, .alive) && sees(1, 0, .alive) })

        let stranger = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let target = try SocketAddress(ipAddress: "127.0.0.1", port: ports[0])
        for round in 0..<200 {
            let bytes = (0..<round * 9).map { _ in UInt8.random(in: 0...255) }
            try await stranger.writeAndFlush(AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: bytes)))
        }
        try await stranger.writeAndFlush(
            AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: try seal.seal([0xFF, 0xFF]))))
        #expect(
            await eventually {
                guard let counters = services[0].socketCounters else { return false }
                return counters.malformed + counters.unknownKey + counters.forged >= 190 && counters.unreadable == 1
            })
        #expect(await eventually { sees(0, 1, .alive) })
        try await stranger.close()

        // Cancelled, not shut down: it says no good-bye.
        tasks[1].cancel()
        _ = try? await tasks[1].value
        #expect(await eventually { sees(0, 1, .dead) })
        tasks[0].cancel()
        _ = try? await tasks[0].value
    }
}

extension GossipService {
    fileprivate func sees(_ other: GossipService, _ status: MemberStatus) -> Bool {
        members.contains { $0.node == other.ownRecord.node && $0.status == status && $0.heard }
    }
}
