import Catalog
import Foundation
import HTTPTypes
import Identity
import Model
import Testing
import Wire

@testable import CoordinatorServer

/// Who may become which node (rule S2).
@Suite struct JoinTokenTests {
    private func join(_ harness: APIHarness, as node: String, with token: String) async throws -> Answer {
        let identity = try PeerIdentity(cluster: "demo", role: .node, name: node)
        let request = try CertificateRequest(for: identity, addresses: ["127.0.0.1"], key: try PrivateKey.generate())
        let body = try JSONSerialization.data(withJSONObject: [
            "token": token, "node_id": node, "zone": "a", "csr": request.pem,
        ])
        return try await harness.ask(.post, "/api/v1/nodes/join", String(decoding: body, as: UTF8.self), as: nil)
    }

    @Test("nobody becomes a node that is running by a token that does not name it")
    func takenName() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let token = try await harness.post("/nodes/join-tokens", #"{"zone":"a"}"#)["token"]
        let taken = try await join(harness, as: "n1", with: token)
        #expect(taken.status == 409 && taken["code"] == "NODE_IN_USE" && taken["field"] == "node_id", "\(taken.text)")
        #expect(taken["certificate"].isEmpty && taken["hint"].contains("--node"))
        #expect(try await join(harness, as: "n9", with: token).status == 201)
    }

    @Test("a token that names a node lets it be replaced while it runs, and lets nobody else join")
    func named() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let made = try await harness.post("/nodes/join-tokens", #"{"node_id":"n1"}"#)
        #expect(made.status == 201 && made["node_id"] == "n1")
        let other = try await join(harness, as: "n9", with: made["token"])
        #expect(other.status == 403 && other["code"] == "JOIN_TOKEN_REFUSED" && other["field"] == "node_id", "\(other.text)")
        #expect(other["detail"].contains("n1"))
        let joined = try await join(harness, as: "n1", with: made["token"])
        #expect(joined.status == 201, "\(joined.text)")
        let bad = try await harness.post("/nodes/join-tokens", #"{"node_id":"N 1"}"#)
        #expect(bad.status == 400 && bad["field"] == "node_id")
    }

    @Test("a join token obeys the codec laws, whatever it is bound to, and one from before there were names reads as unbound")
    func codec() throws {
        let names: [NodeID?] = [nil, try NodeID("n1")]
        let zones: [ZoneName?] = [nil, try ZoneName("a")]
        for node in names {
            for zone in zones {
                let token = JoinToken(
                    id: "j1", secretDigest: [1, 2, 3], expiresAt: WallTime(milliseconds: 5), usesLeft: 2, zone: zone,
                    node: node,
                    createdBy: try Principal("operator/ada"))
                let bytes = token.serialized()
                #expect(try JoinToken(bytes: bytes) == token)
                let entry = CatalogEntry(
                    command: .createJoinToken(token), actor: token.createdBy, requestID: try RequestID("r"),
                    time: WallTime(milliseconds: 1))
                #expect(try CatalogEntry(bytes: entry.serialized()) == entry)
                let snapshot = CatalogSnapshot(joinTokens: ["j1": token])
                #expect(try CatalogSnapshot(bytes: snapshot.serialized()) == snapshot)
                for length in bytes.indices { survives(Array(bytes[..<length])) }
                for index in bytes.indices {
                    for bit in 0..<8 as Range<UInt8> {
                        var flipped = bytes
                        flipped[index] ^= 1 << bit
                        survives(flipped)
                    }
                }
            }
        }
        let old: [UInt8] =
            [0x0A, 2] + Array("j1".utf8) + [0x12, 1, 7, 0x18, 10, 0x20, 1, 0x2A, 1] + Array("a".utf8) + [0x32, 12]
            + Array("operator/ada".utf8)
        let read = try JoinToken(bytes: old)
        #expect(read.node == nil && read.zone == zones[1] && read.usesLeft == 1)
    }

    /// Damaged bytes are refused, or read as something that can be written and read again.
    private func survives(_ bytes: [UInt8]) {
        guard let value = try? JoinToken(bytes: bytes) else { return }
        #expect((try? JoinToken(bytes: value.serialized())) == value)
    }
}
