import Access
import Catalog
import HTTPTypes
import Hummingbird
import Identity
import Model
import Planning

// The keys that seal gossip, by name: their bytes leave a coordinator towards members only, never by this door.

extension Handlers {
    func keyRoutes(under v1: String) -> [Route] {
        [
            Route(.get, v1 + "/keys/gossip", .permission(.readCluster), reads: ["consistency"], handler: gossipKeys),
            Route(.post, v1 + "/keys/gossip:rotate", .permission(.rotateKeys), handler: rotateGossipKey),
            Route(.post, v1 + "/keys/gossip:cancel", .permission(.rotateKeys), handler: cancelGossipRotation),
        ]
    }

    /// The ring, how far an exchange has come, and who holds what in his own latest words.
    func gossipKeys(_ call: Call) async throws(Problem) -> Response {
        Response(json: await document(of: try await committedTopology(call)))
    }

    /// Begins to exchange the ring for one new key; the leader takes it on by itself. The key is drawn here and shown to nobody.
    func rotateGossipKey(_ call: Call) async throws(Problem) -> Response {
        if !call.body.isEmpty { try call.document().finish() }
        let secret: GossipSecret
        do throws(IdentityError) { secret = try GossipKeyring.newKey() } catch {
            throw Problem(.internalServerError, "NO_RANDOMNESS", "\(error)")
        }
        _ = try await propose(.rotateGossipKey(secret), call)
        return try await changed()
    }

    /// Takes the new key back while it seals nothing yet.
    func cancelGossipRotation(_ call: Call) async throws(Problem) -> Response {
        if !call.body.isEmpty { try call.document().finish() }
        let request = try requestID(call)
        let state = try await catalog(call)
        if try answered(request, call, in: state) == nil {
            guard let rotation = state.topology.gossipKeys?.rotation else {
                throw Problem(CatalogRejection(.rotationMovedOn, "no gossip key is being exchanged"))
            }
            _ = try await propose(.cancelGossipRotation(rotation.key), call, as: request)
        }
        return try await changed()
    }

    /// What the change came to; it may go on meanwhile.
    private func changed() async throws(Problem) -> Response {
        do throws(ControlPlaneError) {
            return Response(json: await document(of: try await plane.topology(.linearizable)), status: .accepted)
        } catch { throw Problem(error) }
    }

    private func document(of topology: Topology) async -> JSONNode {
        Documents.gossipKeys(in: topology, status: await plane.status(), reports: await plane.reports())
    }
}

extension Documents {
    static func gossipKeys(in topology: Topology, status: CoordinatorStatus, reports: [NodeID: LoadReading]) -> JSONNode {
        let ring = topology.gossipKeys
        let agents = topology.nodes.values.filter { $0.session != .none && $0.status != .decommissioned }
        let counted = Set(agentsThatGossip(in: topology).map(\.id))
        var holders = agents.map { node in
            let reading = reports[node.id].flatMap { $0.report.session == node.session ? $0 : nil }
            return GossipKeyHolder(
                node: node.id, kind: "agent", isLive: counted.contains(node.id), held: reading?.report.gossipKeys,
                age: reading?.age)
        }
        holders += status.members.map { peer in
            GossipKeyHolder(
                node: peer.id, kind: "coordinator", isLive: peer.isActive ?? peer.isConnected, held: peer.gossipKeys, age: nil)
        }
        holders.sort { ($0.kind, $0.node) < ($1.kind, $1.node) }
        let behind = holders.filter { $0.isLive && $0.held != ring?.held }.map(\.node)
        let keys = (ring?.keys ?? []).map { key -> JSONNode in
            .object([
                "key_id": .string(key.id.description), "number": .number(key.number),
                "primary": .boolean(key.number == ring?.primary), "created_at": time(key.createdAt),
                "holders": .number(holders.count { $0.held?.ids.contains(key.id) ?? false }),
            ])
        }
        let rotation = ring?.rotation.map { rotation -> JSONNode in
            .object([
                "key_id": .string(rotation.key.description), "step": .string(rotation.step.rawValue),
                "began_at": time(rotation.beganAt), "step_since": time(rotation.steppedAt),
                "waits_for": .array(behind.map { .string($0.name) }),
            ])
        }
        return .object([
            "primary": .string(ring?.sealing?.id.description), "keys": .array(keys), "rotation": rotation ?? .null,
            "members": .array(holders.map { $0.document(following: ring?.held) }),
        ])
    }
}

/// A member and what it says that it opens and seals with.
private struct GossipKeyHolder {
    let node: NodeID
    let kind: String
    /// Whether a rotation waits for it.
    let isLive: Bool
    let held: HeldGossipKeys?
    let age: Span?

    func document(following ring: HeldGossipKeys?) -> JSONNode {
        .object([
            "node_id": .string(node.name), "kind": .string(kind), "live": .boolean(isLive),
            "holds": .array((held?.ids ?? []).map { .string($0.description) }),
            "seals_with": .string(held?.primary.description), "in_step": .boolean(ring != nil && held == ring),
            "reported_seconds_ago": .measure(age?.seconds),
        ])
    }
}
