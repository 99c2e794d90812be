import Access
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import KeyEncoding
import Logging
import Model
import NIOCore
import NIOEmbedded
import RoutingTable
import Synchronization
import Testing

@testable import AgentServer

@Suite struct GatewayTests {
    // MARK: Good requests

    @Test("a row that was put is read, scanned and deleted, in every type")
    func rows() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let body =
            #"{"name":"käse","size":"9223372036854775807","blob":"AAH_","good":true,"weight":0.5,"at":"2026-11-21T04:30:00.25Z"}"#
        let put = try await world.call(.put, "rows?key=[1]", body)
        #expect(put.status == 200)
        #expect(put.body == #"{"partition":10,"epoch":3,"position":{"epoch":3,"run":1,"sequence":1}}"#)
        let row =
            #"{"id":1,"name":"käse","size":"9223372036854775807","blob":"AAH_","good":true,"weight":0.5,"at":"2026-11-21T04:30:00.25Z"}"#
        #expect(try await world.call(.get, "rows?key=[1]").body == #"{"row":\#(row),"partition":10,"epoch":3}"#)
        #expect(try await world.call(.get, "rows?key=%5B%221%22%5D&consistency=eventual").status == 200)
        #expect(
            try await world.call(.get, "rows?from=[0]&to=[5]").body
                == #"{"rows":[\#(row)],"next":null,"partition":10,"epoch":3}"#)
        #expect(try await world.call(.delete, "rows?key=[1]").status == 200)
        #expect(try await world.call(.get, "rows?key=[1]").code == "ROW_NOT_FOUND")
    }

    @Test("each kind of write goes under the key that came with it (R8), and a key that is none is refused")
    func idempotencyKeys() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let texts = (0..<3).map { "017f22e2-79b0-7cc3-98c4-dc0c0c07398\($0)" }
        let batch = #"{"operations":[{"op":"delete","key":[1]}]}"#
        #expect(try await world.call(.put, "rows?key=[1]", "{}", idempotencyKey: texts[0]).status == 200)
        #expect(try await world.call(.delete, "rows?key=[1]", idempotencyKey: texts[1]).status == 200)
        #expect(try await world.call(.post, "rows:batch", batch, idempotencyKey: texts[2]).status == 200)
        #expect(try await world.call(.put, "rows?key=[1]", "{}").status == 200)
        #expect(world.plane.keys.withLock { $0.map { $0?.description } } == texts + [nil])
        let refused = try await world.call(.put, "rows?key=[1]", "{}", idempotencyKey: "abc")
        #expect(refused.status == 400 && refused.code == "INVALID_IDEMPOTENCY_KEY")
        #expect(refused.members["field"] as? String == "Idempotency-Key")
    }

    @Test("a read that names no consistency takes the one that is configured, for the node before its zone before all")
    func configuredConsistency() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        func set(_ scope: ConfigurationScope, _ value: String) -> TopologyChange {
            .configuration(ConfigurationEntry(scope: scope, key: "consistency_level", value: value, version: 1))
        }
        func read(_ query: String = "") async throws -> [RowConsistency] {
            _ = try await world.call(.get, "rows?key=[1]" + query)
            return world.plane.takeReads()
        }
        #expect(try await read() == [.strong])
        try world.plane.configure([set(.global, #""eventual""#)])
        #expect(try await read() == [.eventual])
        #expect(try await read("&consistency=strong") == [.strong])
        try world.plane.configure([set(.zone(try ZoneName("a")), #""strong""#), set(.zone(try ZoneName("b")), #""eventual""#)])
        #expect(try await read() == [.strong])
        try world.plane.configure([set(.node(try NodeID("n1")), #""eventual""#)])
        #expect(try await read() == [.eventual])
    }

    @Test("a bounded read asks for the age that it names, else for the one that is configured; another read names none")
    func boundedReads() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        func read(_ query: String) async throws -> GatewayWorld.Answer { try await world.call(.get, "rows?key=[1]" + query) }
        _ = try await read("&consistency=bounded&max_staleness_ms=250")
        _ = try await read("&consistency=bounded")
        #expect(world.plane.takeReads() == [.bounded, .bounded])
        #expect(world.plane.ages.withLock { $0 } == [.milliseconds(250), .seconds(1)])
        for bad in [
            "&consistency=bounded&max_staleness_ms=0", "&consistency=bounded&max_staleness_ms=x", "&max_staleness_ms=5",
        ] {
            let refused = try await read(bad)
            #expect(refused.status == 400 && refused.code == "INVALID_MAX_STALENESS", "\(refused)")
        }
        world.plane.refuse(.tooStale(age: .seconds(3)))
        let stale = try await read("&consistency=bounded")
        #expect(stale.status == 503 && stale.code == "TOO_STALE")
        #expect((stale.members["partition"] as? [String: Any])?["gateway"] as? String == "127.0.0.1:1")
    }

    @Test("what is read is counted where it lies: a row at its key, a scan where it begins")
    func countsReads() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        for query in ["rows?key=[1]", "rows?from=[2]", "rows?from=[1]&consistency=eventual"] {
            _ = try await world.call(.get, query)
        }
        let layout = KeyLayout(try #require(world.plane.routes.topology.tables.values.first))
        let keys = [try layout.key(of: [.integer(1)]), try layout.bound(text: "[2]"), try layout.bound(text: "[1]")]
        #expect(world.plane.readKeys.withLock { $0.map(\.1) } == keys)
    }

    @Test("what was read of a replica that was dropped meanwhile is not answered")
    func droppedBeneathRead() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        #expect(try await world.call(.put, "rows?key=[1]", #"{"name":"a"}"#).status == 200)
        for consistency in ["eventual", "bounded"] {
            #expect(try await world.call(.get, "rows?key=[1]&consistency=\(consistency)").status == 200)
            world.plane.isDroppedBeneathReads.withLock { $0 = true }
            for query in ["rows?key=[1]&consistency=\(consistency)", "rows?consistency=\(consistency)"] {
                #expect(try await world.call(.get, query).status == 421)
            }
            world.plane.isDroppedBeneathReads.withLock { $0 = false }
        }
    }

    @Test("a scan's pages lead from one partition to the next and end at its bound")
    func pages() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        for id in [1, 2, 3, 1_500] { #expect(try await world.call(.put, "rows?key=[\(id)]", "{}").status == 200) }
        let first = try await world.call(.get, "rows?limit=2")
        #expect(first.members["next"] as? String == "[3]")
        let second = try await world.call(.get, "rows?from=[3]&limit=2")
        #expect((second.members["rows"] as? [Any])?.count == 1 && second.members["next"] as? String == "[1000]")
        let third = try await world.call(.get, "rows?from=[1000]")
        #expect(third.members["partition"] as? Int == 11 && third.members["next"] as? String == "[2000]")
    }

    @Test("a batch is one entry; over two partitions it is refused")
    func batches() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let good =
            #"{"operations":[{"op":"put","row":{"id":1,"name":"a"}},{"op":"put","key":[2],"row":{"name":"b"}},{"op":"delete","key":[1]}]}"#
        #expect(try await world.call(.post, "rows:batch", good).status == 200)
        #expect(try await world.call(.get, "rows?key=[1]").status == 404)
        #expect(try await world.call(.get, "rows?key=[2]").status == 200)
        let crossing = #"{"operations":[{"op":"put","row":{"id":1}},{"op":"put","row":{"id":2000}}]}"#
        let refused = try await world.call(.post, "rows:batch", crossing)
        #expect(
            refused.status == 422 && refused.code == "CROSS_PARTITION"
                && refused.members["field"] as? String == "body.operations[1]")
    }

    @Test("the table's routes name columns, bounds and gateways")
    func routes() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let answer = try await world.call(.get, "routes")
        let partitions = try #require(answer.members["partitions"] as? [[String: Any]])
        #expect(partitions.count == 3 && partitions[1]["from"] as? String == "[1000]")
        #expect(partitions[2]["gateway"] as? String == "127.0.0.1:2" && partitions[0]["primary"] as? String == "n1")
    }

    // MARK: Bad requests

    @Test(
        "every bad request is told what is wrong and where, and changes nothing",
        arguments: [
            Bad(.put, "rows?key=[1]", #"{"nmae":"x"}"#, 400, "UNKNOWN_COLUMN", "body.nmae"),
            Bad(.put, "rows?key=[1]", #"{"good":"yes"}"#, 400, "WRONG_TYPE", "body.good"),
            Bad(.put, "rows?key=[1]", #"{"size":9223372036854775808}"#, 400, "WRONG_TYPE", "body.size"),
            Bad(.put, "rows?key=[1]", #"{"at":"yesterday"}"#, 400, "WRONG_TYPE", "body.at"),
            Bad(.put, "rows?key=[1]", #"{"blob":"=="}"#, 400, "WRONG_TYPE", "body.blob"),
            Bad(.put, "rows?key=[1]", #"{"weight":"NaN"}"#, 400, "WRONG_TYPE", "body.weight"),
            Bad(.put, "rows?key=[1]", #"{"name":["x"]}"#, 400, "INVALID_VALUE", "body.name"),
            Bad(.put, "rows?key=[1]", #"{"id":2}"#, 400, "KEY_MISMATCH", "body"),
            Bad(.put, "rows?key=[1]", #"{"id":null}"#, 400, "MISSING_KEY_COLUMN", "body.id"),
            Bad(.put, "rows?key=[1]", "{", 400, "MALFORMED_BODY", "body"),
            Bad(.put, "rows?key=[1]", "[]", 400, "MALFORMED_BODY", "body"),
            Bad(.put, "rows?key=[1]", "", 400, "MALFORMED_BODY", "body"),
            Bad(.put, "rows", "{}", 400, "MISSING_PARAMETER", "key"),
            Bad(.put, "rows?key=[]", "{}", 400, "INVALID_KEY", "key"),
            Bad(.put, "rows?key=[1,2]", "{}", 400, "INVALID_KEY", "key"),
            Bad(.put, "rows?key=[%22a%22]", "{}", 400, "INVALID_KEY", "key"),
            Bad(.get, "rows?key=1", "", 400, "INVALID_KEY", "key"),
            Bad(.get, "rows?key=[1]&consistency=maybe", "", 400, "INVALID_CONSISTENCY", "consistency"),
            Bad(.get, "rows?Key=[1]", "", 400, "UNKNOWN_PARAMETER", "Key"),
            Bad(.get, "rows?key=[1]&key=[2]", "", 400, "REPEATED_PARAMETER", "key"),
            Bad(.get, "rows?key=[1]&%6Bey=[1]", "", 400, "REPEATED_PARAMETER", "key"),
            Bad(.get, "rows?key=[1]&limit=5", "", 400, "UNKNOWN_PARAMETER", "limit"),
            Bad(.get, "rows?from=[1]&form=[2]", "", 400, "UNKNOWN_PARAMETER", "form"),
            Bad(.get, "rows?key=%FF", "", 400, "MALFORMED_QUERY", "key"),
            Bad(.get, "routes?key=[1]", "", 400, "UNKNOWN_PARAMETER", "key"),
            Bad(.put, "rows?key=[1]&key=[2]", "{}", 400, "REPEATED_PARAMETER", "key"),
            Bad(.put, "rows?key=[1]&if_absent=true", "{}", 400, "UNKNOWN_PARAMETER", "if_absent"),
            Bad(.delete, "rows?key=[1]&consistency=strong", "", 400, "UNKNOWN_PARAMETER", "consistency"),
            Bad(
                .post, "rows:batch?dry_run=true", #"{"operations":[{"op":"put","row":{"id":1}}]}"#, 400, "UNKNOWN_PARAMETER",
                "dry_run"),
            Bad(.get, "rows?limit=0", "", 400, "INVALID_LIMIT", "limit"),
            Bad(.get, "rows?from=[2]&to=[2]", "", 400, "EMPTY_RANGE", "to"),
            Bad(.post, "rows:batch", #"{"operations":[]}"#, 422, "BATCH_LENGTH", "body.operations"),
            Bad(.post, "rows:batch", #"{"operations":[{"op":"drop"}]}"#, 400, "INVALID_VALUE", "body.operations[0].op"),
            Bad(.post, "rows:batch", #"{"operations":[{"op":"delete"}]}"#, 400, "MALFORMED_BODY", "body.operations[0].key"),
            Bad(
                .post, "rows:batch", #"{"operations":[{"op":"put","row":{}}]}"#, 400, "MISSING_KEY_COLUMN",
                "body.operations[0].row.id"),
            Bad(.post, "rows", "{}", 405, "METHOD_NOT_ALLOWED", "method"),
            Bad(.get, "columns", "", 404, "NOT_FOUND", "path"),
        ])
    func refusals(bad: Bad) async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let answer = try await world.call(bad.method, bad.path, bad.body)
        #expect(answer.status == bad.status && answer.code == bad.code, "\(answer.body)")
        #expect(answer.members["field"] as? String == bad.field, "\(answer.body)")
        #expect(answer.contentType == "application/problem+json" && world.plane.writes == 0)
    }

    @Test("a member of a batch that nobody reads is refused, for it may be a condition that its writer relies on")
    func unknownMembers() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        for (body, field) in [
            (#"{"operations":[{"op":"delete","key":[1],"if":"absent"}]}"#, "body.operations[0].if"),
            (#"{"operations":[{"op":"delete","key":[1]}],"atomic":false}"#, "body.atomic"),
        ] {
            let answer = try await world.call(.post, "rows:batch", body)
            #expect(answer.status == 400 && answer.members["field"] as? String == field, "\(answer.body)")
        }
    }

    @Test(
        "a name that stands twice in a row or in a batch is refused by its path, however it is spelled",
        arguments: [
            ("rows?key=[1]", #"{"name":"a","name":"b"}"#, "body.name"),
            ("rows?key=[1]", #"{"name":"a","good":true,"n\u0061me":"b"}"#, "body.name"),
            (
                "rows:batch", #"{"operations":[{"op":"put","row":{"id":1,"name":"a","name":"b"}}]}"#,
                "body.operations[0].row.name"
            ),
            (
                "rows:batch", #"{"operations":[{"op":"delete","key":[1]},{"op":"delete","key":[1],"key":[2]}]}"#,
                "body.operations[1].key"
            ),
            (
                "rows:batch", #"{"operations":[{"op":"delete","key":[1]}],"operations":[{"op":"delete","key":[2]}]}"#,
                "body.operations"
            ),
        ])
    func repeatedNames(path: String, body: String, field: String) async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let answer = try await world.call(path == "rows:batch" ? .post : .put, path, body)
        #expect(answer.status == 400 && answer.code == "INVALID_VALUE", "\(answer.body)")
        #expect(answer.members["field"] as? String == field && answer.body.contains("twice"), "\(answer.body)")
        #expect(world.plane.writes == 0)
    }

    @Test("the same name in several rows, in keys and in texts is no repetition")
    func namesApart() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let body =
            #"{"operations":[{"op":"put","row":{"id":1,"name":"name\",\"name"}},{"op":"put","key":[2],"row":{"id":2,"name":"name"}}]}"#
        #expect(try await world.call(.post, "rows:batch", body).status == 200)
    }

    @Test("a row above the limit is refused with the limit named")
    func oversize() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let text = String(repeating: "x", count: Limits.rowBytes)
        let row = try await world.call(.put, "rows?key=[1]", #"{"name":"\#(text)"}"#)
        #expect(row.status == 413 && row.code == "ROW_TOO_LARGE" && row.body.contains("\(Limits.rowBytes)"))
        let body = try await world.call(.put, "rows?key=[1]", #"{"name":"\#(text)\#(text)"}"#)
        #expect(body.status == 413 && body.code == "BODY_TOO_LARGE")
    }

    @Test("who shows no good token learns nothing of the table")
    func tokens() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        #expect(try await world.call(.get, "rows?key=[1]", token: nil).code == "TOKEN_MISSING")
        #expect(try await world.call(.get, "rows?key=[1]", table: "nothing", token: nil).status == 401)
        #expect(try await world.call(.put, "rows?key=[1]", "{}", token: "reader").status == 403)
        #expect(try await world.call(.get, "rows?key=[1]", table: "nothing").code == "TABLE_NOT_FOUND")
        #expect(try await world.call(.get, "rows?key=[1]", table: "No").code == "INVALID_NAME")
    }

    // MARK: What the partition's owner says

    @Test("a partition that lives elsewhere is named with its epoch, primary and gateway")
    func elsewhere() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let answer = try await world.call(.get, "rows?key=[5000]")
        #expect(answer.status == 421 && answer.code == "NOT_HERE")
        let partition = try #require(answer.members["partition"] as? [String: Any])
        #expect(partition["id"] as? Int == 12 && partition["epoch"] as? Int == 4)
        #expect(partition["primary"] as? String == "n2" && partition["gateway"] as? String == "127.0.0.1:2")
        #expect(partition["from"] as? String == "[2000]" && partition["to"] is NSNull)
    }

    @Test(
        "what stands in the way of a write has a code of its own and says when to come again",
        arguments: [
            (DataRefusal.fenced, 503, "PARTITION_FENCED"), (.notEnoughInSync(have: 1, need: 2), 503, "NOT_ENOUGH_IN_SYNC"),
            (.noLease, 503, "NO_LEASE"), (.recovering, 503, "RECOVERING"), (.overloaded, 429, "OVERLOADED"),
            (.outcomeUnknown("lost"), 504, "OUTCOME_UNKNOWN"), (.unavailable("stopping"), 503, "UNAVAILABLE"),
            (.diskFull("nearly full"), 507, "DISK_NEARLY_FULL"),
        ])
    func obstacles(refusal: DataRefusal, status: Int, code: String) async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        world.plane.refuse(refusal)
        let answer = try await world.call(.put, "rows?key=[1]", "{}")
        #expect(answer.status == status && answer.code == code)
        #expect((answer.members["retryable"] as? Bool) == (code != "OUTCOME_UNKNOWN"))
        #expect((answer.retryAfter != nil) == ([503, 429, 507].contains(status)))
    }

    /// The first partition, in an epoch later than the one that the gateway knows at first.
    private func handedOver(_ plane: GatewayWorld.Plane, to primary: String = "n1") -> PartitionDescriptor {
        var partition = plane.local[0].0
        partition.epoch = partition.epoch.next
        partition.primary = try? NodeID(primary)
        return partition
    }

    @Test(
        "a write that comes while its partition changes hands waits for the end of that, and goes to what came of it (M4)",
        arguments: [DataRefusal.fenced, .recovering])
    func waitsForHandOver(refusal: DataRefusal) async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        world.plane.refuse(refusal)
        let next = handedOver(world.plane)
        world.plane.handOver.withLock {
            $0 = { plane, id in
                try? plane.configure([.partition(next)])
                plane.refuse(nil)
                return id == next.id
            }
        }
        let answer = try await world.call(.put, "rows?key=[1]", "{}")
        #expect(answer.status == 200 && answer.members["epoch"] as? Int == Int(next.epoch.number), "\(answer.body)")
        #expect(world.plane.writes == 1)
    }

    @Test("a write whose partition went to another node while it waited is told where it is (E3)")
    func toldAfterHandOver() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        world.plane.refuse(.fenced)
        let next = handedOver(world.plane, to: "n2")
        world.plane.handOver.withLock {
            $0 = { plane, _ in
                try? plane.configure([.partition(next)])
                plane.refuse(.notHere(next))
                return true
            }
        }
        let answer = try await world.call(.put, "rows?key=[1]", "{}")
        #expect(answer.status == 421 && world.plane.writes == 0)
        #expect((answer.members["partition"] as? [String: Any])?["primary"] as? String == "n2")
    }

    @Test("a write that is refused again and again is not tried for ever, however short its waits are")
    func boundsTries() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        world.plane.refuse(.recovering)
        world.plane.handOver.withLock { $0 = { _, _ in true } }
        #expect(try await world.call(.put, "rows?key=[1]", "{}").code == "RECOVERING")
        #expect((2...20).contains(world.plane.keys.withLock { $0.count }))
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let method: HTTPRequest.Method
        let path: String
        let body: String
        let status: Int
        let code: String
        let field: String

        init(_ method: HTTPRequest.Method, _ path: String, _ body: String, _ status: Int, _ code: String, _ field: String) {
            (self.method, self.path, self.body, self.status, self.code, self.field) = (method, path, body, status, code, field)
        }

        var testDescription: String { "\(method) \(path) \(body)" }
    }
}
