import Foundation
import Identity
import Membership
import MembershipSimulation
import Model
import NIOCore
import Testing
import Transport
import Wire

/// Everything that a stranger's bytes can reach: the seal, the message in it, the first frame of a ping over a link, and the file of
/// the keys. Whatever comes is refused, with a reason that is counted, or read as something that can be written and read again.
@Suite(.timeLimit(.minutes(60))) struct GossipFuzzTests {
    /// Ten million with LONG=1.
    private static let rounds = ProcessInfo.processInfo.environment["LONG"] == "1" ? 10_000_000 : 40_000

    private let cluster: ClusterID

    init() throws { cluster = try ClusterID("0123456789abcdef0123456789abcdef") }

    // MARK: - Valid ones

    private func messages() throws -> [SwimMessage] {
        let life = Life(generation: Generation(3), incarnation: 9)
        func record(_ index: Int, _ status: MemberStatus, metadata: [UInt8] = [], refused: Bool = false) -> MemberRecord {
            MemberRecord(
                node: World.node(index), life: life, status: status, profile: World.profile(index, metadata: metadata),
                accuser: status == .alive ? nil : World.node(2), refused: refused)
        }
        let bodies: [SwimMessage.Body] = [
            .ping(sequence: 77, target: World.node(0)), .ack(sequence: 1), .nack(sequence: .max), .gossip, .records,
            .pingRequest(sequence: 5, target: World.node(3), address: "10.0.0.3:7461"),
        ]
        return bodies.enumerated().map { number, body in
            SwimMessage(
                from: World.node(1), life: life, revision: Revision(history: 1, index: 40), body: body,
                digest: number % 2 == 0 ? TableDigest(sums: [1, .max, 3, 0, 5, 6, 7, 8], answer: true) : nil,
                rumours: [record(2, .suspect), record(4, .dead, refused: true), record(5, .alive, metadata: [1, 2, 3])])
        }
    }

    private func hello() throws -> Hello {
        Hello(
            cluster: cluster, node: World.node(1), store: StoreID(.max), generation: Generation(4), conversation: .probe)
    }

    // MARK: - The law

    /// - Returns: whether it was read.
    private func reads<T: WireCodable>(_: T.Type, _ bytes: [UInt8]) -> T? {
        let value: T
        do { value = try T(bytes: bytes) } catch { return nil }
        let written = value.serialized()
        #expect((try? T(bytes: written))?.serialized() == written)
        return value
    }

    private func damaged(_ bytes: [UInt8], _ visit: ([UInt8]) -> Void) {
        for length in bytes.indices { visit(Array(bytes[..<length])) }
        for index in bytes.indices {
            for bit in 0..<8 {
                var flipped = bytes
                flipped[index] ^= 1 << UInt8(bit)
                visit(flipped)
            }
        }
    }

    /// Bytes without any form, or a valid message of which some were changed, doubled or left out.
    private func strange(_ valid: [[UInt8]], _ generator: inout SeededGenerator) -> [UInt8] {
        func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) } }
        guard Bool.random(using: &generator), var bytes = valid.randomElement(using: &generator) else {
            return random(Int.random(in: 0...80, using: &generator))
        }
        for _ in 0...Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: bytes.indices, using: &generator)
            let end = min(bytes.count, at + Int.random(in: 1...6, using: &generator))
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes.replaceSubrange(at..<end, with: random(end - at))
            case 1: bytes.removeSubrange(at..<end)
            case 2: bytes.insert(contentsOf: bytes[at..<end], at: at)
            default: bytes[at] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &generator) ?? 0
            }
        }
        return bytes
    }

    // MARK: - Damage

    @Test(
        "messages and first frames that are cut at any byte, or have any bit turned, are refused or read, and a member lives on"
    )
    func damage() throws {
        var swim = Swim(
            node: World.node(0), generation: Generation(3), profile: World.profile(0), tuning: .fast, seed: 1, at: .origin)
        var now = LogicalInstant.origin
        var (read, refused) = (0, 0)
        for message in try messages() {
            let bytes = message.serialized()
            damaged(bytes) { bytes in
                guard let message = reads(SwimMessage.self, bytes) else { return refused += 1 }
                read += 1
                now = now + .milliseconds(1)
                _ = swim.step(.received(message, from: World.address(1)), at: now)
                _ = swim.step(.tick, at: now)
            }
        }
        #expect(read > 1_000 && refused > 1_000)
        #expect(swim.ownRecord.status == .alive)
        damaged(try hello().serialized()) { _ = reads(Hello.self, $0) }
    }

    @Test("a sealed datagram that is cut at any byte, or has any bit turned, does not open, and the reason is told")
    func sealedDamage() throws {
        let seal = GossipSeal(try GossipKeyring.generate(), of: cluster)
        for message in try messages() {
            let sealed = try seal.seal(message.serialized())
            var reasons: [DatagramRefusal: Int] = [:]
            damaged(sealed) { bytes in
                do throws(DatagramRefusal) {
                    _ = try seal.open(bytes)
                    Issue.record("\(bytes.count) of \(sealed.count) bytes open")
                } catch {
                    reasons[error, default: 0] += 1
                }
            }
            // Shorter than a seal; a bit of the key's number; all else.
            #expect(reasons == [.malformed: 29, .unknownKey: 8, .forged: sealed.count - 29 + 8 * (sealed.count - 1)])
            #expect(try seal.open(sealed) == message.serialized())
        }
    }

    @Test("a file of keys that is cut at any byte, or has any bit turned, is refused or a ring with a key to seal with")
    func keyFileDamage() throws {
        let ring = try GossipKeyring.generate().installing([UInt8](repeating: 9, count: 32), as: 7)
        let json = Array(try ring.json())
        #expect(try GossipKeyring(json: Data(json)) == ring)
        var read = 0
        damaged(json) { bytes in
            guard let ring = try? GossipKeyring(json: Data(bytes)) else { return }
            read += 1
            #expect(ring.listed.contains { $0.number == ring.primary })
            #expect((try? ring.json()).flatMap { try? GossipKeyring(json: $0) } == ring)
        }
        #expect(read > 100)
    }

    // MARK: - Random bytes

    @Test("random bytes, and messages of which some bytes are others, are refused or read, and a member lives on")
    func randomMessages() async throws {
        let valid = try messages().map { $0.serialized() }
        let first = [try hello().serialized()]
        let workers = ProcessInfo.processInfo.activeProcessorCount
        let read = await withTaskGroup(of: (Int, Int).self) { group in
            for worker in 0..<workers {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(worker) + 31)
                    var swim = Swim(
                        node: World.node(0), generation: Generation(3), profile: World.profile(0), tuning: .fast, seed: 1,
                        at: .origin)
                    var now = LogicalInstant.origin
                    var (read, frames) = (0, 0)
                    for round in 0..<Self.rounds / workers {
                        if round % 8 == 0 {
                            if self.reads(Hello.self, self.strange(first, &generator)) != nil { frames += 1 }
                            continue
                        }
                        guard let message = self.reads(SwimMessage.self, self.strange(valid, &generator)) else { continue }
                        read += 1
                        now = now + .milliseconds(1)
                        _ = swim.step(.received(message, from: World.address(round % 7)), at: now)
                        if round % 5 == 0 { _ = swim.step(.tick, at: now) }
                    }
                    // Its word about itself can still be written, and read by others.
                    let last = SwimMessage(
                        from: swim.node, life: swim.life, revision: swim.newestRevision, body: .gossip,
                        rumours: [swim.ownRecord])
                    #expect(self.reads(SwimMessage.self, last.serialized()) == last)
                    return (read, frames)
                }
            }
            return await group.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
        }
        print("\(Self.rounds) strange messages: \(read.0) read as messages, \(read.1) as first frames")
        #expect(read.0 > Self.rounds / 100 && read.1 > Self.rounds / 1_000)
    }

    @Test("addresses of which any bit or some bytes are others are refused, or one host and port that read back as they were")
    func strangeAddresses() {
        let texts = ["127.0.0.1:7461", "[2001:db8::1]:65535", "n1.example-1.net:7461", "[fe80::1%eth0]:1"]
        let valid = texts.map { Array($0.utf8) }
        var generator = SeededGenerator(seed: 79)
        var (read, refused) = (0, 0)
        func visit(_ bytes: [UInt8]) {
            guard let address = HostPort(String(decoding: bytes, as: UTF8.self)) else { return refused += 1 }
            read += 1
            #expect(HostPort(address.description) == address, "\(bytes)")
            #expect(address.host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "\(bytes)")
            #expect((0...0xFFFF).contains(address.port) && (1...253).contains(address.host.utf8.count))
            _ = try? SocketAddress(ipAddress: address.host, port: address.port)
        }
        for bytes in valid {
            #expect(HostPort(String(decoding: bytes, as: UTF8.self))?.description == String(decoding: bytes, as: UTF8.self))
            damaged(bytes, visit)
        }
        // What comes in brackets within brackets, or ends early for a C library, is no host.
        for text in ["[[::1]]:1", "[]:1", ":1", "a\0b:1", "a b:1", "a\nb:1", "a:65536", "a:-1", "a", "", "a:", "é:1"] {
            #expect(HostPort(text) == nil, "\(text)")
        }
        for _ in 0..<Self.rounds / 4 { visit(strange(valid, &generator)) }
        #expect(read > Self.rounds / 100 && refused > Self.rounds / 100)
    }

    @Test("random bytes under the number of a key that is held do not open")
    func randomDatagrams() throws {
        let seal = GossipSeal(try GossipKeyring.generate(), of: cluster)
        var generator = SeededGenerator(seed: 77)
        var reasons: [DatagramRefusal: Int] = [:]
        for _ in 0..<Self.rounds / 4 {
            var bytes = (0..<Int.random(in: 0...70, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator)
            }
            if !bytes.isEmpty, Bool.random(using: &generator) { bytes[0] = 1 }
            do throws(DatagramRefusal) {
                _ = try seal.open(bytes)
                Issue.record("\(bytes) opens")
            } catch {
                reasons[error, default: 0] += 1
            }
        }
        #expect(reasons.values.reduce(0, +) == Self.rounds / 4)
        #expect([.malformed, .unknownKey, .forged].allSatisfy { (reasons[$0] ?? 0) > Self.rounds / 40 })
    }

    @Test("files of keys of which some bytes are others are refused or a ring with a key to seal with")
    func randomKeyFiles() throws {
        let valid = [Array(try GossipKeyring.generate().json())]
        var generator = SeededGenerator(seed: 78)
        for _ in 0..<Self.rounds / 100 {
            guard let ring = try? GossipKeyring(json: Data(strange(valid, &generator))) else { continue }
            #expect(ring.listed.contains { $0.number == ring.primary })
        }
    }
}
