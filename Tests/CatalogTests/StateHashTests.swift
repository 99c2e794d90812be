import Catalog
import Model
import Testing

@Suite struct StateHashTests {
    private func hash(of applied: AppliedEntry) -> UInt64 {
        var hash = StateHash()
        hash.mix(applied)
        return hash.value
    }

    private func hash(of change: TopologyChange) -> UInt64 {
        hash(
            of: AppliedEntry(
                result: .accepted(.nothing), delta: TopologyDelta(from: .none, to: .none, changes: [change]), audit: nil))
    }

    @Test("whatever an entry comes to has a hash of its own, and equal ones have the same", arguments: [false, true])
    func random(merges: Bool) throws {
        var world = World()
        try world.start(nodes: 6)
        var source = CommandSource(random: SeededGenerator(seed: 1), merges: merges)
        var known: [UInt64: AppliedEntry] = [:]
        var chain = StateHash()
        for _ in 0..<1_500 {
            let applied = world.apply(try world.entry(try source.next(&world)))
            chain.mix(applied)
            // Refusals are compared by their codes, and no audit record is.
            let seen =
                switch applied.result {
                case .accepted: AppliedEntry(result: applied.result, delta: applied.delta, audit: nil)
                case .refused(let why): AppliedEntry(result: .refused(CatalogRejection(why.code, "")), delta: nil, audit: nil)
                }
            #expect(hash(of: seen) == hash(of: applied))
            #expect(known.updateValue(seen, forKey: hash(of: seen)).map { $0 == seen } ?? true)
        }
        #expect(known.count > 300)
        // What a form means never changes, nor what entries do under it: if this value does, `StateHash.form` has to rise. Commands
        // that came later are not among those that it stands for.
        #expect(StateHash.form == 10)
        if !merges { #expect(chain.value == 0x60FC_0210_49E4_F303, "\(chain.value)") }
    }

    private static func ring(_ step: GossipRotation.Step?) throws -> GossipKeys {
        let time = WallTime(milliseconds: 1)
        let key = GossipKey(number: 1, secret: GossipKeyTests.secret(1), createdAt: time)
        return try #require(
            GossipKeys(
                keys: [key], primary: 1, version: .none,
                rotation: step.map { GossipRotation(key: key.id, step: $0, beganAt: time, steppedAt: time) }))
    }

    @Test("a copy that counts as damaged is another state")
    func damaged() throws {
        let node = try NodeID("n1")
        let hashes = [false, true].map { isDamaged in
            let replica = ReplicaDescriptor(
                node: node, store: StoreID(1), storage: StorageID(1), role: .inSync, isDamaged: isDamaged)
            return hash(
                of: .partition(
                    PartitionDescriptor(
                        id: PartitionID(1), table: TableID(1), range: .all, epoch: Epoch(1), primary: nil, replicas: [replica],
                        status: .active)))
        }
        #expect(hashes[0] != hashes[1])
    }

    @Test("what the random commands do not touch counts too")
    func rest() throws {
        let (ada, table) = (try Principal("ada"), TableID(1))
        let time = WallTime(milliseconds: 1)
        let changes: [TopologyChange] = [
            .nodeRemoved(try NodeID("n1")), .nodeRemoved(try NodeID("n2")),
            .signingKey(SigningKey(id: "k", algorithm: .es256, publicKey: [1], createdAt: time)),
            .signingKey(SigningKey(id: "k", algorithm: .edDSA, publicKey: [1], createdAt: time)),
            .signingKey(SigningKey(id: "k", algorithm: .es256, publicKey: [2], createdAt: time)),
            .signingKeyRemoved("k"), .tokenForgotten("k"), .tokenRevoked(RevokedToken(id: "k", expiresAt: time)),
            .policy(AccessPolicy(table: table, principal: ada, actions: [.read], effect: .allow, version: 1)),
            .policy(AccessPolicy(table: table, principal: ada, actions: [.read], effect: .deny, version: 1)),
            .policy(AccessPolicy(table: table, principal: ada, actions: [.write], effect: .allow, version: 1)),
            .policyRemoved(table, ada),
            .configuration(ConfigurationEntry(scope: .global, key: "a", value: "bc", version: 1)),
            .configuration(ConfigurationEntry(scope: .global, key: "ab", value: "c", version: 1)),
            .configuration(ConfigurationEntry(scope: .global, key: "a", value: "bc", version: 2)),
            .gossipKeys(try Self.ring(.install)), .gossipKeys(try Self.ring(.use)), .gossipKeys(try Self.ring(nil)),
            .configurationRemoved(.global, "a"), .configurationRemoved(.node(try NodeID("n1")), "a"),
        ]
        #expect(Set(changes.map { hash(of: $0) }).count == changes.count)
    }
}
