import Catalog
import Hummingbird
import Model
import Planning

/// Everything leaves a node: for a while, until it is taken back, or for good.
extension Handlers {
    /// `{node_id}`: the node gives away what it leads and then what it holds, and stays a member. Asked again it says how far that is.
    func drainNode(_ call: Call) async throws(Problem) -> Response {
        let (node, request) = (try nodeNamed(call), try requestID(call))
        let state = try await catalog(call)
        let before = state.topology.nodes[node]
        if try answered(request, call, in: state) == nil, let before, before.status == .failed, !before.wantsDrain {
            // What it has cannot be moved, and to have it made anew is more than was asked for. If it fails after this look, it is a
            // drained node that has failed.
            throw Problem(
                .conflict, CatalogRejection.Code.nodeUnavailable.rawValue, "node \(node) is failed",
                hint: "start its agent, and drain it then; what a lost node had is made anew when it is decommissioned",
                field: "node_id", isRetryable: true)
        }
        _ = try await propose(.drain(node), call, as: request)
        let standing = DrainStanding(of: node, in: try await committedTopology(call))
        let members = Documents.drain(of: node, standing, status: standing.isDrained ? "DRAINED" : "DRAINING", after: before)
        if try call.isDryRun { return .rehearsed(members) }
        return Response(json: .object(members), status: standing.isDrained ? .ok : .accepted)
    }

    /// `{node_id}`: the node is as any other again. What is under way goes on to its end.
    func undrainNode(_ call: Call) async throws(Problem) -> Response {
        let node = try nodeNamed(call)
        _ = try await propose(.undrain(node), call)
        let topology = try await committedTopology(call)
        let members: [String: JSONNode] = [
            "node_id": .string(node.name), "status": .string(topology.nodes[node].map(Documents.status)),
            "replicas": .number(topology.tally.replicas[node] ?? 0),
        ]
        return try call.isDryRun ? .rehearsed(members) : Response(json: .object(members))
    }

    /// Drains the node; once it holds nothing, asked again, it is gone for good.
    func decommissionNode(_ call: Call) async throws(Problem) -> Response {
        let (node, request) = (try nodeNamed(call), try requestID(call))
        let before = try await catalog(call).topology.nodes[node]
        var held = try await replicasThatCount(on: node, call)
        do throws(Problem) { _ = try await propose(held == 0 ? .decommission(node) : .drain(node), call, as: request) } catch {
            guard error.code == CatalogRejection.Code.nodeHoldsReplicas.rawValue else { throw error }
            // One came between the look and the entry: the node is as any other that holds something.
            held = max(1, try await replicasThatCount(on: node, call))
            let next = try call.checked { () throws(InvalidValue) in try Model.RequestID("\(request)-drain") }
            _ = try await propose(.drain(node), call, as: next)
        }
        let standing = DrainStanding(of: node, in: try await committedTopology(call))
        var members = Documents.drain(
            of: node, standing, status: held == 0 ? "DECOMMISSIONED" : "DRAINING", after: before)
        members["replicas_left"] = .number(held)
        if try call.isDryRun { return .rehearsed(members) }
        return Response(json: .object(members), status: held == 0 ? .ok : .accepted)
    }

    private func nodeNamed(_ call: Call) throws(Problem) -> NodeID {
        var fields = try call.document()
        let id = try fields.text("node_id")
        try fields.finish()
        return try call.checked { () throws(InvalidValue) in try NodeID(id) }
    }

    /// Those that keep a node from being taken out.
    private func replicasThatCount(on node: NodeID, _ call: Call) async throws(Problem) -> Int {
        try await catalog(call).topology.partitions.values.count {
            $0.inSync.contains(node) || $0.replica(on: node) != nil && $0.operation != nil
        }
    }
}

extension Documents {
    /// - Parameter before: the node as it was when this was asked for: whoever waits for the end of a drain sees when another has ended it.
    fileprivate static func drain(
        of node: NodeID, _ standing: DrainStanding, status: String, after before: NodeDescriptor?
    ) -> [String: JSONNode] {
        [
            "node_id": .string(node.name), "status": .string(status), "primaries_left": .number(standing.primaries),
            "replicas_left": .number(standing.replicas), "obstacle": .string(standing.obstacle),
            "was_draining": .boolean(before?.wantsDrain ?? false),
        ]
    }

    /// How far a node is that is to be drained; null for any other.
    static func drain(_ node: NodeDescriptor, in topology: Topology) -> JSONNode {
        .string(node.wantsDrain ? topology.tally.replicas[node.id] == nil ? "DRAINED" : "DRAINING" : nil)
    }
}
