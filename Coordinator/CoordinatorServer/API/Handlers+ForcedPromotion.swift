import Catalog
import HTTPTypes
import Hummingbird
import KeyEncoding
import Model

/// An operator's last resort, where all that is in sync of a partition is lost (rule R6).
extension Handlers {
    /// `{target, lost, accept_data_loss}`: the copy on `target` becomes the partition's only one, whatever it holds.
    ///
    /// Every other copy goes with it, so it is asked for only where the target has reported a whole one. That is what is known, and no
    /// more: its agent looks again, and serves nothing from half a copy.
    func forcePromotion(_ call: Call) async throws(Problem) -> Response {
        let request = try requestID(call)
        let state = try await catalog(call)
        let (id, table) = try partition(call, in: state)
        var fields = try call.document()
        let targetText = try fields.text("target")
        let named = try fields.optionalList("lost")
        let consent = fields.take("accept_data_loss")
        try fields.finish()
        let target = try call.checked({ () throws(InvalidValue) in try NodeID(targetText) }, field: "target")
        let lost = try nodes(named, call)
        guard consent == .boolean(true) else {
            throw Problem(
                .unprocessableContent, "DATA_LOSS_NOT_ACCEPTED",
                "for ever given up would be what only \(lost.map(\.name).joined(separator: ", ")) held of partition \(id) of "
                    + table.name.name,
                hint: "stop these nodes, or cut them off, for certain; then say \"accept_data_loss\": true",
                field: "accept_data_loss")
        }
        let reports = await plane.reports()
        let givenUp = lost.map { Documents.givenUp($0, of: id, in: state.topology, reports: reports) }
        guard try answered(request, call, in: state) == nil, let seen = state.topology.partitions[id] else {
            return try await forced(id, givenUp: givenUp, call)
        }
        let command = Command.forcePromotion(
            ForcedPromotion(
                partition: id, target: NodeSession(node: target, session: state.topology.nodes[target]?.session ?? .none),
                lost: lost, epoch: seen.epoch))
        // What the catalog refuses has better reasons than a report that does not come.
        let trial = Handlers(settings: settings, plane: Rehearsal(of: plane), issuer: issuer, authority: authority)
        _ = try await trial.propose(command, call, as: request)
        let copy = try whole(id, on: target, in: state.topology, reports)
        let audit =
            "\(target) leads from \(copy); given up: "
            + lost.map { Documents.lastWord($0, of: id, reports) }
            .joined(separator: ", ")
        _ = try await propose(command, call, as: request, noting: audit)
        return try await forced(id, givenUp: givenUp, call)
    }

    private func nodes(_ named: [JSONNode]?, _ call: Call) throws(Problem) -> [NodeID] {
        guard let named, !named.isEmpty, named.count <= 2 * Limits.replicationFactor else {
            throw .invalid("lost", "expected the names of all nodes that are in sync")
        }
        var nodes: [NodeID] = []
        for name in named {
            guard case .scalar(.string(let text)) = name else { throw .invalid("lost", "expected an array of names") }
            nodes.append(try call.checked({ () throws(InvalidValue) in try NodeID(text) }, field: "lost"))
        }
        return Array(Set(nodes)).sorted()
    }

    /// Where the target's copy ends, by its own last word.
    private func whole(
        _ id: PartitionID, on target: NodeID, in topology: Topology, _ reports: [NodeID: LoadReading]
    ) throws(Problem) -> Position {
        guard let reading = reports[target], reading.isFresh, reading.report.session == topology.nodes[target]?.session else {
            throw Problem(
                .conflict, "COPY_UNKNOWN", "\(target) has not said lately what it holds of partition \(id)",
                hint: "nodes report every two seconds: ask again", field: "target", isRetryable: true, retryAfter: 2)
        }
        // Of half a snapshot nothing counts, so it ends nowhere; a damaged copy is not reported at all.
        guard let copy = reading.report.partitions.first(where: { $0.partition == id }), copy.last != .zero else {
            throw Problem(
                .conflict, "COPY_NOT_WHOLE", "what \(target) holds of partition \(id) is nothing, damaged, or half of a copy",
                hint: "choose another node that holds a copy: 'coxctl partition list' names them", field: "target")
        }
        return copy.last
    }

    private func forced(_ id: PartitionID, givenUp: [JSONNode], _ call: Call) async throws(Problem) -> Response {
        let state: CatalogState
        do throws(ControlPlaneError) { state = try await plane.catalog(.local) } catch { throw Problem(error) }
        guard let partition = state.topology.partitions[id],
            case .object(var members) = Documents.partition(partition, in: state.topology)
        else { throw Problem(CatalogRejection(.partitionNotFound, "there is no partition \(id)", field: "id")) }
        members["given_up"] = .array(givenUp)
        return try call.isDryRun ? .rehearsed(members) : Response(json: .object(members))
    }
}

extension Documents {
    /// A node whose copy is given up: what it was, and the last that it said of it.
    static func givenUp(
        _ node: NodeID, of id: PartitionID, in topology: Topology, reports: [NodeID: LoadReading]
    ) -> JSONNode {
        let reading = reports[node]
        let copy = reading?.report.partitions.first { $0.partition == id }
        return .object([
            "node": .string(node.name), "status": .string(topology.nodes[node].map(status)),
            "last_position": .string(copy?.last.description),
            "reported_seconds_ago": .measure(copy == nil ? nil : reading?.age.seconds),
        ])
    }

    static func lastWord(_ node: NodeID, of id: PartitionID, _ reports: [NodeID: LoadReading]) -> String {
        let copy = reports[node]?.report.partitions.first { $0.partition == id }
        return "\(node) " + (copy.map { "last heard at \($0.last)" } ?? "not heard")
    }

    /// What an operator of a partition without a primary waits for, and what he can do when that will never come; nil where it has one.
    static func wayOut(of partition: PartitionDescriptor, in topology: Topology, reports: [NodeID: LoadReading]) -> String? {
        guard partition.primary == nil, partition.status == .active else { return nil }
        let table = topology.tables[partition.table]?.name.name ?? "-"
        let awaited = partition.inSync.map(\.name).joined(separator: ",")
        let start = "partition \(partition.id) of \(table) waits for \(awaited): start it with its data folder"
        let able = partition.replicas.filter { replica in
            guard replica.role == .learner, let node = topology.nodes[replica.node] else { return false }
            return node.store == replica.store && node.session != .none && (node.status == .healthy || node.status == .draining)
        }
        func end(_ replica: ReplicaDescriptor) -> Position {
            reports[replica.node].flatMap { $0.isFresh ? $0.report : nil }?.partitions
                .first { $0.partition == partition.id }?.last ?? .zero
        }
        guard let best = able.filter({ end($0) != .zero }).max(by: { end($0) < end($1) }) else {
            return start + "; no other node has reported a copy"
        }
        return start + "; if it is lost for ever: coxctl partition force-promote \(table) \(partition.id) --to \(best.node) "
            + "--lost \(awaited) --accept-data-loss"
    }
}
