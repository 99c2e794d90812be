@testable import Catalog
import Model
import Testing

@Suite("the record of gossip keys")
struct GossipKeyTests {
    static func secret(_ byte: UInt8) -> GossipSecret {
        GossipSecret(id: GossipKeyID(UInt64(byte) << 32), bytes: [UInt8](repeating: byte, count: GossipSecret.byteCount))
    }

    private static func key(_ number: UInt8) -> GossipKey {
        GossipKey(number: number, secret: secret(number), createdAt: WallTime(milliseconds: 0))
    }

    private func seeded(_ numbers: [UInt8] = [1], primary: UInt8 = 1) throws -> World {
        var world = World()
        #expect(try world.run(.seedGossipKeys(numbers.map(Self.key), primary: primary)).isAccepted)
        return world
    }

    private func ring(_ world: World) throws -> GossipKeys { try #require(world.topology.gossipKeys) }

    @Test("the files' ring becomes the record once, and a ring that is none never")
    func seed() throws {
        var world = World()
        #expect(try world.run(.rotateGossipKey(Self.secret(2))).refusal == .gossipKeysUnknown)
        #expect(try world.run(.seedGossipKeys([Self.key(1)], primary: 2)).refusal == .invalidValue)
        #expect(try world.run(.seedGossipKeys([Self.key(1), Self.key(1)], primary: 1)).refusal == .invalidValue)
        #expect(world.topology.gossipKeys == nil)
        #expect(try world.run(.seedGossipKeys([Self.key(1)], primary: 1)).isAccepted)
        let ring = try self.ring(world)
        #expect(ring.version == world.topology.revision && ring.rotation == nil)
        #expect(ring.sealing == GossipKey(number: 1, secret: Self.secret(1), createdAt: world.time))
        #expect(try world.run(.seedGossipKeys([Self.key(9)], primary: 9)).refusal == .keyExists)
        #expect(world.topology.gossipKeys == ring)
    }

    @Test("a key is installed, then used, then the only one; the version rises with the ring and not with the end")
    func steps() throws {
        var world = try seeded()
        let (old, new) = (Self.secret(1).id, Self.secret(2).id)
        var versions = [try ring(world).version]
        func expect(_ ids: [GossipKeyID], sealing: GossipKeyID, _ step: GossipRotation.Step?) throws {
            let ring = try self.ring(world)
            #expect(ring.held == HeldGossipKeys(ids: ids, primary: sealing))
            #expect(ring.rotation?.step == step)
            #expect(ring.rotation.map { $0.key == new } ?? true)
        }
        #expect(try world.run(.rotateGossipKey(Self.secret(2))).isAccepted)
        try expect([old, new], sealing: old, .install)
        versions.append(try ring(world).version)
        world.time = WallTime(milliseconds: world.time.milliseconds + 10)
        #expect(try world.run(.advanceGossipRotation(new, past: .install)).isAccepted)
        try expect([old, new], sealing: new, .use)
        #expect(try ring(world).rotation?.steppedAt == world.time)
        #expect(try ring(world).rotation?.beganAt != world.time)
        versions.append(try ring(world).version)
        #expect(try world.run(.advanceGossipRotation(new, past: .use)).isAccepted)
        try expect([new], sealing: new, .remove)
        versions.append(try ring(world).version)
        #expect(versions == versions.sorted() && Set(versions).count == 4)
        #expect(try world.run(.advanceGossipRotation(new, past: .remove)).isAccepted)
        try expect([new], sealing: new, nil)
        #expect(try ring(world).version == versions[3])
        #expect(try ring(world).sealing?.number == 2)
    }

    @Test("a step that is over is not done twice, one that has not come not at all, and one rotation runs at a time")
    func refusals() throws {
        var world = try seeded()
        let new = Self.secret(2).id
        #expect(try world.run(.advanceGossipRotation(new, past: .install)).refusal == .gossipKeyNotFound)
        #expect(try world.run(.cancelGossipRotation(new)).refusal == .gossipKeyNotFound)
        #expect(try world.run(.rotateGossipKey(Self.secret(1))).refusal == .keyExists)
        #expect(try world.run(.cancelGossipRotation(Self.secret(1).id)).refusal == .gossipKeyInUse)
        try world.run(.rotateGossipKey(Self.secret(2)))
        #expect(try world.run(.rotateGossipKey(Self.secret(3))).refusal == .rotationUnderWay)
        #expect(try world.run(.advanceGossipRotation(new, past: .use)).refusal == .rotationMovedOn)
        #expect(try world.run(.advanceGossipRotation(Self.secret(1).id, past: .install)).refusal == .rotationMovedOn)
        try world.run(.advanceGossipRotation(new, past: .install))
        #expect(try world.run(.advanceGossipRotation(new, past: .install)).refusal == .rotationMovedOn)
        #expect(try world.run(.cancelGossipRotation(new)).refusal == .gossipKeyInUse)
        #expect(try world.run(.cancelGossipRotation(Self.secret(1).id)).refusal == .rotationMovedOn)
        try world.run(.advanceGossipRotation(new, past: .use))
        try world.run(.advanceGossipRotation(new, past: .remove))
        #expect(try world.run(.advanceGossipRotation(new, past: .remove)).refusal == .rotationMovedOn)
        let full = try seeded(Array(1...UInt8(GossipKeys.most)))
        world = full
        #expect(try world.run(.rotateGossipKey(Self.secret(20))).refusal == .limitReached)
    }

    @Test("a key that seals nowhere yet is taken back, and the next one may have its number")
    func cancelled() throws {
        var world = try seeded()
        try world.run(.rotateGossipKey(Self.secret(2)))
        #expect(try world.run(.cancelGossipRotation(Self.secret(2).id)).isAccepted)
        #expect(try ring(world).keys.map(\.id) == [Self.secret(1).id])
        #expect(try ring(world).rotation == nil)
        try world.run(.rotateGossipKey(Self.secret(3)))
        #expect(try ring(world).key(Self.secret(3).id)?.number == 2)
    }

    @Test("all rings of more than one key end in one, and numbers begin anew behind the last")
    func numbers() throws {
        var world = try seeded([7, 255], primary: 7)
        try world.run(.rotateGossipKey(Self.secret(3)))
        #expect(try ring(world).keys.map(\.number) == [1, 7, 255])
        try world.run(.advanceGossipRotation(Self.secret(3).id, past: .install))
        try world.run(.advanceGossipRotation(Self.secret(3).id, past: .use))
        #expect(try ring(world).keys.map(\.number) == [1])
    }

    @Test("the record is in the snapshot, in what agents get, and in the hash; its bytes are in no text")
    func shown() throws {
        var world = try seeded()
        let before = world.topology
        let applied = world.apply(try world.entry(.rotateGossipKey(Self.secret(0xA7))))
        let delta = try #require(applied.delta)
        #expect(delta.changes == [.gossipKeys(try ring(world))])
        var followed = before
        try followed.apply(delta)
        #expect(followed == world.topology)
        #expect(Topology(revision: world.topology.revision, changes: world.topology.changes) == world.topology)
        var other = world
        other.apply(try world.entry(.cancelGossipRotation(Self.secret(0xA7).id)))
        #expect(hash(of: [.gossipKeys(try ring(world))]) != hash(of: [.gossipKeys(try ring(other))]))
        let record = try #require(applied.audit)
        #expect(record.subject == "gossip-keys/000000a700000000" && record.actor.name == "operator/ada")
        var text = "\(record) \(delta) \(world.state.snapshot) \(Command.rotateGossipKey(Self.secret(0xA7)))"
        dump(world.state.snapshot, to: &text)
        dump(delta, to: &text)
        dump(Self.secret(0xA7), to: &text)
        #expect(text.contains("000000a700000000"))
        let digits = text.filter { $0.isNumber || $0 == "," || $0 == "-" }
        #expect(!digits.contains("167,167,167") && !digits.contains("-167-167-167"))
    }

    private func hash(of changes: [TopologyChange]) -> UInt64 {
        var hash = StateHash()
        hash.mix(
            AppliedEntry(
                result: .accepted(.nothing), delta: TopologyDelta(from: .none, to: .none, changes: changes), audit: nil))
        return hash.value
    }
}
