import Catalog
import Model
import Testing

@Suite struct CatalogAccessTests {
    @Test("configuration is compare-and-set, all writes of a command or none")
    func configuration() throws {
        var world = World()
        let first = try world.run(.configure(.global, [ConfigurationWrite(key: "app.colour", value: "\"red\"", expecting: 0)]))
        #expect(first == .accepted(.version(1)))
        let stale = try world.run(
            .configure(
                .global,
                [
                    ConfigurationWrite(key: "app.other", value: "1"),
                    ConfigurationWrite(key: "app.colour", value: "\"blue\"", expecting: 0),
                ]))
        #expect(stale.refusal == .versionMismatch)
        #expect(world.topology.configuration.count == 1)
        #expect(
            try world.run(.configure(.global, [ConfigurationWrite(key: "replication_factor", value: "99")])).refusal
                == .invalidValue)
        #expect(
            try world.run(.configure(.global, [ConfigurationWrite(key: "app.colour", value: nil, expecting: 1)])).isAccepted)
        #expect(world.topology.configuration.isEmpty)
    }

    @Test("an entry that nobody obeys is refused with the names that there are; one in a scope where nobody looks, too")
    func unheededEntries() throws {
        var world = World()
        func set(_ scope: ConfigurationScope, _ key: String, _ value: String) throws -> CatalogRejection? {
            guard case .refused(let why) = try world.run(.configure(scope, [ConfigurationWrite(key: key, value: value)])) else {
                return nil
            }
            return why
        }
        let zone = ConfigurationScope.zone(try ZoneName("a"))
        let unknown = try #require(try set(.global, "repair_dely_seconds", "5"))
        #expect(unknown.code == .unknownEntry && unknown.detail.contains("repair_delay_seconds"))
        #expect(try set(zone, "replication_factor", "2")?.code == .invalidValue)
        #expect(
            try set(zone, "consistency_level", "\"loose\"")?.detail
                == "consistency_level is \"strong\" or \"eventual\" or \"bounded\"")
        #expect(try set(zone, "operations_per_node", "17")?.detail == "operations_per_node is an integer from 1 to 16")
        #expect(try set(zone, "operations_per_node", "16") == nil)
        #expect(try set(.global, "app.", "1")?.code == .unknownEntry)
    }

    @Test("what a refusal quotes is cut, so that kept answers stay small whatever was asked")
    func longRefusals() throws {
        let rejection = CatalogRejection(
            .entryNotFound, "there is no " + String(repeating: "é", count: 70_000), field: String(repeating: "k", count: 70_000)
        )
        #expect(rejection.detail.utf8.count <= CatalogLimits.textBytes + 3)
        #expect(rejection.field?.utf8.count == CatalogLimits.textBytes)
        var world = World()
        for key in [String(repeating: "k", count: 256), "", "_versions", "två"] {
            let removed = try world.run(.configure(.global, [ConfigurationWrite(key: key, value: nil)]))
            #expect(removed.refusal == .invalidValue, "\(key)")
        }
    }

    @Test("a join token is good for its uses, its zone and its time, and for nothing else")
    func joinTokens() throws {
        var world = World()
        let secret = [UInt8](repeating: 7, count: 32)
        let zone = try ZoneName("a")
        let token = JoinToken(
            id: "j1", secretDigest: secret, expiresAt: WallTime(milliseconds: world.time.milliseconds + 1_000), usesLeft: 1,
            zone: zone, createdBy: try Principal("operator/ada"))
        #expect(try world.run(.createJoinToken(token)).isAccepted)
        let node = try NodeID("n1")
        func use(_ digest: [UInt8], _ zone: ZoneName) throws -> CommandResult {
            try world.run(.useJoinToken("j1", secretDigest: digest, node: node, zone: zone))
        }
        #expect(try use([1], zone).refusal == .joinTokenRefused)
        #expect(try use(secret, try ZoneName("b")).refusal == .joinTokenRefused)
        #expect(try use(secret, zone).isAccepted)
        #expect(try use(secret, zone).refusal == .joinTokenRefused)
        let short = JoinToken(
            id: "j2", secretDigest: secret, expiresAt: WallTime(milliseconds: world.time.milliseconds + 1), usesLeft: 1,
            zone: nil, createdBy: try Principal("operator/ada"))
        #expect(try world.run(.createJoinToken(short)).isAccepted)
        world.time = WallTime(milliseconds: world.time.milliseconds + 2)
        #expect(try world.run(.useJoinToken("j2", secretDigest: secret, node: node, zone: zone)).refusal == .joinTokenRefused)
    }

    @Test("a join token that names a node is for that node alone, and only such a one is good for a node that is live")
    func joinTokensByName() throws {
        var world = World()
        try world.start(nodes: 3)
        let (n1, n2, n9) = (try NodeID("n1"), try NodeID("n2"), try NodeID("n9"))
        let secret = [UInt8](repeating: 7, count: 32)
        func make(_ id: String, for node: NodeID? = nil) throws {
            let end = WallTime(milliseconds: world.time.milliseconds + 1_000)
            let token = JoinToken(
                id: id, secretDigest: secret, expiresAt: end, usesLeft: 100, zone: nil, node: node,
                createdBy: try Principal("operator/ada"))
            #expect(try world.run(.createJoinToken(token)).isAccepted)
        }
        func use(_ id: String, by node: NodeID) throws -> CatalogRejection? {
            let zone = try ZoneName("a")
            let result = try world.run(.useJoinToken(id, secretDigest: secret, node: node, zone: zone))
            guard case .refused(let why) = result else { return nil }
            return why
        }
        try make("open")
        try make("named", for: n1)
        let foreign = try #require(try use("named", by: n9))
        #expect(foreign.code == .joinTokenRefused && foreign.field == "node_id")
        #expect(try use("named", by: n1) == nil)

        let taken = try #require(try use("open", by: n1))
        #expect(taken.code == .nodeInUse && taken.field == "node_id")
        #expect(try use("open", by: n9) == nil)
        try world.run(.declareNode(n9, zone: try ZoneName("a"), host: "h", instanceType: ""))
        #expect(try use("open", by: n9) == nil)
        try world.run(.drain(n1))
        #expect(try use("open", by: n1)?.code == .nodeInUse)
        #expect(try world.fail(n2).isAccepted)
        #expect(try use("open", by: n2) == nil)
    }

    @Test("a revocation outlasts its token, and is forgotten when another is made after that")
    func revocations() throws {
        var world = World()
        func revoke(_ id: String, seconds: Int64) throws -> CommandResult {
            let end = WallTime(milliseconds: world.time.milliseconds + 1_000 * seconds)
            return try world.run(.revokeToken(RevokedToken(id: id, expiresAt: end)))
        }
        #expect(try revoke("day", seconds: 43_200).isAccepted && revoke("hour", seconds: 3_600).isAccepted)
        let end = world.topology.revokedTokens["day"]?.expiresAt
        #expect(try revoke("day", seconds: 1).isAccepted)
        #expect(world.topology.revokedTokens["day"]?.expiresAt == end)
        world.time = WallTime(milliseconds: world.time.milliseconds + 43_199_000)
        #expect(try revoke("another", seconds: 60).isAccepted)
        #expect(world.topology.revokedTokens.keys.sorted() == ["another", "day"])
        world.time = WallTime(milliseconds: world.time.milliseconds + 3_602_000)
        #expect(try revoke("last", seconds: 60).isAccepted)
        #expect(world.topology.revokedTokens.keys.sorted() == ["another", "last"])
    }

    @Test("a role that is granted by a token is in the trail, and changes nothing else")
    func grants() throws {
        var world = World()
        let ada = try Principal("operator/ada")
        #expect(try world.run(.grantRole("root", to: ada, token: "t1", until: world.time)) == .accepted(.nothing))
        #expect(world.state.audit.tail.last?.subject == "operator/ada/roles/root/tokens/t1")
        #expect(world.topology == World().topology)
        let long = String(repeating: "x", count: 256)
        #expect(try world.run(.grantRole("root", to: ada, token: long, until: world.time)).refusal == .invalidValue)
        #expect(try world.run(.grantRole("", to: ada, token: "t1", until: world.time)).refusal == .invalidValue)
    }

    @Test("the audit trail chains every command, refused ones too, and shows an altered record")
    func audit() throws {
        var world = World()
        try world.start(nodes: 2)
        try world.run(.dropTable(try RelationName("nothing")))
        var tail = world.state.audit.tail
        #expect(tail.map(\.outcome) == ["OK", "OK", "TABLE_NOT_FOUND"])
        #expect(AuditChain.firstBreak(in: tail, digest: World.digest) == nil)
        let old = tail[1]
        tail[1] = AuditRecord(
            index: old.index, time: old.time, actor: try Principal("operator/eve"), command: old.command, subject: old.subject,
            reason: old.reason, requestID: old.requestID, traceID: old.traceID, outcome: old.outcome, hash: old.hash)
        #expect(AuditChain.firstBreak(in: tail, digest: World.digest)?.index == 2)
    }
}
