import Access
import Catalog
@testable import CoordinatorServer
import HTTPTypes
import Identity
import Model
import Testing
import Wire

@Suite("gossip keys at the control API")
struct GossipKeyAPITests {
    private func seeded() async throws -> (harness: APIHarness, keyring: GossipKeyring) {
        let harness = try APIHarness()
        let keyring = try GossipKeyring.generate()
        _ = try await harness.plane.propose(
            .seedGossipKeys(keyring.listed, primary: keyring.primary), by: harness.root.principal, reason: "",
            requestID: try RequestID("seed"), fingerprint: [], traceID: "")
        return (harness, keyring)
    }

    private func ring(_ harness: APIHarness) async throws -> GossipKeys {
        try #require(try await harness.plane.topology(.local).gossipKeys)
    }

    @Test("keys are listed by name, and no answer nor audit record has a byte of them")
    func list() async throws {
        let (harness, keyring) = try await seeded()
        try await harness.start(nodes: 2)
        let made = try await harness.post("/keys/gossip:rotate", headers: ["X-Reason": "yearly"])
        #expect(made.status == 202)
        let listed = try await harness.get("/keys/gossip")
        #expect(listed.status == 200 && listed.text == made.text)
        let ring = try await self.ring(harness)
        #expect(listed["primary"] == keyring.held.primary.description)
        let rotation = try #require(ring.rotation)
        #expect(listed.text.contains(#""key_id":"\#(rotation.key)""#))
        #expect(listed.text.contains(#""waits_for":["n1","n2"]"#))
        let audit = try await harness.plane.catalog(.local).audit.tail
        let record = try #require(audit.last)
        #expect(record.command == "rotate-gossip-key" && record.reason == "yearly" && record.actor == harness.root.principal)
        for key in ring.keys {
            for text in [Hex.encode(key.secret.bytes), "\(key.secret.bytes)"] {
                #expect(!listed.text.contains(text) && !"\(audit)".contains(text))
            }
        }
    }

    @Test("one rotation at a time; the same request again is the same answer; who is back in time can take it back")
    func requests() async throws {
        let (harness, _) = try await seeded()
        let headers = ["Idempotency-Key": "r1"]
        let first = try await harness.post("/keys/gossip:rotate", headers: headers)
        let version = try await ring(harness).version
        let again = try await harness.post("/keys/gossip:rotate", headers: headers)
        #expect(first.status == 202 && again.status == 202)
        #expect(try await ring(harness).version == version)
        let other = try await harness.post("/keys/gossip:rotate")
        #expect(other.status == 409 && other["code"] == "ROTATION_UNDER_WAY")
        let tried = try await harness.post("/keys/gossip:cancel?dry_run=true")
        #expect(tried.status == 200 && tried["dry_run"] == "1")
        #expect(try await ring(harness).rotation != nil)
        #expect(try await harness.post("/keys/gossip:cancel", headers: ["Idempotency-Key": "c1"]).status == 202)
        #expect(try await ring(harness).rotation == nil)
        #expect(try await harness.post("/keys/gossip:cancel", headers: ["Idempotency-Key": "c1"]).status == 202)
        let none = try await harness.post("/keys/gossip:cancel")
        #expect(none.status == 409 && none["code"] == "ROTATION_MOVED_ON")
    }

    @Test("a rotation needs a right of its own and a record; tried, it changes nothing")
    func rights() async throws {
        let harness = try APIHarness()
        let early = try await harness.post("/keys/gossip:rotate")
        #expect(early.status == 409 && early["code"] == "GOSSIP_KEYS_UNKNOWN" && early["retryable"] == "1")
        let (seeded, _) = try await self.seeded()
        let viewer = Caller(principal: try Principal("operator/eve"), role: .operator)
        let refused = try await seeded.ask(.post, "/api/v1/keys/gossip:rotate", as: viewer)
        #expect(refused.status == 403)
        #expect(try await seeded.ask(.get, "/api/v1/keys/gossip", as: viewer).status == 200)
        #expect(try await seeded.ask(.get, "/api/v1/keys/gossip", as: nil).status == 401)
        #expect(try await seeded.post("/keys/gossip:rotate?dry_run=true").status == 200)
        #expect(try await ring(seeded).rotation == nil)
    }

    @Test("the commands of a rotation obey the codec laws, and a key of another length is no key")
    func codec() throws {
        let keyring = try GossipKeyring.generate()
        let secret = try GossipKeyring.newKey()
        let commands: [Command] =
            [
                .seedGossipKeys(keyring.listed, primary: keyring.primary), .rotateGossipKey(secret),
                .cancelGossipRotation(secret.id),
            ] + GossipRotation.Step.allCases.map { .advanceGossipRotation(secret.id, past: $0) }
        for command in commands {
            let entry = CatalogEntry(
                command: command, actor: try Principal("operator/ada"), requestID: try RequestID("r"),
                time: WallTime(milliseconds: 1))
            let bytes = entry.serialized()
            #expect(try CatalogEntry(bytes: bytes) == entry)
            for length in bytes.indices { _ = try? CatalogEntry(bytes: Array(bytes[..<length])) }
            for bit in 0..<(bytes.count * 8) {
                var changed = bytes
                changed[bit / 8] ^= 1 << UInt8(bit % 8)
                _ = try? CatalogEntry(bytes: changed)
            }
        }
        for count in [0, 31, 33] {
            let short = GossipSecret(id: secret.id, bytes: [UInt8](repeating: 1, count: count))
            let entry = CatalogEntry(
                command: .rotateGossipKey(short), actor: try Principal("operator/ada"), requestID: try RequestID("r"),
                time: WallTime(milliseconds: 1))
            #expect(throws: WireError.self) { try CatalogEntry(bytes: entry.serialized()) }
        }
    }
}
