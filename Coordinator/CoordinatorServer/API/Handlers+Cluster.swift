import Access
import Catalog
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Identity
import KeyEncoding
import Model

extension Handlers {
    /// What this member sees, leader or not: the one answer that must come when nothing else does.
    func status(_ call: Call) async throws(Problem) -> Response {
        let member = await plane.status()
        let state: CatalogState
        do throws(ControlPlaneError) { state = try await plane.catalog(.local) } catch { throw Problem(error) }
        let topology = state.topology
        let nodes = topology.nodes.values.filter { $0.status != .decommissioned }
        // Every other one is active, led and fully copied.
        let partitions = topology.tally.unsettled.compactMap { topology.partitions[$0] }.filter { $0.status == .active }
        let short = partitions.count { $0.inSync.count < topology.tables[$0.table]?.replicationFactor ?? 1 }
        let waiting = partitions.filter { $0.primary == nil }
        let headless = waiting.count
        let reports = await plane.reports()
        var findings: [(code: String, detail: String)] = []
        if member.leader == nil { findings.append(("RAFT_NO_QUORUM", "no coordinator leads")) }
        if let first = waiting.min(by: { $0.id < $1.id }) {
            let wayOut = Documents.wayOut(of: first, in: topology, reports: reports) ?? ""
            findings.append(("PARTITION_UNAVAILABLE", "\(headless) partitions have no primary; \(wayOut)"))
        }
        if short > 0 {
            findings.append(("PARTITION_UNDER_REPLICATED", "\(short) partitions have fewer copies in sync than wanted"))
        }
        for node in nodes.sorted(by: { $0.id < $1.id }) where node.status == .failed {
            findings.append(("NODE_FAILED", "node \(node.id) is failed"))
        }
        for node in nodes.sorted(by: { $0.id < $1.id }) where node.status != .failed {
            guard let reading = reports[node.id], reading.isFresh, let detail = reading.report.engine.complaint
            else { continue }
            findings.append(("ENGINE_DEGRADED", "node \(node.id): \(detail)"))
        }
        if member.breakerHolds { findings.append(("REPAIR_HALTED", "too many nodes failed at once: nothing is copied")) }
        let isBad = findings.contains { $0.code == "RAFT_NO_QUORUM" || $0.code == "PARTITION_UNAVAILABLE" }
        return Response(
            json: .object([
                "name": .string(settings.clusterName), "id": .string(settings.cluster.text),
                "health": .string(findings.isEmpty ? "OK" : isBad ? "ERROR" : "WARN"),
                "findings": .array(
                    findings.map { .object(["code": .string($0.code), "detail": .string($0.detail)]) }),
                "revision": .string(topology.revision.description),
                "nodes": .object([
                    "total": .number(nodes.count),
                    "healthy": .number(nodes.count { $0.status == .healthy && $0.session != .none }),
                    "failed": .number(nodes.count { $0.status == .failed }),
                ]), "zones": .number(Set(nodes.map(\.zone)).count), "tables": .number(topology.tables.count),
                "partitions": .object([
                    "total": .number(topology.partitions.count), "under_replicated": .number(short),
                    "without_primary": .number(headless),
                ]),
                "operations_running": .number(topology.operations.values.count { $0.phase == .running }),
                "raft": .object([
                    "member": .string(member.id.name), "role": .string(member.role), "leader": .string(member.leader?.name),
                    "term": .number(member.term), "commit": .number(member.commit), "applied": .number(member.applied),
                    "tolerance": .number(member.tolerance),
                    "members": .array(
                        member.members.map { peer in
                            .object([
                                "node_id": .string(peer.id.name), "zone": .string(peer.zone?.name),
                                "api": .string(peer.addresses?.service), "connected": .boolean(peer.isConnected),
                                "match": peer.match.map { .number($0) } ?? .null,
                            ])
                        }),
                ]),
            ]))
    }

    func topology(_ call: Call) async throws(Problem) -> Response {
        let state = try await catalog(call)
        let (reports, beliefs) = (await plane.reports(), await plane.beliefs())
        let topology = state.topology
        return Response(
            json: .object([
                "cluster": .object(["name": .string(settings.clusterName), "id": .string(settings.cluster.text)]),
                "revision": .string(topology.revision.description),
                "nodes": .array(
                    topology.nodes.values.sorted { $0.id < $1.id }
                        .map { Documents.node($0, in: topology, report: reports[$0.id], belief: beliefs[$0.id]) }),
                "tables": .array(
                    topology.tables.values.sorted { $0.name < $1.name }
                        .map { Documents.table($0, in: topology, cluster: settings.clusterName) }),
                "partitions": .array(
                    topology.partitions.values.sorted { ($0.table, $0.range.low) < ($1.table, $1.range.low) }
                        .map { Documents.partition($0, in: topology) }),
            ]))
    }

    func nodes(_ call: Call) async throws(Problem) -> Response {
        guard [settings.cluster.text, settings.clusterName].contains(call.parameter("id")) else {
            throw Problem(
                .notFound, "CLUSTER_NOT_FOUND", "this is cluster \(settings.clusterName) (\(settings.cluster))",
                hint: "ask the coordinators of the cluster that you mean", field: "id")
        }
        let topology = try await catalog(call).topology
        let (reports, beliefs) = (await plane.reports(), await plane.beliefs())
        return Response(
            json: .array(
                topology.nodes.values.sorted { $0.id < $1.id }
                    .map { Documents.node($0, in: topology, report: reports[$0.id], belief: beliefs[$0.id]) }))
    }

    // MARK: - Nodes

    func registerNode(_ call: Call) async throws(Problem) -> Response {
        var fields = try call.document()
        let (id, zoneText) = (try fields.text("node_id"), try fields.text("zone"))
        let node = try call.checked { () throws(InvalidValue) in try NodeID(id) }
        let zone = try call.checked { () throws(InvalidValue) in try ZoneName(zoneText) }
        let host = try fields.text("host")
        guard (1...255).contains(host.utf8.count), host.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .invalid("host", "expected a name or an address")
        }
        let type = try fields.optionalText("instance_type") ?? ""
        try fields.finish()
        if call.caller?.role == .node, call.caller?.principal.name != "node/\(node)" {
            throw Problem(.forbidden, "NOT_ALLOWED", "a node registers itself only", field: "node_id")
        }
        _ = try await propose(.declareNode(node, zone: zone, host: host, instanceType: type), call)
        let known = (try? await plane.catalog(.local))?.topology.nodes[node]
        return Response(
            json: .object([
                "node_id": .string(node.name), "status": .string(known.map(Documents.status) ?? "JOINING"),
                "zone": .string(known?.zone.name ?? zone.name),
            ]), status: .created)
    }

    func createJoinToken(_ call: Call) async throws(Problem) -> Response {
        var fields = try call.document()
        let ttl = try fields.optionalInteger("ttl_seconds") ?? 3_600
        let uses = try fields.optionalInteger("uses") ?? 1
        let zoneText = try fields.optionalText("zone")
        let nodeText = try fields.optionalText("node_id")
        try fields.finish()
        guard (1...86_400).contains(ttl) else { throw .invalid("ttl_seconds", "expected 1 to 86400") }
        guard (1...1_000).contains(uses) else { throw .invalid("uses", "expected 1 to 1000") }
        let zone: ZoneName? =
            if let zoneText { try call.checked { () throws(InvalidValue) in try ZoneName(zoneText) } } else { nil }
        let node: NodeID? =
            if let nodeText {
                try call.checked({ () throws(InvalidValue) in try NodeID(nodeText) }, field: "node_id")
            } else { nil }
        let request = try requestID(call)
        if try answered(request, call, in: try await catalog(call)) != nil {
            throw Problem(
                .conflict, "SECRET_SHOWN", "this request has made its token, which is shown only once",
                hint: "make another under a new Idempotency-Key")
        }
        let id: String
        let secret: String
        do throws(IdentityError) {
            id = "j" + Hex.encode(try SecureRandom.bytes(8))
            secret = Base64URL.encode(try SecureRandom.bytes(32))
        } catch { throw Problem(.internalServerError, "NO_RANDOMNESS", "\(error)") }
        let expires = WallTime(milliseconds: now.milliseconds + Int64(ttl) * 1_000)
        guard let actor = call.caller?.principal else { throw Problem(.unauthorized, "NOT_AUTHENTICATED", "nobody asks") }
        let token = JoinToken(
            id: id, secretDigest: Digest.sha256(Array(secret.utf8)), expiresAt: expires, usesLeft: uses, zone: zone,
            node: node, createdBy: actor)
        _ = try await propose(.createJoinToken(token), call, as: request)
        let pin: String
        do throws(IdentityError) { pin = try authority.certificate.pin() } catch {
            throw Problem(.internalServerError, "AUTHORITY_UNREADABLE", "\(error)")
        }
        return Response(
            json: .object([
                "token": .string("\(id).\(secret)"), "id": .string(id), "expires_at": Documents.time(expires),
                "uses": .number(uses), "zone": .string(zone?.name), "node_id": .string(node?.name),
                "authority_pin": .string(pin),
            ]), status: .created)
    }

    /// A node's first start: its token and its own key's request against a certificate and what it must know (rule S2).
    func join(_ call: Call) async throws(Problem) -> Response {
        var fields = try call.document()
        let token = try fields.text("token").split(separator: ".", maxSplits: 1).map(String.init)
        let (id, zoneText, pem) = (try fields.text("node_id"), try fields.text("zone"), try fields.text("csr"))
        try fields.finish()
        let node = try call.checked { () throws(InvalidValue) in try NodeID(id) }
        let zone = try call.checked { () throws(InvalidValue) in try ZoneName(zoneText) }
        guard token.count == 2 else { throw .invalid("token", "expected id.secret") }
        let digest = Digest.sha256(Array(token[1].utf8))
        // Anybody may ask this. Who guesses must cost neither a signature nor an entry of the log.
        let state = try await catalog(call)
        guard state.hasJoinToken(token[0], secretDigest: digest) else {
            throw Problem(
                CatalogRejection(
                    .joinTokenRefused, "the join token is unknown, spent, expired or for another zone", field: "token"))
        }
        let request = CertificateRequest(pem: pem)
        let identity = try call.checked { () throws(InvalidValue) in
            try PeerIdentity(cluster: settings.clusterName, role: .node, name: node.name)
        }
        // Looked at before the token is spent: a request that cannot be signed costs nothing.
        let certificate: Certificate
        do throws(IdentityError) { certificate = try authority.issue(request, as: identity, at: now) } catch {
            throw Problem(
                .badRequest, "INVALID_REQUEST", "\(error)", hint: "the request must name \(identity) and be signed by its key",
                field: "csr")
        }
        _ = try await propose(
            .useJoinToken(token[0], secretDigest: digest, node: node, zone: zone), call)
        let members = await plane.status().members
        do {
            let ring = try state.topology.gossipKeys.map { try GossipKeyring($0) } ?? settings.keyring
            let keyring = try JSONDecoder().decode(JSONNode.self, from: try ring.json())
            return Response(
                json: .object([
                    "certificate": .string(try certificate.pem()), "authority": .string(try authority.certificate.pem()),
                    "gossip_keyring": keyring,
                    "cluster": .object(["name": .string(settings.clusterName), "id": .string(settings.cluster.text)]),
                    "coordinators": .array(
                        members.compactMap { peer in
                            guard let addresses = peer.addresses, let zone = peer.zone else { return nil }
                            return .object([
                                "node_id": .string(peer.id.name), "api": .string(addresses.service),
                                "link": .string(addresses.link), "gossip": .string(addresses.gossip),
                                "zone": .string(zone.name),
                            ])
                        }),
                ]), status: .created)
        } catch { throw Problem(.internalServerError, "AUTHORITY_UNREADABLE", "\(error)") }
    }

    func keySet(_ call: Call) async throws(Problem) -> Response {
        do throws(ControlPlaneError) {
            return Response(json: TokenIssuer.keySet(Array(try await plane.catalog(.local).topology.signingKeys.values)))
        } catch { throw Problem(error) }
    }
}

extension EngineHealth {
    /// What is wrong with it; nil when it is healthy.
    fileprivate var complaint: String? {
        switch self {
        case .healthy: nil
        case .degraded(let why), .failed(let why): why
        }
    }
}
