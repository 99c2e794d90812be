import Catalog
import CoordinatorCore
import Hummingbird
import Model

/// Copies on nodes' disks that nobody wants.
extension Handlers {
    /// As this member knows them from the nodes' reports: rumour, of which a removal makes a record.
    func orphans(_ call: Call) async throws(Problem) -> Response {
        let found = await plane.orphans()
        return Response(json: .object(["orphans": .array(found.map(Documents.orphan))]))
    }

    /// `{node, partition}`: what is reported there is recorded for removal. The only way out for a copy of which the catalog knows
    /// nothing; the others go by themselves.
    func removeOrphan(_ call: Call) async throws(Problem) -> Response {
        let request = try requestID(call)
        let state = try await catalog(call)
        if let first = try answered(request, call, in: state) { return try await operationMade(first) }
        var fields = try call.document()
        let (name, number) = (try fields.text("node"), try fields.text("partition"))
        try fields.finish()
        let node = try call.checked({ () throws(InvalidValue) in try NodeID(name) }, field: "node")
        guard let partition = UInt64(number).map({ PartitionID($0) }) else {
            throw .invalid("partition", "expected a partition's id")
        }
        guard state.topology.nodes[node] != nil else {
            throw Problem(CatalogRejection(.nodeNotFound, "there is no node \(node)", field: "node"))
        }
        guard let orphan = await plane.orphans().first(where: { $0.node == node && $0.held.partition == partition }) else {
            throw Problem(
                .notFound, "ORPHAN_NOT_FOUND", "\(node) has reported no copy of partition \(partition) that nobody wants",
                hint: "'coxctl node orphans' lists them; nodes report every two seconds", field: "partition")
        }
        // In the session that reported it: a process that has started since is to say itself what it holds.
        return try await operationMade(try await propose(.removeOrphan(orphan.removal), call, as: request))
    }
}
