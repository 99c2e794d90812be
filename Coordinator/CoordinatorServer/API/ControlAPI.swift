// The REST API's request path, without sockets: route, admit, read the body, hand it to the route's handler. Handlers plan on a
// linearizable view of the catalog, propose one command, and show the answer; all that decides is in the catalog.

import Access
import Catalog
import FoundationEssentials
package import HTTPTypes
package import Hummingbird
package import Identity
package import Model
import NIOCore
import Telemetry
import Transport

/// What the API must know of the cluster beside its catalog.
package struct APISettings: Sendable {
    package let clusterName: String
    package let cluster: ClusterID
    package let node: NodeID
    /// The keyring that joining nodes get while the cluster has no record of any.
    package let keyring: GossipKeyring

    package init(clusterName: String, cluster: ClusterID, node: NodeID, keyring: GossipKeyring) {
        self.clusterName = clusterName
        self.cluster = cluster
        self.node = node
        self.keyring = keyring
    }
}

package struct ControlAPI: Sendable {
    let settings: APISettings
    let plane: any ControlPlane
    let issuer: TokenIssuer
    let authority: Authority
    private let routes: [Route]
    private let tokens: TokenVerifier
    private let metrics = APIMetrics()

    package init(settings: APISettings, plane: any ControlPlane, issuer: TokenIssuer, authority: Authority) {
        self.settings = settings
        self.plane = plane
        self.issuer = issuer
        self.authority = authority
        tokens = TokenVerifier(cluster: settings.cluster, audience: .control, remembering: 1_024)
        let handlers = Handlers(settings: settings, plane: plane, issuer: issuer, authority: authority)
        routes = handlers.routes.sorted { $0.weight > $1.weight }
    }

    /// Every route's method, path and permission: for documents and for tests.
    package var table: [(method: HTTPRequest.Method, path: String, access: RouteAccess)] {
        routes.map { ($0.method, $0.path, $0.access) }
    }

    /// Answers one request. Total: whatever is asked, there is an answer.
    ///
    /// - Parameter certified: whom the connection's certificate names.
    package func answer(_ request: Request, from certified: Caller?) async -> Response {
        await metrics.measure(request.method) {
            var route: Route?
            let response = await answer(request, from: certified, by: &route)
            return (route?.path ?? "none", response.status.code, response)
        }
    }

    private func answer(_ request: Request, from certified: Caller?, by taken: inout Route?) async -> Response {
        do throws(Problem) {
            let (route, parameters) = try find(request, in: routes)
            taken = route
            let caller = try admit(request, from: certified, to: route)
            try checkPrecondition(of: request, for: route)
            let query = try query(of: request, for: route)
            let body = try await read(request, limit: route.bodyLimit)
            let call = Call(
                method: request.method, path: request.uri.path, parameters: parameters, query: query, headers: request.headers,
                body: body, caller: caller)
            if try call.isDryRun { return try await rehearse(request, call) }
            return try await route.handler(call)
        } catch {
            return error.response
        }
    }

    /// The same handler with the same checks, on a plane that keeps nothing. A handler that shows no plan of its own has its status
    /// told instead of its answer, which would name things that do not exist.
    private func rehearse(_ request: Request, _ call: Call) async throws(Problem) -> Response {
        let handlers = Handlers(settings: settings, plane: Rehearsal(of: plane), issuer: issuer, authority: authority)
        let (route, _) = try find(request, in: handlers.routes.sorted { $0.weight > $1.weight })
        let answer = try await route.handler(call)
        guard answer.headers[.dryRun] == nil else { return answer }
        return .rehearsed(["would_answer": .number(answer.status.code)])
    }

    /// A condition that is not looked at must not be passed over: whoever sets one relies on it.
    private func checkPrecondition(of request: Request, for route: Route) throws(Problem) {
        guard request.method != .get, !route.takesPrecondition else { return }
        for name in [HTTPField.Name.ifMatch, .ifNoneMatch] where request.headers[name] != nil {
            throw Problem(
                .badRequest, "PRECONDITION_NOT_OFFERED", "\(name.rawName) is not looked at here; nothing was changed",
                hint: "single configuration entries take it; a whole scope takes the versions that it showed, as _versions",
                field: name.rawName)
        }
    }

    private func query(of request: Request, for route: Route) throws(Problem) -> [String: String] {
        do throws(QueryFault) {
            let fields = try QueryFields(request.uri.query)
            try fields.check(offered: route.query)
            return fields.values
        } catch { throw Problem(.badRequest, error.code, error.detail, hint: error.hint, field: error.field) }
    }

    private func find(_ request: Request, in routes: [Route]) throws(Problem) -> (Route, [String: String]) {
        var segments: [String] = []
        for raw in request.uri.path.split(separator: "/") {
            guard let segment = Percent.decode(raw) else {
                throw Problem(
                    .badRequest, "MALFORMED_PATH", "the path is not percent-encoded UTF-8",
                    hint: "encode each segment by itself",
                    field: "path")
            }
            segments.append(segment)
        }
        var offered: [String] = []
        for route in routes {
            guard let parameters = route.match(segments) else { continue }
            if route.method == request.method { return (route, parameters) }
            offered.append(route.method.rawValue)
        }
        guard offered.isEmpty else {
            throw Problem(
                .methodNotAllowed, "METHOD_NOT_ALLOWED", "\(request.method.rawValue) is not offered here",
                hint: "offered: \(offered.sorted().joined(separator: ", "))", field: "method", allow: offered.sorted())
        }
        throw Problem(.notFound, "NOT_FOUND", "no such resource", hint: "the API's paths begin with /api/v1", field: "path")
    }

    /// - Returns: as whom the request is done.
    private func admit(_ request: Request, from certified: Caller?, to route: Route) throws(Problem) -> Caller? {
        let permission: Permission
        switch route.access {
        case .permission(let it), .certified(let it): permission = it
        case .joinToken, .everyone: return certified
        }
        guard let caller = try bearer(of: request) ?? certified else {
            throw Problem(
                .unauthorized, "NOT_AUTHENTICATED",
                "the request shows neither a client certificate of this cluster nor a token",
                hint: "use an operator's certificate, or a token that coxctl user issue has made")
        }
        guard caller.role.grants(permission) else {
            throw Problem(
                .forbidden, "NOT_ALLOWED", "\(caller.principal) as \(caller.role.rawValue) may not \(permission.rawValue)",
                hint: "ask somebody with that permission")
        }
        if case .certified = route.access, caller.credential != .certificate {
            throw Problem(
                .forbidden, "CERTIFICATE_NEEDED", "a token begets nothing that outlives it: \(permission.rawValue)",
                hint: "ask with an operator's certificate, and show no token")
        }
        return caller
    }

    /// Whom the request's token names; nil when it shows none. A token that is shown is what counts, so that somebody with a
    /// certificate can act with less; one that is bad is refused, whatever certificate came with it.
    ///
    /// Judged by what this member has applied, leader or not: nobody else is asked.
    private func bearer(of request: Request) throws(Problem) -> Caller? {
        guard let authorization = request.headers[.authorization] else { return nil }
        do throws(TokenRefusal) {
            let bearer = try tokens.bearer(
                authorization: authorization, under: plane.feed.topology, at: BootClock.wallTime())
            return Caller(principal: bearer.principal, role: bearer.role, by: .token(expiresAt: bearer.expiresAt))
        } catch { throw Problem(error) }
    }

    private func read(_ request: Request, limit: Int) async throws(Problem) -> [UInt8] {
        do {
            return Array(try await request.body.collect(upTo: limit).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Problem(
                .contentTooLarge, "BODY_TOO_LARGE", "the body is larger than \(limit) bytes",
                hint: "send less at a time", field: "body")
        } catch {
            throw Problem(.badRequest, "MALFORMED_BODY", "the body ended early", hint: "send it whole", field: "body")
        }
    }
}

extension Call {
    /// The body as one JSON object, whose fields are still to be taken.
    func document() throws(Problem) -> Fields { Fields(try members()) }

    /// The members of the body's one JSON object.
    func members() throws(Problem) -> [String: JSONNode] {
        // A decoder takes other encodings than UTF-8 too; in JSON, all of them have zeros.
        guard !body.contains(0), let node = try? JSONDecoder().decode(JSONNode.self, from: Data(body)) else {
            throw Problem(
                .badRequest, "MALFORMED_JSON", "the body is not JSON", hint: "send one JSON object, in UTF-8", field: "body")
        }
        guard case .object(let members) = node else {
            throw Problem(
                .badRequest, "MALFORMED_JSON", "the body is not a JSON object", hint: "send one JSON object", field: "body")
        }
        if let field = JSONNames.firstRepeated(in: body) { throw .invalid(field, "is given twice") }
        return members
    }

    func checked<Value>(_ make: () throws(InvalidValue) -> Value, field: String? = nil) throws(Problem) -> Value {
        do throws(InvalidValue) { return try make() } catch { throw Problem(error, field: field) }
    }

    /// A partition's or operation's number.
    func number(_ name: String) throws(Problem) -> UInt64 {
        let text = parameter(name)
        guard let number = UInt64(text), text.utf8.first != UInt8(ascii: "+") else { throw .invalid(name, "expected a number") }
        return number
    }

    /// - Throws: for what is neither yes nor no: taking it for "no" would do what the caller only wanted to try.
    var isDryRun: Bool {
        get throws(Problem) {
            switch query["dry_run"] {
            case nil, "false": false
            case "true": true
            default: throw .invalid("dry_run", "expected true or false")
            }
        }
    }
}

extension HTTPField.Name {
    /// On answers to `?dry_run=true`.
    static let dryRun = HTTPField.Name("Coxswain-Dry-Run") ?? .trailer
}
