import Catalog
@testable import CoordinatorServer
import Foundation
import HTTPTypes
import Model
import Telemetry
import Testing

/// What operators and their programs get wrong, by accident or not. Nothing of it may reach the log.
@Suite struct HostileRequestTests {
    static let long = String(repeating: "x", count: 70_000)

    @Test(
        "a number or a text that no reader of the log accepts is refused before it is handed in",
        arguments: [
            (HTTPRequest.Method.put, "/config/global/entries/app.k", #"{"value":"\#(long)"}"#),
            (.put, "/config/global", #"{"app.k":"\#(long)"}"#),
            (.put, "/config/global", #"{"\#(long)":1}"#),
            (.put, "/config/global", "{" + (0..<5_000).map { #""app.k\#($0)":1"# }.joined(separator: ",") + "}"),
            (.post, "/operations/9223372036854775807:cancel", ""),
            (.post, "/operations/18446744073709551615:cancel", ""),
            (.put, "/tables/t/capacity", #"{"mode":"PROVISIONED","read_units":9223372036854775807,"write_units":1}"#),
        ])
    func outsideTheLog(method: HTTPRequest.Method, path: String, body: String) async throws {
        let harness = try APIHarness()
        let answer = try await harness.ask(method, "/api/v1" + path, body, as: harness.root)
        #expect(answer.status == 422 && answer["code"] == "INVALID_VALUE", "\(answer.text.prefix(400))")
        #expect(!answer["field"].isEmpty && !answer["hint"].isEmpty)
        #expect(harness.plane.commands == 0)
    }

    @Test("a version beyond all versions is a mismatch or an error of the caller's, and never an entry")
    func hugeVersion() async throws {
        let harness = try APIHarness()
        let answer = try await harness.ask(
            .put, "/api/v1/config/global/entries/app.k", #"{"value":1}"#, headers: ["If-Match": "\"18446744073709551615\""],
            as: harness.root)
        #expect(answer.status == 422 && harness.plane.commands == 0)
    }

    @Test(
        "a count of partitions that cannot be is refused, down to the least integer",
        arguments: ["-9223372036854775808", "-1", "0", "4097", "9223372036854775807"])
    func partitionCounts(count: String) async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let answer = try await harness.post("/tables", APIHarness.table("t", extra: #","partitions":\#(count)"#))
        #expect(answer.status == 400 && answer["field"] == "partitions", "\(answer.text)")
    }

    @Test("a guessed join token costs no entry of the log")
    func guessedToken() async throws {
        let harness = try APIHarness()
        let body = #"{"token":"j1.guess","node_id":"n9","zone":"a","csr":"none"}"#
        let answer = try await harness.ask(.post, "/api/v1/nodes/join", body, as: nil)
        #expect(answer.status == 403 && answer["code"] == "JOIN_TOKEN_REFUSED")
        #expect(harness.plane.commands == 0)
    }

    @Test("no expiry makes a revocation fall over")
    func revocationExpiries() async throws {
        let harness = try APIHarness()
        let now = Int64(Date().timeIntervalSince1970)
        for (name, expiry) in [("near", now + 60), ("never", Int64.max), ("past", Int64.min)] {
            let answer = try await harness.post(
                "/credentials:revoke", #"{"jti":"\#(name)","expires_at_seconds":\#(expiry)}"#)
            #expect(answer.status == 200, "\(answer.text)")
        }
        #expect(try await harness.plane.catalog(.local).topology.revokedTokens.count == 3)
    }

    // MARK: - Trying things

    @Test(
        "a dry run changes nothing, whatever it is asked for",
        arguments: [
            (HTTPRequest.Method.put, "/config/global", #"{"replication_factor":2}"#),
            (.put, "/config/zones/a/entries/app.k", #"{"value":1}"#),
            (.post, "/tables", APIHarness.table("t2")),
            (.put, "/tables/t/capacity", #"{"mode":"PROVISIONED","read_units":5,"write_units":5}"#),
            (.put, "/tables/t/access-policies/app", #"{"actions":["read"]}"#),
            (.post, "/nodes/register", #"{"node_id":"n9","zone":"a","host":"h"}"#),
            (.post, "/nodes/decommission", #"{"node_id":"n1"}"#),
            (.post, "/nodes/drain", #"{"node_id":"n1"}"#),
            (.post, "/nodes/undrain", #"{"node_id":"n1"}"#),
            (.post, "/nodes/join-tokens", "{}"),
            (.post, "/credentials:revoke", #"{"jti":"one"}"#),
            (.delete, "/tables/t", ""),
        ])
    func rehearsals(method: HTTPRequest.Method, path: String, body: String) async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        _ = try await harness.post("/tables", APIHarness.table("t"))
        let before = try await harness.plane.catalog(.local)
        let answer = try await harness.ask(method, "/api/v1\(path)?dry_run=true", body, as: harness.root)
        #expect(answer.status == 200 && answer["dry_run"] == "1", "\(answer.text)")
        #expect(answer["token"].isEmpty)
        #expect(try await harness.plane.catalog(.local) == before)
        let unclear = try await harness.ask(method, "/api/v1\(path)?dry_run=yes", body, as: harness.root)
        #expect(unclear.status == 400 && unclear["field"] == "dry_run")
        #expect(try await harness.plane.catalog(.local) == before)
    }

    @Test("a dry run is refused where the real request would be")
    func rehearsedRefusals() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        _ = try await harness.ask(.put, "/api/v1/config/global", #"{"app.k":1}"#, as: harness.root)
        let stale = try await harness.ask(
            .put, "/api/v1/config/global/entries/app.k?dry_run=true", #"{"value":2}"#, headers: ["If-Match": "\"999\""],
            as: harness.root)
        #expect(stale.status == 412)
        let missing = try await harness.ask(
            .put, "/api/v1/tables/none/capacity?dry_run=true", #"{"mode":"ON_DEMAND"}"#, as: harness.root)
        #expect(missing.status == 404)
    }

    @Test(
        "a query parameter that nobody reads, or that is given twice, is refused by its name, and nothing is done",
        arguments: [
            (HTTPRequest.Method.post, "/tables?dryrun=true", "dryrun", "UNKNOWN_PARAMETER"),
            (.post, "/tables?Dry_run=true", "Dry_run", "UNKNOWN_PARAMETER"),
            (.post, "/tables?dry_run=true&wait=true", "wait", "UNKNOWN_PARAMETER"),
            (.post, "/tables?dry_run", "dry_run", "INVALID_VALUE"),
            (.post, "/tables?dry_run=true&dry_run=false", "dry_run", "REPEATED_PARAMETER"),
            (.post, "/tables?dry_run=true&dry%5Frun=true", "dry_run", "REPEATED_PARAMETER"),
            (.post, "/tables?dry_run=%FF", "dry_run", "MALFORMED_QUERY"),
            (.post, "/tables?consistency=stale", "consistency", "UNKNOWN_PARAMETER"),
            (.delete, "/tables/t?if_empty=1", "if_empty", "UNKNOWN_PARAMETER"),
            (.get, "/tables?dry_run=true", "dry_run", "UNKNOWN_PARAMETER"),
            (.get, "/cluster/status?consistency=stale", "consistency", "UNKNOWN_PARAMETER"),
            (.get, "/config/zones/a?consistency=stale&consistency=stale", "consistency", "REPEATED_PARAMETER"),
        ])
    func unheededParameters(method: HTTPRequest.Method, path: String, field: String, code: String) async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let before = try await harness.plane.catalog(.local)
        let body = method == .post ? APIHarness.table("t2") : ""
        let answer = try await harness.ask(method, "/api/v1" + path, body, as: harness.root)
        #expect(answer.status == 400 && answer["code"] == code && answer["field"] == field, "\(answer.text)")
        #expect(!answer["hint"].isEmpty)
        #expect(try await harness.plane.catalog(.local) == before)
    }

    @Test("every change can be tried, and no other parameter is taken by one; reads of the catalog take their freshness")
    func offeredParameters() async throws {
        let harness = try APIHarness()
        let unread = Set(["/api/v1/cluster/status", "/api/v1/raft/members", "/api/v1/orphans", "/.well-known/jwks.json"])
        for route in harness.api.table {
            let path = route.path.replacingOccurrences(of: "{", with: "").replacingOccurrences(of: "}", with: "")
            let answer = try await harness.ask(route.method, path + "?none_such=1", as: harness.root)
            let offered =
                if route.method != .get {
                    "offered: dry_run"
                } else if route.path.hasSuffix(":watch") {
                    "offered: after, prefix"
                } else {
                    unread.contains(route.path) ? "none is taken here" : "offered: consistency"
                }
            #expect(answer.status == 400 && answer["hint"] == offered, "\(route.method) \(route.path): \(answer.text)")
        }
    }

    // MARK: - Conditions

    @Test("a scope that was read and is sent back is refused when somebody else changed it meanwhile")
    func scopeVersions() async throws {
        let harness = try APIHarness()
        let path = "/api/v1/config/global"
        let first = try await harness.ask(.put, path, #"{"app.colour":"red","app.size":1}"#, as: harness.root)
        _ = try await harness.ask(.put, path, #"{"app.colour":"blue"}"#, as: harness.root)
        let back = try await harness.ask(.put, path, first.text, as: harness.root)
        #expect(back.status == 412 && back["code"] == "VERSION_MISMATCH")
        let fresh = try await harness.get("/config/global")
        #expect(try await harness.ask(.put, path, fresh.text, as: harness.root).status == 200)
        #expect(try await harness.ask(.put, path, #"{"app.a":1,"_versions":{"app.a":"x"}}"#, as: harness.root).status == 400)
    }

    @Test("a condition that a route does not look at is refused, not passed over")
    func unheededConditions() async throws {
        let harness = try APIHarness()
        try await harness.start(nodes: 3)
        let path = "/api/v1/config/global"
        let scope = try await harness.ask(.put, path, #"{"app.k":1}"#, headers: ["If-Match": "\"1\""], as: harness.root)
        #expect(scope.status == 400 && scope["code"] == "PRECONDITION_NOT_OFFERED" && scope["field"] == "If-Match")
        #expect(try await harness.plane.catalog(.local).topology.configuration.isEmpty)
        let absent = try await harness.ask(
            .put, path + "/entries/app.k", #"{"value":1}"#, headers: ["If-Match": "*"], as: harness.root)
        #expect(absent.status == 412)
    }

    // MARK: - Forms

    @Test("a wrong method is told which there are, in the field that clients read")
    func allowed() async throws {
        let harness = try APIHarness()
        let answer = try await harness.ask(.patch, "/api/v1/tables", as: harness.root)
        #expect(answer.status == 405 && answer.header("Allow") == "GET, POST")
    }

    @Test(
        "a name that stands twice in one object is refused by its path, however it is spelled and whatever the route",
        arguments: [
            (HTTPRequest.Method.post, "/tables", #"{"table_name":"t","partition_key":"id","table_name":"u"}"#, "table_name"),
            (
                .post, "/tables", #"{"a\"}{":[{},["x"]],"schema":{"attributes":[{"name":"a"},{"name":"id","na\u006de":"b"}]}}"#,
                "schema.attributes[1].name"
            ),
            (.put, "/config/global", #"{"app.a":1,"app.b":{"c":1},"app.a":2}"#, "app.a"),
            (.put, "/config/global", #"{"app.b":{"c":[1,{"d":1,"e":{"d":1},"d":2}]}}"#, "app.b.c[1].d"),
            (.put, "/config/global/entries/app.k", #"{"value":1,"value":2}"#, "value"),
            (.post, "/operators/credentials", #"{"principal":"a","role":"viewer","role":"root"}"#, "role"),
        ])
    func repeatedNames(method: HTTPRequest.Method, path: String, body: String, field: String) async throws {
        let harness = try APIHarness()
        let answer = try await harness.ask(method, "/api/v1" + path, body, as: harness.root)
        #expect(answer.status == 400 && answer["field"] == field && answer["detail"].contains("twice"), "\(answer.text)")
        #expect(harness.plane.commands == 0)
    }

    @Test("the same name in other objects, in values and in texts is no repetition")
    func namesApart() async throws {
        let harness = try APIHarness()
        let body = #"{"app.a":{"a":1,"b":{"a":"a\":1,\"a"}},"app.b":["a","a",{"a":1},{"a":1}],"app.c":"app.a"}"#
        let answer = try await harness.ask(.put, "/api/v1/config/global", body, as: harness.root)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(JSONNames.firstRepeated(in: Array(#"{"a":1,"a"#.utf8)) == nil)
        #expect(JSONNames.firstRepeated(in: Array(#"}],"{"#.utf8)) == nil)
    }

    @Test("a body in another encoding than UTF-8 is not JSON to us")
    func encodings() throws {
        let call = Call(
            method: .put, path: "", parameters: [:], query: [:], headers: [:],
            body: Array(Data(#"{"a":1}"#.data(using: .utf16LittleEndian) ?? Data())), caller: nil)
        #expect(throws: Problem.self) { try call.members() }
    }

    @Test("escapes and numbers are taken in one form only", arguments: ["/tables/t%+5", "/tables/%", "/operations/+26"])
    func forms(path: String) async throws {
        let harness = try APIHarness()
        #expect(try await harness.get(path).status == 400)
    }
}
