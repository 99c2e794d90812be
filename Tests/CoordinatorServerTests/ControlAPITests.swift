import Access
import Catalog
import CoordinatorServer
import Foundation
import HTTPTypes
import Identity
import KeyEncoding
import Model
import Synchronization
import Testing

@Suite struct ControlAPITests {
    @Test("every route names who may call it, and only the join and the public keys need neither certificate nor token")
    func permissions() async throws {
        let harness = try APIHarness()
        for route in harness.api.table {
            let path = route.path.replacingOccurrences(of: "{", with: "").replacingOccurrences(of: "}", with: "")
            let answer = try await harness.ask(route.method, path, as: nil)
            switch route.access {
            case .permission, .certified: #expect(answer.status == 401, "\(route.method) \(route.path)")
            case .joinToken, .everyone: #expect(answer.status != 401, "\(route.method) \(route.path)")
            }
        }
        let denied = try await harness.ask(.post, "/api/v1/tables", APIHarness.table("t"), as: harness.node)
        #expect(denied.status == 403 && denied["code"] == "NOT_ALLOWED")
    }

    @Test("a table is accepted with its operation; the same key gets the same answer, another body under it is refused")
    func createsTable() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let body = APIHarness.table("t", extra: #","partitions":2,"split_keys":[["m"]]"#)
        let key = ["Idempotency-Key": "one"]
        let first = try await harness.post("/tables", body, headers: key)
        #expect(first.status == 202 && first["status"] == "CREATING" && first["table_arn"] == "coxswain:demo:table/t")
        #expect(first.header("Location") == "/api/v1/operations/\(first["operation_id"])")
        let again = try await harness.post("/tables", body, headers: key)
        #expect(again.status == 202 && again["operation_id"] == first["operation_id"])
        let other = try await harness.post("/tables", APIHarness.table("u"), headers: key)
        #expect(other.status == 422 && other["code"] == "REQUEST_REUSED" && other["field"] == "Idempotency-Key")
        let clash = try await harness.post("/tables", body)
        #expect(clash.status == 409 && clash["code"] == "TABLE_EXISTS")
        let shown = try await harness.get("/tables/t")
        #expect(shown["partition_count"] == "2" && shown["status"] == "CREATING")
        let operation = try await harness.get("/operations/\(first["operation_id"])")
        #expect(
            operation["kind"] == "create-table" && operation["phase"] == "running" && operation["created_by"] == "operator/ada")
    }

    @Test(
        "what is wrong with a table is named by its field, and changes nothing",
        arguments: [
            (#"{"table_name":"#, "MALFORMED_JSON", "body"),
            ("[]", "MALFORMED_JSON", "body"),
            (APIHarness.table("T"), "INVALID_VALUE", "table_name"),
            (APIHarness.table("t", extra: #","colour":"red""#), "INVALID_VALUE", "colour"),
            (APIHarness.table("t", extra: #","replication_factor":5"#), "NOT_ENOUGH_NODES", "replication_factor"),
            (APIHarness.table("t", extra: #","split_keys":[["m"],["b"]]"#), "SPLIT_KEY_OUTSIDE_RANGE", "split_keys"),
            (APIHarness.table("t", extra: #","split_keys":[[7]]"#), "INVALID_KEY", "split_keys[0]"),
            (APIHarness.table("t", extra: #","sort_key":"none""#), "UNKNOWN_COLUMN", "sort_key"),
            (
                #"{"table_name":"t","partition_key":"id","schema":{"attributes":[{"name":"id","type":"varchar"}]}}"#,
                "UNKNOWN_TYPE", "schema.attributes[0].type"
            ),
        ])
    func refusesTables(body: String, code: String, field: String) async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let answer = try await harness.post("/tables", body)
        #expect((400...422).contains(answer.status))
        #expect(answer["code"] == code && answer["field"] == field, "\(answer.text)")
        #expect(answer.header("Content-Type") == "application/problem+json" && !answer["hint"].isEmpty)
        #expect(try await harness.get("/tables").text.contains("\"tables\":[]"))
    }

    @Test("a split key outside the range is told the range in the table's own values")
    func splitKeyOutside() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        _ = try await harness.post("/tables", APIHarness.table("t", extra: #","partitions":2,"split_keys":[["m"]]"#))
        try await harness.makeReady()
        let lower = try #require(
            try await harness.plane.catalog(.local).topology.partitions.values.min { $0.range.low < $1.range.low })
        let answer = try await harness.post("/tables/t/partitions/\(lower.id):split", #"{"key":["z"]}"#)
        #expect(answer.status == 422 && answer["code"] == "SPLIT_KEY_OUTSIDE_RANGE" && answer["field"] == "key")
        #expect(answer["detail"].contains(#"from the beginning to ["m"]"#), "\(answer.text)")
    }

    @Test("verbs after a colon reach the partition, and say what stands in their way")
    func partitionVerbs() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 4)
        _ = try await harness.post("/tables", APIHarness.table("t"))
        try await harness.makeReady()
        let partition = try #require(try await harness.plane.catalog(.local).topology.partitions.values.first)
        let path = "/tables/t/partitions/\(partition.id)"
        let held = partition.inSync[0]
        let present = try await harness.post(path + ":move", #"{"target":"\#(held)"}"#)
        #expect(present.status == 409 && present["field"] == "target")
        let split = try await harness.post(path + ":split", #"{"key":["m"]}"#)
        #expect(split.status == 202 && split["kind"] == "split" && split["cancellable"] == "1")
        let busy = try await harness.post(path + ":split", #"{"key":["n"]}"#)
        #expect(busy.status == 409 && busy["code"] == "PARTITION_BUSY" && busy["retryable"] == "1")
        let cancelled = try await harness.post("/operations/\(split["operation_id"]):cancel")
        #expect(cancelled.status == 202 && cancelled["phase"] == "aborted")
        #expect(try await harness.post(path + ":explode").status == 404)
    }

    @Test("partitions that lie in storages of their own are not merged, and the refusal says so; nor are strangers")
    func mergeVerb() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        _ = try await harness.post("/tables", APIHarness.table("t", extra: #","partitions":2,"split_keys":[["m"]]"#))
        try await harness.makeReady()
        let topology = try await harness.plane.catalog(.local).topology
        let partitions = topology.partitions.values.sorted { $0.range.low < $1.range.low }
        let path = "/tables/t/partitions/\(partitions[0].id):merge"
        for query in ["", "?dry_run=true"] {
            let apart = try await harness.post(path + query, #"{"with":"\#(partitions[1].id)"}"#)
            #expect(apart.status == 409 && apart["code"] == "STORAGES_DIFFER" && apart["field"] == "with", "\(apart.text)")
        }
        let itself = try await harness.post(path, #"{"with":"\#(partitions[0].id)"}"#)
        #expect(itself.status == 422 && itself["code"] == "NOT_NEIGHBOURS", "\(itself.text)")
        let nobody = try await harness.post(path, #"{"with":"77"}"#)
        #expect(nobody.status == 404 && nobody["code"] == "PARTITION_UNKNOWN", "\(nobody.text)")
        let unnamed = try await harness.post(path, "{}")
        #expect(unnamed.status == 400 || unnamed.status == 422, "\(unnamed.text)")
        #expect(unnamed["field"] == "with", "\(unnamed.text)")
    }

    @Test("without a leader everything but the status answers 503 and says when to ask again")
    func leaderless() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        harness.plane.loseLeader()
        for path in ["/tables", "/operations", "/cluster/topology", "/config/global"] {
            let answer = try await harness.get(path)
            #expect(answer.status == 503 && answer["code"] == "NO_LEADER" && answer.header("Retry-After") == "1")
        }
        #expect(try await harness.get("/cluster/topology?consistency=stale").status == 200)
        let status = try await harness.get("/cluster/status")
        #expect(status.status == 200 && status["health"] == "ERROR")
    }

    @Test("what ails a node's engine is a finding, as long as the node has said so a moment ago")
    func engines() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 2)
        let (sick, silent) = (try NodeID("n1"), try NodeID("n2"))
        func reading(_ node: NodeID, age: Span) -> LoadReading {
            let report = NodeReport(
                node: node, session: SessionID(1), revision: .none, machine: MachineLoad(), operationsPerSecond: 0,
                replicationLag: .zero, engine: .degraded("storage 77 cannot be read"), partitions: [], operations: [])
            return LoadReading(report: report, age: age)
        }
        harness.plane.loads.withLock {
            $0 = [sick: reading(sick, age: .seconds(2)), silent: reading(silent, age: .seconds(60))]
        }
        let status = try await harness.get("/cluster/status")
        #expect(status["health"] == "WARN")
        #expect(status.text.contains(#""code":"ENGINE_DEGRADED""#), "\(status.text)")
        #expect(status.text.contains("node n1: storage 77 cannot be read"))
        #expect(!status.text.contains("node n2"))
    }

    @Test("a configuration entry is changed only at the version that the writer saw")
    func configuration() async throws {
        let harness = try APIHarness()
        let path = "/api/v1/config/zones/a/entries/app.colour"
        let made = try await harness.ask(
            .put, path, #"{"value":{"b":1,"a":[true,null]}}"#, headers: ["If-None-Match": "*"], as: harness.root)
        #expect(made.status == 200 && made.text.contains(#""value":{"a":[true,null],"b":1}"#))
        let tag = try #require(made.header("ETag"))
        let changed = try await harness.ask(.put, path, #"{"value":"red"}"#, headers: ["If-Match": tag], as: harness.root)
        #expect(changed.status == 200)
        let stale = try await harness.ask(.put, path, #"{"value":"blue"}"#, headers: ["If-Match": tag], as: harness.root)
        #expect(stale.status == 412 && stale["code"] == "VERSION_MISMATCH")
        #expect(try await harness.get("/config/zones/a")["app.colour"] == "red")
        let wrong = try await harness.ask(.put, "/api/v1/config/global", #"{"replication_factor":99}"#, as: harness.root)
        #expect(wrong.status == 422 && wrong["field"] == "replication_factor")
    }

    @Test("a token carries what the policy allows, signed by the committed key, and is not given without one")
    func tokens() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        _ = try await harness.post("/tables", APIHarness.table("t"))
        let request = #"{"principal_arn":"app","ttl_seconds":60}"#
        #expect(try await harness.post("/tables/t/credentials", request)["code"] == "NO_POLICY")
        let policy = try await harness.ask(
            .put, "/api/v1/tables/t/access-policies/app", #"{"actions":["read"],"effect":"allow"}"#, as: harness.root)
        #expect(policy.status == 200 && !policy["policy_version"].isEmpty)
        #expect(try await harness.post("/tables/t/credentials", request)["code"] == "KEY_NOT_PUBLISHED")
        let key = harness.issuer.signingKey(createdAt: WallTime(milliseconds: 0))
        try await harness.publishKey()
        let made = try await harness.post("/tables/t/credentials", request)
        let parts = made["token"].split(separator: ".").map(String.init)
        try #require(made.status == 201 && parts.count == 3)
        let verifier = try PublicKey(spki: key.publicKey, algorithm: key.algorithm)
        let signature = try #require(Base64URL.decode(parts[2]))
        #expect(verifier.isValid(signature, for: Array("\(parts[0]).\(parts[1])".utf8)))
        #expect(try await harness.ask(.get, "/.well-known/jwks.json", as: nil).text.contains(harness.issuer.keyID))
        #expect(
            try await harness.post("/tables/t/credentials", #"{"principal_arn":"app","ttl_seconds":7200}"#)["field"]
                == "ttl_seconds")
        let revoked = try await harness.post("/credentials:revoke", #"{"token":"\#(made["token"])"}"#)
        #expect(revoked.status == 200 && revoked["jti"] == made["jti"])
        #expect(try await harness.plane.catalog(.local).topology.revokedTokens[made["jti"]] != nil)
    }

    @Test("a node joins with a token that is used up by it, and gets a certificate of its own name")
    func joins() async throws {
        let harness = try APIHarness()
        let token = try await harness.post("/nodes/join-tokens", #"{"ttl_seconds":60,"uses":1}"#)
        #expect(token.status == 201)
        let identity = try PeerIdentity(cluster: "demo", role: .node, name: "n9")
        let request = try CertificateRequest(for: identity, addresses: ["127.0.0.1"], key: try PrivateKey.generate())
        func body(_ node: String) throws -> String {
            String(
                decoding: try JSONSerialization.data(withJSONObject: [
                    "token": token["token"], "node_id": node, "zone": "a", "csr": request.pem,
                ]), as: UTF8.self)
        }
        let other = try await harness.ask(.post, "/api/v1/nodes/join", try body("n8"), as: nil)
        #expect(other.status == 400 && other["field"] == "csr")
        let joined = try await harness.ask(.post, "/api/v1/nodes/join", try body("n9"), as: nil)
        #expect(joined.status == 201, "\(joined.text)")
        #expect(try Certificate(pem: joined["certificate"]).identity() == identity)
        let spent = try await harness.ask(.post, "/api/v1/nodes/join", try body("n9"), as: nil)
        #expect(spent.status == 403 && spent["code"] == "JOIN_TOKEN_REFUSED")
    }
}
