import Access
import CoreMetrics
import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import KeyEncoding
import Logging
import Model
import NIOCore
import RoutingTable
import Telemetry
import Transport

// What clients call. The gateway of the primary's node orders and reads; another node's refuses with the descriptor of the
// partition, so that the caller's route is mended by the refusal (rule E3).
//
//   GET|PUT|DELETE /v1/tables/{table}/rows?key=[…]             one row; GET takes consistency=strong|eventual|bounded
//   GET            /v1/tables/{table}/rows?from=&to=&limit=    a page of one partition's rows, `next` says where to go on
//   POST           /v1/tables/{table}/rows:batch               {"operations":[…]}, atomic in one partition
//   A write with an Idempotency-Key, a version 7 UUID, happens once, however often it is sent within ten minutes.
//   GET            /v1/tables/{table}/routes                   the table's columns, partitions and gateways

/// Answers data requests.
struct GatewayResponder: HTTPResponder {
    typealias Context = BasicRequestContext

    let plane: any DataPlane
    let engine: any StorageEngine
    let tokens: any TokenChecking
    var meters = AgentMeters()
    let logger: Logger

    func respond(to request: Request, context: Context) async throws -> Response {
        do throws(GatewayProblem) {
            return try await answer(request)
        } catch {
            if error.status == .misdirectedRequest { meters.staleRejects.increment(by: 1) }
            if error.status.code >= 500, error.status != .serviceUnavailable {
                logger.debug("refused", metadata: ["code": "\(error.code)", "detail": "\(error.detail)"])
            }
            return error.response
        }
    }

    private func answer(_ request: Request) async throws(GatewayProblem) -> Response {
        let parts = request.uri.path.split(separator: "/", omittingEmptySubsequences: true)
        guard parts.count == 4, parts[0] == "v1", parts[1] == "tables" else {
            throw GatewayProblem(
                .notFound, "NOT_FOUND", "no such resource", hint: "rows are at /v1/tables/{table}/rows", field: "path")
        }
        let name: RelationName
        do throws(InvalidValue) { name = try RelationName(String(parts[2])) } catch {
            throw .badRequest(
                "INVALID_NAME", error.description, hint: "the path is /v1/tables/{table}/rows", field: "table")
        }
        let routes = plane.routes
        switch (parts[3], request.method) {
        case ("rows", .get):
            let table = try admit(request, .read, name, routes)
            let query = try query(of: request, offered: ["key", "from", "to", "limit"] + Self.freshness)
            guard query["key"] != nil else { return try await scan(query, table, routes) }
            // What bounds a page has no meaning for one row.
            return try await get(try self.query(of: request, offered: ["key"] + Self.freshness), table, routes)
        case ("rows", .put):
            let table = try admit(request, .write, name, routes)
            let key = try key(of: try query(of: request, offered: ["key"]), in: table.table)
            let body = try await self.body(of: request, limit: 2 * Limits.rowBytes)
            let row = try RowReading.document([String: DocumentScalar].self, from: body)
            return try await write(
                [try RowReading(table.table).put(row, under: key, place: "body")], idempotencyKey(of: request), to: table,
                routes)
        case ("rows", .delete):
            let table = try admit(request, .write, name, routes)
            let key = try key(of: try query(of: request, offered: ["key"]), in: table.table)
            return try await write([.delete(key: key)], idempotencyKey(of: request), to: table, routes)
        case ("rows:batch", .post):
            let table = try admit(request, .write, name, routes)
            _ = try query(of: request, offered: [])
            let body = try await body(of: request, limit: 2 * Limits.batchBytes)
            return try await batch(body, idempotencyKey(of: request), table, routes)
        case ("routes", .get):
            let table = try admit(request, .read, name, routes)
            _ = try query(of: request, offered: [])
            return JSONText.response(.ok, RouteText.table(table, in: routes))
        case ("rows", _): throw .notOffered(request.method, but: "GET, PUT, DELETE")
        case ("rows:batch", _): throw .notOffered(request.method, but: "POST")
        case ("routes", _): throw .notOffered(request.method, but: "GET")
        default:
            throw GatewayProblem(
                .notFound, "NOT_FOUND", "no such resource", hint: "rows are at /v1/tables/{table}/rows", field: "path")
        }
    }

    /// The table, if the bearer may do `action` with it. Who may not is told so before anything of the table shows.
    private func admit(
        _ request: Request, _ action: TableAction, _ name: RelationName, _ routes: Routes
    ) throws(GatewayProblem) -> TableRoutes {
        try judge(request, action, name, routes)
        guard let table = routes.table(name), table.table.status != .deleting else {
            throw GatewayProblem(
                .notFound, "TABLE_NOT_FOUND", "no table '\(name)' at revision \(routes.revision)",
                hint: "list the tables; names are lower case", field: "table")
        }
        guard table.table.status == .active else {
            throw GatewayProblem(
                .serviceUnavailable, "TABLE_CREATING", "table '\(name)' is being created", hint: "ask again", field: "table",
                retryAfter: .milliseconds(200))
        }
        return table
    }

    private func judge(
        _ request: Request, _ action: TableAction, _ name: RelationName, _ routes: Routes
    ) throws(GatewayProblem) {
        let start = ContinuousClock.now
        defer { meters.verification.recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1))) }
        do throws(TokenRefusal) {
            _ = try tokens.verify(
                authorization: request.headers[.authorization], for: AccessRequest(table: name, action: action),
                under: routes.topology, at: BootClock.wallTime())
        } catch { throw GatewayProblem(error) }
    }

    // MARK: Reading

    private func get(_ query: QueryFields, _ table: TableRoutes, _ routes: Routes) async throws(GatewayProblem) -> Response {
        let key = try key(of: query, in: table.table)
        let partition = try route(key, in: table)
        let values = try await read(query, partition, at: key, routes) {
            (storage) async throws(EngineError) in try await engine.get(key, in: storage)
        }
        guard let values else {
            throw GatewayProblem(.notFound, "ROW_NOT_FOUND", "no row under this key", hint: "write it first", field: "key")
        }
        return JSONText.response(
            .ok,
            JSONText.object([
                ("row", JSONText.row(values, of: table.table.columns)), ("partition", partition.id.description),
                ("epoch", String(partition.epoch.number)),
            ]))
    }

    private func scan(_ query: QueryFields, _ table: TableRoutes, _ routes: Routes) async throws(GatewayProblem) -> Response {
        let layout = KeyLayout(table.table)
        let low = try bound(query, "from", layout) ?? .least
        let high = try bound(query, "to", layout)
        var limit = 1_000
        if let text = query["limit"] {
            guard let number = Int(text), (1...Limits.scanRows).contains(number) else {
                throw .badRequest(
                    "INVALID_LIMIT", "limit is 1 to \(Limits.scanRows)", hint: "read page by page", field: "limit")
            }
            limit = number
        }
        guard let range = KeyRange(checkingLow: low, high: high) else {
            throw .badRequest("EMPTY_RANGE", "'to' is not above 'from'", hint: "'to' is where to stop before", field: "to")
        }
        let partition = try route(low, in: table)
        // One page never leaves one partition; what follows may live at another gateway.
        let end = [range.high, partition.range.high].compactMap { $0 }.min()
        let part = KeyRange(low: low, high: end)
        let rows = limit
        let page = try await read(query, partition, at: low, routes) { (storage) async throws(EngineError) in
            try await engine.scan(part, in: storage, rowLimit: rows, byteLimit: Limits.scanBytes)
        }
        let following = page.next ?? (end == range.high ? nil : end)
        let next: String?
        do throws(KeyError) { next = try following.map { key throws(KeyError) in try layout.text(of: key) } } catch {
            throw GatewayProblem(.internalServerError, "INVALID_BOUND", error.description)
        }
        return JSONText.response(
            .ok,
            JSONText.object([
                ("rows", JSONText.array(page.rows.map { JSONText.row($0.values, of: table.table.columns) })),
                ("next", JSONText.optional(next)), ("partition", partition.id.description),
                ("epoch", String(partition.epoch.number)),
            ]))
    }

    private static let freshness = ["consistency", "max_staleness_ms"]

    /// The consistency that the request asks for; where it names none, the one that is configured for this node: strong, unless an
    /// operator set another (rules R2, M9).
    private func consistency(of query: QueryFields, _ routes: Routes) throws(GatewayProblem) -> RowConsistency {
        guard let named = query["consistency"] else {
            let rule = ConfigurationRules.consistencyLevel
            return routes.topology.configured(rule, at: routes.topology.nodes[plane.node]) ?? rule.standard
        }
        guard let consistency = RowConsistency(rawValue: named) else {
            throw .badRequest(
                "INVALID_CONSISTENCY", "consistency is \(RowConsistency.allCases.map(\.rawValue).joined(separator: ", "))",
                hint: "where none is named, the entry consistency_level decides", field: "consistency")
        }
        return consistency
    }

    /// How old the answer to a bounded read may be.
    private func maxStaleness(
        of query: QueryFields, _ consistency: RowConsistency, _ routes: Routes
    ) throws(GatewayProblem) -> Span {
        let rule = ConfigurationRules.maxStaleness
        guard let named = query["max_staleness_ms"] else {
            return .milliseconds(
                Int64(routes.topology.configured(rule, at: routes.topology.nodes[plane.node]) ?? rule.standard))
        }
        guard consistency == .bounded, let milliseconds = Int(named), rule.range.contains(milliseconds) else {
            throw .badRequest(
                "INVALID_MAX_STALENESS",
                consistency == .bounded
                    ? "max_staleness_ms is a number of milliseconds, \(rule.range.lowerBound) to \(rule.range.upperBound)"
                    : "a \(consistency.rawValue) read takes no max_staleness_ms",
                hint: "it goes with consistency=bounded", field: "max_staleness_ms")
        }
        return .milliseconds(Int64(milliseconds))
    }

    private func read<Result: Sendable>(
        _ query: QueryFields, _ partition: PartitionDescriptor, at key: Key, _ routes: Routes,
        _ body: (StorageID) async throws(EngineError) -> Result
    ) async throws(GatewayProblem) -> Result {
        let consistency = try consistency(of: query, routes)
        let age = try maxStaleness(of: query, consistency, routes)
        plane.readAsked(of: partition.id, at: key)
        let storage: StorageID
        do throws(DataRefusal) {
            switch consistency {
            case .strong: storage = try await plane.strongRead(of: partition.id, at: partition.epoch).storage
            case .eventual: storage = try await plane.localRead(of: partition.id).storage
            case .bounded:
                storage = try await plane.boundedRead(of: partition.id, at: partition.epoch, within: age).storage
            }
        } catch { throw GatewayProblem(error, routedTo: partition, in: plane.routes) }
        let result: Result
        do throws(EngineError) { result = try await body(storage) } catch {
            if error.isDamage { plane.damageFound(in: partition.id, "\(error)") }
            throw GatewayProblem(error)
        }
        do throws(DataRefusal) {
            switch consistency {
            case .strong: try await plane.confirmStrongRead(of: partition.id, at: partition.epoch)
            case .eventual, .bounded: try await plane.confirmLocalRead(of: partition.id, in: storage)
            }
        } catch { throw GatewayProblem(error, routedTo: partition, in: plane.routes) }
        return result
    }

    // MARK: Writing

    private func batch(
        _ body: Data, _ idempotencyKey: IdempotencyKey?, _ table: TableRoutes, _ routes: Routes
    ) async throws(GatewayProblem) -> Response {
        let document = try RowReading.document(BatchDocument.self, from: body)
        guard (1...Limits.batchMutations).contains(document.operations.count) else {
            throw GatewayProblem(
                .unprocessableContent, "BATCH_LENGTH",
                "\(document.operations.count) operations; 1 to \(Limits.batchMutations) are taken",
                hint: "send several batches", field: "body.operations")
        }
        let reading = RowReading(table.table)
        var mutations: [Mutation] = []
        var bytes = 0
        for (index, operation) in document.operations.enumerated() {
            let mutation = try reading.mutation(operation, at: index)
            bytes += Self.loggedBytes(mutation)
            mutations.append(mutation)
        }
        guard bytes <= Limits.batchBytes else {
            throw .tooLarge("BATCH_TOO_LARGE", bytes: bytes, limit: Limits.batchBytes, field: "body.operations")
        }
        return try await write(mutations, idempotencyKey, to: table, routes)
    }

    /// A little more than the mutation takes in the log.
    private static func loggedBytes(_ mutation: Mutation) -> Int {
        switch mutation {
        case .put(let key, let values): Row(key: key, values: values).byteCount + 16 * (values.count + 1)
        case .delete(let key): key.bytes.count + 16
        }
    }

    /// How long a write waits for the end of a change of hands at most: as long as a fence stands where the coordinators have a quorum (M4).
    private static let handOverPatience = Span.milliseconds(400)
    /// Nothing changes hands so often in that time.
    private static let tries = 8

    /// Where the row's partition is fenced for a move, a split or a merge, or was given to this node a moment ago, the write waits here and then
    /// goes to whatever has come of it: whoever sent it could only guess when to send it again.
    private func write(
        _ mutations: [Mutation], _ idempotencyKey: IdempotencyKey?, to known: TableRoutes, _ routes: Routes
    ) async throws(GatewayProblem) -> Response {
        guard let first = mutations.first else { throw .badRequest("BATCH_LENGTH", "nothing to write", field: "body") }
        let deadline = BootClock.now() + Self.handOverPatience
        let bytes = mutations.reduce(0) { $0 + Self.loggedBytes($1) }
        var (table, routes, tries) = (known, routes, 1)
        while true {
            let partition = try route(first.key, in: table)
            if let index = mutations.firstIndex(where: { !partition.range.contains($0.key) }) {
                throw GatewayProblem(
                    .unprocessableContent, "CROSS_PARTITION",
                    "operation \(index) lies in another partition than operation 0",
                    hint: "a batch is atomic within one partition; send one batch for each",
                    field: "body.operations[\(index)]", partition: RouteText.partition(partition, in: routes))
            }
            let refusal: DataRefusal
            do throws(DataRefusal) {
                let position = try await plane.write(
                    mutations, under: idempotencyKey, to: partition.id, at: partition.epoch)
                return JSONText.response(
                    .ok,
                    JSONText.object([
                        ("partition", partition.id.description), ("epoch", String(position.epoch.number)),
                        ("position", JSONText.position(position)),
                    ]))
            } catch { refusal = error }
            guard tries < Self.tries,
                await isWorthAnother(
                    after: refusal, by: partition, at: first.key, in: table.table, holding: bytes, until: deadline),
                let newer = plane.routes.table(table.table.id)
            else { throw GatewayProblem(refusal, routedTo: partition, in: plane.routes) }
            (table, routes, tries) = (newer, plane.routes, tries + 1)
        }
    }

    /// Whether a write that was refused, and so did nothing, is to be tried again here. Returns once it is time for that.
    private func isWorthAnother(
        after refusal: DataRefusal, by partition: PartitionDescriptor, at key: Key, in table: TableDescriptor,
        holding bytes: Int, until deadline: LogicalInstant
    ) async -> Bool {
        switch refusal {
        case .fenced, .recovering: break
        case .notHere, .staleEpoch:
            // Led here by another name, or in another epoch; if not, then nobody but the one who asked can go there.
            guard let now = plane.routes.route(table.id, key)?.partition, now.primary == plane.node else { return false }
            if now.id != partition.id || now.epoch != partition.epoch { return true }
        case .notEnoughInSync, .noLease, .tooStale, .diskFull, .overloaded, .keyReused, .keyExpired, .outcomeUnknown,
            .unavailable:
            return false
        }
        return await plane.awaitHandOver(of: partition.id, holding: bytes, until: deadline)
    }

    // MARK: Parts of a request

    private func route(_ key: Key, in table: TableRoutes) throws(GatewayProblem) -> PartitionDescriptor {
        guard let route = table.route(key) else {
            throw GatewayProblem(.notFound, "TABLE_NOT_FOUND", "the table is being dropped", field: "table")
        }
        return route.partition
    }

    private func query(of request: Request, offered: [String]) throws(GatewayProblem) -> QueryFields {
        do throws(QueryFault) {
            let query = try QueryFields(request.uri.query)
            try query.check(offered: offered)
            return query
        } catch { throw GatewayProblem(error) }
    }

    private func key(of query: QueryFields, in table: TableDescriptor) throws(GatewayProblem) -> Key {
        guard let text = query["key"] else {
            throw .badRequest(
                "MISSING_PARAMETER", "key= is missing", hint: "a percent-encoded JSON array of the key columns' values",
                field: "key")
        }
        do throws(KeyTextError) { return try KeyLayout(table).key(text: text) } catch {
            throw GatewayProblem(error, field: "key")
        }
    }

    /// Under which the write happens once, however often it is sent (rule R8).
    private func idempotencyKey(of request: Request) throws(GatewayProblem) -> IdempotencyKey? {
        guard let name = HTTPField.Name("Idempotency-Key"), let text = request.headers[name] else { return nil }
        do throws(InvalidValue) { return try IdempotencyKey(text) } catch {
            throw .badRequest(
                "INVALID_IDEMPOTENCY_KEY", error.detail, hint: "make one for each write, and send it with each try",
                field: "Idempotency-Key")
        }
    }

    private func bound(_ query: QueryFields, _ name: String, _ layout: KeyLayout) throws(GatewayProblem) -> Key? {
        guard let text = query[name] else { return nil }
        do throws(KeyTextError) { return try layout.bound(text: text) } catch {
            throw GatewayProblem(error, field: name)
        }
    }

    private func body(of request: Request, limit: Int) async throws(GatewayProblem) -> Data {
        do {
            let buffer = try await request.body.collect(upTo: limit)
            return Data(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw GatewayProblem(
                .contentTooLarge, "BODY_TOO_LARGE", "the body is larger than \(limit) bytes", hint: "send less at a time",
                field: "body")
        } catch {
            throw .badRequest("MALFORMED_BODY", "the body ended early", hint: "send it whole", field: "body")
        }
    }
}
