import FoundationEssentials
import HTTPTypes
import Hummingbird
import Identity
import KeyEncoding
import Membership
import Model
import NIOCore
import RoutingTable
import Telemetry

/// The answers of the status endpoint.
struct StatusAnswers: Sendable {
    let plane: any DataPlane
    let tokens: TokenVerifier?
    let furtherMetrics: @Sendable () async -> String

    /// What both the private and the open port answer.
    static let healthPaths = ["/metrics", "/livez", "/readyz"]

    func addHealthRoutes(to router: Router<BasicRequestContext>) {
        router.get("/metrics") { _, _ in await metrics() }
        router.get("/livez") { _, _ in Self.plain("ok\n") }
        router.get("/readyz") { _, _ in await readiness() }
    }

    func status() async throws -> Response { try Self.json(StatusDocument(await plane.status())) }

    func metrics() async -> Response {
        let own = StatusMetrics.render(await plane.status(), tokens: tokens?.counters)
        return Self.plain(own + (await furtherMetrics()), type: "text/plain; version=0.0.4; charset=utf-8")
    }

    /// Ready: it knows a routing table and its engine works. Quorum and coordinators do not matter (rule R7).
    func readiness() async -> Response {
        let status = await plane.status()
        var missing: [String] = []
        if status.revision == .none { missing.append("no routing table yet") }
        if case .failed(let reason) = status.engine { missing.append("engine failed: \(reason)") }
        // Who is registered is the node, whoever else goes by its name.
        if status.isNameInUse, status.session == .none {
            missing.append("another process lives under this node's name: one of the two runs from a copied data folder")
        }
        guard missing.isEmpty else {
            return Self.problem(
                .serviceUnavailable, code: "NOT_READY", detail: missing.joined(separator: "; "),
                hint: "send it no new work; do not restart it for this")
        }
        return Self.plain("ok\n")
    }

    func route(_ request: Request) throws -> Response {
        let routes = plane.routes
        let query: QueryFields
        do throws(QueryFault) {
            query = try QueryFields(request.uri.query)
            try query.check(offered: ["table", "key"])
        } catch {
            return Self.problem(.badRequest, code: error.code, detail: error.detail, hint: error.hint, field: error.field)
        }
        guard let name = query["table"] else {
            return Self.problem(
                .badRequest, code: "MISSING_PARAMETER", detail: "table= is missing", hint: "ask /v1/route?table=NAME&key=[…]",
                field: "table")
        }
        guard let relation = try? RelationName(name), let table = routes.table(relation) else {
            return Self.problem(
                .notFound, code: "TABLE_NOT_FOUND", detail: "no table of that name at \(routes.revision)",
                hint: "list the tables; names are lower case", field: "table")
        }
        guard let text = query["key"] else {
            return Self.problem(
                .badRequest, code: "MISSING_PARAMETER", detail: "key= is missing",
                hint: "a percent-encoded JSON array of the key columns' values", field: "key")
        }
        let key: Key
        do throws(KeyTextError) {
            key = try KeyLayout(table.table).bound(text: text)
        } catch {
            return Self.problem(
                .badRequest, code: "INVALID_KEY", detail: error.description,
                hint: "a percent-encoded JSON array of the key columns' values", field: "key")
        }
        guard let route = table.route(key) else {
            return Self.problem(
                .notFound, code: "TABLE_NOT_FOUND", detail: "the table is being dropped",
                hint: "list the tables", field: "table")
        }
        return try Self.json(RouteDocument(route, in: routes))
    }

    // MARK: Forms

    static func json(_ document: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return response(status, type: "application/json", bytes: Array(try encoder.encode(document)))
    }

    static func plain(_ text: String, type: String = "text/plain; charset=utf-8") -> Response {
        response(.ok, type: type, bytes: Array(text.utf8))
    }

    /// An error as RFC 9457 has it.
    static func problem(
        _ status: HTTPResponse.Status, code: String, detail: String, hint: String, field: String? = nil
    ) -> Response {
        let text: (String) -> String = { JSONScalar.string($0).text }
        let body =
            "{\"type\":\"about:blank\",\"title\":\(text(status.reasonPhrase)),\"status\":\(status.code),\"code\":\(text(code)),"
            + "\"detail\":\(text(detail)),\"hint\":\(text(hint))" + (field.map { ",\"field\":\(text($0))" } ?? "") + "}"
        return response(status, type: "application/problem+json", bytes: Array(body.utf8))
    }

    private static func response(_ status: HTTPResponse.Status, type: String, bytes: [UInt8]) -> Response {
        var headers = HTTPFields()
        headers[.contentType] = type
        headers[.contentLength] = String(bytes.count)
        headers[.cacheControl] = "no-store"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
