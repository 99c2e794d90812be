import GossipKit
import Identity
import Membership
import Model
import NIOCore
import NIOPosix
import Testing
import Transport
import Wire

/// Bytes that no member sent, and keys that change while members talk.
@Suite(.serialized, .timeLimit(.minutes(20))) struct CrowdStrangerTests {
    /// Of the last life that there is, of one who has never lived.
    private func message(from name: String = "stranger") throws -> [UInt8] {
        SwimMessage(
            from: try NodeID(name), life: Life(generation: Generation(9), incarnation: 0), revision: .none, body: .gossip,
            rumours: []
        ).serialized()
    }

    private func total(_ member: Int, of crowd: GossipCrowd) -> GossipSocket.Counters {
        crowd.service(member)?.socketCounters ?? GossipSocket.Counters()
    }

    @Test(
        "C20: junk, damage, other keys, other clusters and what comes twice is counted by its kind at every member, and does nothing"
    )
    func junk() async throws {
        try await CrowdStory.tell { crowd in
            let start = ContinuousClock.now
            let cluster = try ClusterID("0123456789abcdef0123456789abcdef")
            let keyring = crowd.seal(of: 0).keyring
            let outsider = GossipSeal(keyring, of: try ClusterID("ffffffffffffffffffffffffffffffff"))
            let ring = try GossipKeyring(keys: [77: [UInt8](repeating: 5, count: 32)], primary: 77)
            let impostor = GossipSeal(
                try GossipKeyring(keys: [keyring.primary: [UInt8](repeating: 5, count: 32)], primary: keyring.primary),
                of: cluster)
            let member = GossipSeal(keyring, of: cluster)
            let stranger = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .bind(host: "127.0.0.1", port: 0).get()
            let rounds = 20
            for round in 0..<rounds {
                for number in crowd.everybody {
                    var damaged = try member.seal(message())
                    damaged[Int.random(in: 1..<damaged.count)] ^= 1 << UInt8.random(in: 0..<8)
                    let again = try member.seal([UInt8](repeating: 0xFF, count: round))
                    let target = try SocketAddress(ipAddress: "127.0.0.1", port: crowd.ports[number])
                    let datagrams: [[UInt8]] = [
                        [keyring.primary], Array(again.prefix(round)), again + [UInt8](repeating: 0, count: 1_400),
                        try outsider.seal(message()), try impostor.seal(message()), damaged,
                        try GossipSeal(ring, of: cluster).seal(message()), again, again,
                    ]
                    for datagram in datagrams {
                        try await stranger.writeAndFlush(
                            AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: datagram)))
                    }
                }
            }
            try await stranger.close()
            let each = UInt64(rounds)
            try await crowd.wait("all of it to be counted") {
                crowd.everybody.allSatisfy { number in
                    let counted = total(number, of: crowd)
                    return counted.malformed == 3 * each && counted.forged == 3 * each && counted.unknownKey == each
                        && counted.unreadable == each && counted.replayed == each
                }
            }
            try await crowd.goesOn(probes: 12)
            #expect(crowd.sightings.isWhole(crowd.everybody))
            #expect(crowd.sightings.falseVerdicts(since: start) == [])
            for number in crowd.everybody {
                #expect(crowd.service(number)?.members.count == crowd.count - 1)
            }
        }
    }

    @Test(
        "C22: while keys are exchanged every datagram opens and nobody is held dead; one that was down has to get the ring first"
    )
    func rotates() async throws {
        try await CrowdStory.tell { crowd in
            let start = ContinuousClock.now
            let down = 6
            await crowd.kill(down)
            let present = crowd.everybody(but: down)
            let old = crowd.seal(of: 0).keyring.primary
            let new = old &+ 1
            let key = [UInt8](repeating: 3, count: 32)
            let steps: [(GossipKeyring) throws -> GossipKeyring] = [
                { try $0.installing(key, as: new) }, { try $0.using(new) }, { try $0.removing(old) },
            ]
            for step in steps {
                // While one half has taken it and the other has not, all talk.
                for half in [0, 1] {
                    for member in present where member % 2 == half {
                        let seal = crowd.seal(of: member)
                        seal.use(try step(seal.keyring))
                    }
                    try await crowd.goesOn(probes: 3)
                }
            }
            for member in present { #expect(total(member, of: crowd).unknownKey == 0) }
            try await crowd.wait(for: .down, of: down, since: start)

            try crowd.start(down)
            try await crowd.wait("its calls under the old key to be counted") { total(0, of: crowd).unknownKey > 3 }
            #expect(!crowd.allKnowLives(of: [down]))
            crowd.seal(of: down).use(crowd.seal(of: 0).keyring)
            try await crowd.wait("it to be back") { crowd.allKnowLives(of: [down]) }
            try await crowd.waitUntilWhole()
            #expect(crowd.sightings.falseVerdicts(except: [down], since: start) == [])
            for member in present { #expect(total(member, of: crowd).forged == 0) }
        }
    }
}
