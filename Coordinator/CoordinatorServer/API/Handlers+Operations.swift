import Catalog
import HTTPTypes
import Hummingbird
import KeyEncoding
import Model
import Planning

extension Handlers {
    func operations(_ call: Call) async throws(Problem) -> Response {
        let state = try await catalog(call)
        let reports = await plane.reports()
        return Response(
            json: .object([
                "operations": .array(
                    state.topology.operations.values.sorted { $0.id > $1.id }
                        .map { Documents.operation($0, in: state, reports: reports) })
            ]))
    }

    func operation(_ call: Call) async throws(Problem) -> Response {
        let id = OperationID(try call.number("id"))
        let state = try await catalog(call)
        guard let operation = state.topology.operations[id] else {
            throw Problem(CatalogRejection(.operationNotFound, "there is no operation \(id)", field: "id"))
        }
        return Response(json: Documents.operation(operation, in: state, reports: await plane.reports()))
    }

    /// Takes it back, as long as it has not passed its point of no return. Cancelling what was taken back before changes nothing.
    func cancel(_ call: Call) async throws(Problem) -> Response {
        let id = OperationID(try call.number("id"))
        let by = call.caller?.principal.name ?? "nobody"
        return try await operationMade(try await propose(.abortOperation(id, reason: "cancelled by \(by)"), call))
    }

    /// Lets it stand still from its next step on; see `OperationDescriptor.pause`.
    func pause(_ call: Call) async throws(Problem) -> Response {
        try await operationMade(try await propose(.pauseOperation(OperationID(try call.number("id"))), call))
    }

    func resume(_ call: Call) async throws(Problem) -> Response {
        try await operationMade(try await propose(.resumeOperation(OperationID(try call.number("id"))), call))
    }

    // MARK: - Partitions

    /// The partition, if it is the table's.
    func partition(_ call: Call, in state: CatalogState) throws(Problem) -> (PartitionID, TableDescriptor) {
        let table = try tableNamed(call, in: state)
        let id = PartitionID(try call.number("id"))
        if let retired = state.topology.retired[id] {
            throw Problem(CatalogRejection(.partitionRetired, "partition \(id) \(retired.fate)", field: "id"))
        }
        guard state.topology.partitions[id]?.table == table.id else {
            throw Problem(CatalogRejection(.partitionNotFound, "table \(table.name) has no partition \(id)", field: "id"))
        }
        return (id, table)
    }

    private func planned(_ plan: () throws(PlanRefusal) -> PartitionDescriptor) throws(Problem) -> PartitionDescriptor {
        do throws(PlanRefusal) { return try plan() } catch { throw Problem(error) }
    }

    private func dryRun(_ partition: PartitionDescriptor) -> Response {
        .rehearsed(["partition": .number(partition.id.number), "epoch": .number(partition.epoch.number)])
    }

    /// `{key}` or `{split_key}`: the first key of the upper half.
    func split(_ call: Call) async throws(Problem) -> Response {
        let request = try requestID(call)
        let state = try await catalog(call)
        if let first = try answered(request, call, in: state) { return try await operationMade(first) }
        let (id, table) = try partition(call, in: state)
        var fields = try call.document()
        let named = fields.take("key")
        let other = fields.take("split_key")
        guard let given = named ?? other else { throw .invalid("key", "is missing") }
        try fields.finish()
        let key = try bound(given, KeyLayout(table), field: "key")
        let seen: PartitionDescriptor
        do throws(PlanRefusal) {
            seen = try checkSplit(of: id, at: key, in: state.topology)
        } catch {
            guard case .splitKeyOutsideRange(_, let range) = error else { throw Problem(error) }
            // In the table's own values: nobody can choose a key by the bytes that it is kept as.
            throw Problem(
                .unprocessableContent, error.code, "the key is not inside \(Documents.range(range, of: table))",
                hint: "choose a key above the lower bound and below the upper one", field: "key")
        }
        let payload = try await propose(.beginSplit(id, at: key, expecting: seen.epoch), call, as: request)
        return try call.isDryRun ? dryRun(seen) : try await operationMade(payload)
    }

    /// `{with}`: the neighbour with which it becomes one partition, on either side.
    func merge(_ call: Call) async throws(Problem) -> Response {
        let request = try requestID(call)
        let state = try await catalog(call)
        if let first = try answered(request, call, in: state) { return try await operationMade(first) }
        let (id, _) = try partition(call, in: state)
        var fields = try call.document()
        let number = try fields.text("with")
        try fields.finish()
        guard let other = UInt64(number).map({ PartitionID($0) }) else { throw .invalid("with", "expected a partition's id") }
        if let retired = state.topology.retired[other] {
            throw Problem(CatalogRejection(.partitionRetired, "partition \(other) \(retired.fate)", field: "with"))
        }
        let seen: (left: PartitionDescriptor, right: PartitionDescriptor)
        do throws(PlanRefusal) { seen = try checkMerge(of: id, with: other, in: state.topology) } catch { throw Problem(error) }
        let payload = try await propose(
            .beginMerge(seen.left.id, expecting: seen.left.epoch, with: seen.right.id, at: seen.right.epoch), call, as: request)
        return try call.isDryRun ? dryRun(seen.left) : try await operationMade(payload)
    }

    /// `{source?, target}`; without a source the partition gets a copy that it lacks. Where it lacks none, the new one joins nothing.
    func move(_ call: Call) async throws(Problem) -> Response {
        let request = try requestID(call)
        let state = try await catalog(call)
        if let first = try answered(request, call, in: state) { return try await operationMade(first) }
        let (id, _) = try partition(call, in: state)
        var fields = try call.document()
        let (sourceText, targetText) = (try fields.optionalText("source"), try fields.text("target"))
        try fields.finish()
        let target = try call.checked({ () throws(InvalidValue) in try NodeID(targetText) }, field: "target")
        var source: NodeID?
        if let sourceText { source = try call.checked({ () throws(InvalidValue) in try NodeID(sourceText) }, field: "source") }
        let from = source
        let seen = try planned { () throws(PlanRefusal) in try checkMove(of: id, from: from, to: target, in: state.topology) }
        let session = state.topology.nodes[target]?.session ?? .none
        let plan = MovePlan(
            partition: id, source: source, target: NodeSession(node: target, session: session), epoch: seen.epoch)
        let payload = try await propose(.beginMove(plan), call, as: request)
        return try call.isDryRun ? dryRun(seen) : try await operationMade(payload)
    }

    func transfer(_ call: Call) async throws(Problem) -> Response {
        let request = try requestID(call)
        let state = try await catalog(call)
        if let first = try answered(request, call, in: state) { return try await operationMade(first) }
        let (id, _) = try partition(call, in: state)
        var fields = try call.document()
        let targetText = try fields.text("target")
        try fields.finish()
        let target = try call.checked({ () throws(InvalidValue) in try NodeID(targetText) }, field: "target")
        let seen = try planned { () throws(PlanRefusal) in try checkTransfer(of: id, to: target, in: state.topology) }
        let session = state.topology.nodes[target]?.session ?? .none
        let payload = try await propose(
            .beginTransfer(id, to: target, session: session, expecting: seen.epoch), call, as: request)
        return try call.isDryRun ? dryRun(seen) : try await operationMade(payload)
    }
}
