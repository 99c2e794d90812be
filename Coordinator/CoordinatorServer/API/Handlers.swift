import Access
import Catalog
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Identity
import KeyEncoding
import Model
import Planning
import Wire

/// What stands behind the routes.
struct Handlers: Sendable {
    let settings: APISettings
    let plane: any ControlPlane
    let issuer: TokenIssuer
    let authority: Authority
    let events = ConfigurationEvents()

    /// Every route there is.
    var routes: [Route] {
        let v1 = "/api/v1"
        let freshness = Self.freshness
        return [
            Route(.get, "/.well-known/jwks.json", .everyone, handler: keySet),
            Route(.get, v1 + "/cluster/status", .permission(.readCluster), handler: status),
            Route(.get, v1 + "/cluster/topology", .permission(.readCluster), reads: freshness, handler: topology),
            Route(.get, v1 + "/clusters/{id}/nodes", .permission(.readCluster), reads: freshness, handler: nodes),
            Route(.post, v1 + "/nodes/register", .permission(.registerNode), handler: registerNode),
            Route(.post, v1 + "/nodes/drain", .permission(.changeNodes), handler: drainNode),
            Route(.post, v1 + "/nodes/undrain", .permission(.changeNodes), handler: undrainNode),
            Route(.post, v1 + "/nodes/decommission", .permission(.changeNodes), handler: decommissionNode),
            Route(.get, v1 + "/orphans", .permission(.readCluster), handler: orphans),
            Route(.get, v1 + "/incidents", .permission(.readCluster), reads: freshness, handler: incidents),
            Route(.get, v1 + "/incidents/{id}", .permission(.readCluster), reads: freshness, handler: incident),
            Route(.post, v1 + "/orphans:remove", .permission(.changeNodes), handler: removeOrphan),
            Route(.post, v1 + "/nodes/join-tokens", .certified(.createJoinToken), handler: createJoinToken),
            Route(.post, v1 + "/nodes/join", .joinToken, handler: join),
            Route(.post, v1 + "/tables", .permission(.changeTables), bodyLimit: 4 * 1_024 * 1_024, handler: createTable),
            Route(.get, v1 + "/tables", .permission(.readTables), reads: freshness, handler: tables),
            Route(.get, v1 + "/tables/{name}", .permission(.readTables), reads: freshness, handler: table),
            Route(.delete, v1 + "/tables/{name}", .permission(.changeTables), handler: dropTable),
            Route(.put, v1 + "/tables/{name}/capacity", .permission(.changeTables), handler: setCapacity),
            Route(.get, v1 + "/tables/{name}/partitions", .permission(.readTables), reads: freshness, handler: partitions),
            Route(.post, v1 + "/tables/{name}/partitions/{id}:split", .permission(.movePartitions), handler: split),
            Route(.post, v1 + "/tables/{name}/partitions/{id}:merge", .permission(.movePartitions), handler: merge),
            Route(.post, v1 + "/tables/{name}/partitions/{id}:move", .permission(.movePartitions), handler: move),
            Route(
                .post, v1 + "/tables/{name}/partitions/{id}:transfer-primary", .permission(.movePartitions), handler: transfer),
            Route(
                .post, v1 + "/tables/{name}/partitions/{id}:force-promote", .permission(.changeTables), handler: forcePromotion),
            Route(
                .put, v1 + "/tables/{name}/access-policies/{principal}", .permission(.changePolicies), handler: setPolicy),
            Route(
                .delete, v1 + "/tables/{name}/access-policies/{principal}", .permission(.changePolicies), handler: removePolicy),
            Route(.post, v1 + "/tables/{name}/credentials", .permission(.issueTokens), handler: issueToken),
            Route(.post, v1 + "/operators/credentials", .certified(.issueCredentials), handler: issueCredential),
            Route(.post, v1 + "/credentials:revoke", .permission(.revokeTokens), handler: revokeToken),
            Route(.get, v1 + "/operations", .permission(.readOperations), reads: freshness, handler: operations),
            Route(.get, v1 + "/operations/{id}", .permission(.readOperations), reads: freshness, handler: operation),
            Route(.post, v1 + "/operations/{id}:cancel", .permission(.movePartitions), handler: cancel),
            Route(.post, v1 + "/operations/{id}:pause", .permission(.movePartitions), handler: pause),
            Route(.post, v1 + "/operations/{id}:resume", .permission(.movePartitions), handler: resume),
        ] + groupRoutes(under: v1) + configurationRoutes(under: v1) + keyRoutes(under: v1)
    }

    /// What a route takes that answers from the catalog and changes nothing. A change is always planned on the newest.
    private static let freshness = ["consistency"]

    private func configurationRoutes(under v1: String) -> [Route] {
        let freshness = Self.freshness
        let scopes: [(path: String, scope: @Sendable (Call) throws(InvalidValue) -> ConfigurationScope)] = [
            ("/config/global", { (_) throws(InvalidValue) in .global }),
            ("/config/zones/{zone}", { (call) throws(InvalidValue) in .zone(try ZoneName(call.parameter("zone"))) }),
            ("/config/nodes/{node}", { (call) throws(InvalidValue) in .node(try NodeID(call.parameter("node"))) }),
        ]
        let table = Route(.get, v1 + "/config", .permission(.readConfiguration), reads: freshness, handler: configurationTable)
        return [table]
            + scopes.flatMap { path, scope in
                [
                    Route(.get, v1 + path, .permission(.readConfiguration), reads: freshness) { (call) async throws(Problem) in
                        try await configuration(call, try call.checked { () throws(InvalidValue) in try scope(call) })
                    },
                    Route(.put, v1 + path, .permission(.changeConfiguration), bodyLimit: 1_024 * 1_024) {
                        (call) async throws(Problem) in
                        try await configure(call, try call.checked { () throws(InvalidValue) in try scope(call) })
                    },
                    Route(.get, v1 + path + ":watch", .permission(.readConfiguration), reads: ["after", "prefix"]) {
                        (call) async throws(Problem) in
                        try watchConfiguration(call, try call.checked { () throws(InvalidValue) in try scope(call) })
                    },
                    Route(.get, v1 + path + "/entries/{key}", .permission(.readConfiguration), reads: freshness) {
                        (call) async throws(Problem) in
                        try await configurationEntry(call, try call.checked { () throws(InvalidValue) in try scope(call) })
                    },
                    Route(
                        .put, v1 + path + "/entries/{key}", .permission(.changeConfiguration), bodyLimit: 128 * 1_024,
                        takesPrecondition: true
                    ) { (call) async throws(Problem) in
                        try await setEntry(call, try call.checked { () throws(InvalidValue) in try scope(call) })
                    },
                    Route(
                        .delete, v1 + path + "/entries/{key}", .permission(.changeConfiguration), takesPrecondition: true
                    ) { (call) async throws(Problem) in
                        try await deleteEntry(call, try call.checked { () throws(InvalidValue) in try scope(call) })
                    },
                ]
            }
    }

    // MARK: - What all handlers do

    /// The catalog, as fresh as the request asks for.
    func catalog(_ call: Call) async throws(Problem) -> CatalogState {
        let consistency = try consistency(call)
        do throws(ControlPlaneError) { return try await plane.catalog(consistency) } catch { throw Problem(error) }
    }

    /// For whoever needs no more of it.
    func committedTopology(_ call: Call) async throws(Problem) -> Topology {
        let consistency = try consistency(call)
        do throws(ControlPlaneError) { return try await plane.topology(consistency) } catch { throw Problem(error) }
    }

    private func consistency(_ call: Call) throws(Problem) -> ReadConsistency {
        switch call.query["consistency"] {
        case nil, "linearizable": .linearizable
        case "stale": .local
        default: throw .invalid("consistency", "expected linearizable or stale")
        }
    }

    func tableNamed(_ call: Call, in state: CatalogState) throws(Problem) -> TableDescriptor {
        let name = try call.checked({ () throws(InvalidValue) in try RelationName(call.parameter("name")) }, field: "name")
        guard let table = state.topology.table(named: name) else {
            throw Problem(CatalogRejection(.tableNotFound, "there is no table \(name)", field: "name"))
        }
        return table
    }

    /// The name under which the request is known: the caller's, or one of our own.
    func requestID(_ call: Call) throws(Problem) -> Model.RequestID {
        if let key = HTTPField.Name("Idempotency-Key").flatMap({ call.headers[$0] }) {
            return try call.checked({ () throws(InvalidValue) in try Model.RequestID(key) }, field: "Idempotency-Key")
        }
        do {
            return try Model.RequestID("api-\(settings.node)-\(Hex.encode(try SecureRandom.bytes(12)))")
        } catch {
            throw Problem(.internalServerError, "NO_RANDOMNESS", "\(error)")
        }
    }

    /// Tells two requests under one Idempotency-Key apart.
    func fingerprint(_ call: Call) -> [UInt8] {
        let head = "\(call.caller?.principal.name ?? "-") \(call.method.rawValue) \(call.path)\n"
        return Array(Digest.sha256(Array(head.utf8) + call.body).prefix(16))
    }

    /// The first answer, when this request was answered before; so a repetition is never planned against what it made itself.
    func answered(_ id: Model.RequestID, _ call: Call, in state: CatalogState) throws(Problem) -> CommandPayload? {
        guard let record = state.answer(to: id) else { return nil }
        guard record.fingerprint == fingerprint(call) else {
            throw Problem(
                CatalogRejection(.requestReused, "request \(id) was another one", field: "Idempotency-Key"))
        }
        return try unwrap(record.result)
    }

    /// - Parameter note: what the audit trail is to say beside the caller's reason.
    func propose(
        _ command: Command, _ call: Call, as id: Model.RequestID? = nil, noting note: String = ""
    ) async throws(Problem) -> CommandPayload {
        let request: Model.RequestID
        if let id { request = id } else { request = try requestID(call) }
        let actor: Principal
        if let caller = call.caller {
            actor = caller.principal
        } else {
            actor = try call.checked { () throws(InvalidValue) in try Principal("join-token") }
        }
        let given = HTTPField.Name("X-Reason").flatMap { call.headers[$0] } ?? ""
        let reason = note.isEmpty ? given : given.isEmpty ? note : "\(note); \(given)"
        let trace = HTTPField.Name("traceparent").flatMap { call.headers[$0] } ?? ""
        let result: CommandResult
        do throws(ControlPlaneError) {
            result = try await plane.propose(
                command, by: actor, reason: text(reason, atMost: CatalogLimits.textBytes), requestID: request,
                fingerprint: fingerprint(call), traceID: text(trace, atMost: 64))
        } catch { throw Problem(error) }
        return try unwrap(result)
    }

    /// The text, or as many whole characters of it as `limit` bytes hold.
    private func text(_ text: String, atMost limit: Int) -> String {
        var (kept, bytes) = (String.UnicodeScalarView(), 0)
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            guard bytes <= limit else { break }
            kept.append(scalar)
        }
        return String(kept)
    }

    private func unwrap(_ result: CommandResult) throws(Problem) -> CommandPayload {
        switch result {
        case .accepted(let payload): return payload
        case .refused(let rejection): throw Problem(rejection)
        }
    }

    /// 202, with where the operation is to be watched.
    func accepted(_ operation: OperationID, _ members: [String: JSONNode] = [:]) async -> Response {
        var body = members
        let local = try? await plane.catalog(.local)
        if let local, let descriptor = local.topology.operations[operation],
            case .object(let shown) = Documents.operation(descriptor, in: local, reports: [:])
        {
            body.merge(shown) { mine, _ in mine }
        } else {
            body["id"] = .string(operation.description)
        }
        body["operation_id"] = .string(operation.description)
        return Response(
            json: .object(body), status: .accepted, headers: [.location: "/api/v1/operations/\(operation)"])
    }

    func operationMade(_ payload: CommandPayload) async throws(Problem) -> Response {
        switch payload {
        case .operation(let id), .table(_, let id): return await accepted(id)
        case .nothing, .session, .version:
            throw Problem(.internalServerError, "UNEXPECTED_ANSWER", "the command began no operation")
        }
    }

    var now: WallTime { WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)) }
}
