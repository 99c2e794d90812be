import Catalog
import HTTPTypes
import Hummingbird
import KeyEncoding
import Model
import Planning

extension Handlers {
    func tables(_ call: Call) async throws(Problem) -> Response {
        let topology = try await catalog(call).topology
        return Response(
            json: .object([
                "tables": .array(
                    topology.tables.values.sorted { $0.name < $1.name }
                        .map { Documents.table($0, in: topology, cluster: settings.clusterName) })
            ]))
    }

    func table(_ call: Call) async throws(Problem) -> Response {
        let state = try await catalog(call)
        return Response(
            json: Documents.table(try tableNamed(call, in: state), in: state.topology, cluster: settings.clusterName))
    }

    func partitions(_ call: Call) async throws(Problem) -> Response {
        let state = try await catalog(call)
        let table = try tableNamed(call, in: state)
        return Response(
            json: .object([
                "partitions": .array(
                    state.topology.partitions(of: table.id).map { Documents.partition($0, in: state.topology) }),
                "revision": .string(state.topology.revision.description),
            ]))
    }

    // MARK: - Creation

    /// What `POST /tables` says, checked field by field.
    private struct TableRequest {
        let name: RelationName
        let columns: [Column]
        let partitionKey: RelationName
        let sortKey: RelationName?
        let capacity: Capacity
        let replicationFactor: Int
        let minInSync: Int
        let splitKeys: [Key]
    }

    func createTable(_ call: Call) async throws(Problem) -> Response {
        let id = try requestID(call)
        let state = try await catalog(call)
        if let first = try answered(id, call, in: state) { return try await created(first, named: nil) }
        let wanted = try tableRequest(call, in: state)
        if state.topology.table(named: wanted.name) != nil {
            throw Problem(CatalogRejection(.tableExists, "table \(wanted.name) exists already", field: "table_name"))
        }
        let plan: PlacementPlan
        do throws(PlanRefusal) {
            plan = try planPlacement(
                partitions: wanted.splitKeys.count + 1, replicationFactor: wanted.replicationFactor, in: state.topology)
        } catch { throw Problem(error) }
        let creation = TableCreation(
            name: wanted.name, columns: wanted.columns, partitionKey: wanted.partitionKey, sortKey: wanted.sortKey,
            replicationFactor: wanted.replicationFactor, minInSync: wanted.minInSync, capacity: wanted.capacity,
            splitKeys: wanted.splitKeys, placements: plan.placements, sessions: plan.sessions)
        do throws(CatalogRejection) { try TableRules.check(creation) } catch { throw Problem(error) }
        let payload = try await propose(.createTable(creation), call, as: id)
        if try call.isDryRun {
            return .rehearsed([
                "placements": .array(
                    plan.placements.map { placement in
                        .object([
                            "primary": .string(placement.primary.name),
                            "nodes": .array(placement.nodes.map { .string($0.name) }),
                        ])
                    })
            ])
        }
        return try await created(payload, named: wanted.name)
    }

    private func created(_ payload: CommandPayload, named name: RelationName?) async throws(Problem) -> Response {
        guard case .table(let table, let operation) = payload else { return try await operationMade(payload) }
        let local = (try? await plane.catalog(.local))?.topology
        let known = name ?? local?.tables[table]?.name
        return await accepted(
            operation,
            [
                "table_arn": .string(known.map { "coxswain:\(settings.clusterName):table/\($0)" }),
                "table_name": .string(known?.name),
                "status": .string((local?.tables[table]?.status ?? .creating).rawValue.uppercased()),
            ])
    }

    private func tableRequest(_ call: Call, in state: CatalogState) throws(Problem) -> TableRequest {
        var fields = try call.document()
        let nameText = try fields.text("table_name")
        let name = try call.checked { () throws(InvalidValue) in try RelationName(nameText) }
        let keyText = try fields.text("partition_key")
        let partitionKey = try call.checked { () throws(InvalidValue) in try RelationName(keyText, field: "partition_key") }
        let sortText = try fields.optionalText("sort_key")
        var sortKey: RelationName?
        if let sortText {
            sortKey = try call.checked { () throws(InvalidValue) in try RelationName(sortText, field: "sort_key") }
        }
        let capacity = try self.capacity(try fields.optionalObject("capacity"))
        var schema = try fields.object("schema")
        let columns = try self.columns(call, try schema.optionalList("attributes") ?? [])
        try schema.finish()

        let copies = ConfigurationRules.replicationFactor
        let factor = try fields.optionalInteger(copies.name) ?? state.topology.configured(copies) ?? copies.standard
        guard (1...Limits.replicationFactor).contains(factor) else {
            throw .invalid("replication_factor", "expected 1 to \(Limits.replicationFactor)")
        }
        let fewest = ConfigurationRules.minInSync
        let usual = state.topology.configured(fewest).map { min($0, factor) } ?? (factor >= 3 ? fewest.standard : 1)
        let minInSync = try fields.optionalInteger(fewest.name) ?? usual
        let partitions = try fields.optionalInteger("partitions")
        let cuts = try fields.optionalList("split_keys") ?? []
        try fields.finish()
        if let partitions, !(1...Limits.partitionsPerCreate).contains(partitions) {
            throw .invalid("partitions", "expected 1 to \(Limits.partitionsPerCreate)")
        }
        if let partitions, partitions != cuts.count + 1 {
            throw Problem(
                .badRequest, "INVALID_VALUE", "\(partitions) partitions need \(partitions - 1) split keys, not \(cuts.count)",
                hint: "give one key for each place where two partitions meet, in rising order", field: "split_keys")
        }
        guard cuts.count < Limits.partitionsPerCreate else {
            throw .invalid("split_keys", "at most \(Limits.partitionsPerCreate) partitions at once")
        }
        let keyColumns = ([partitionKey] + (sortKey.map { [$0] } ?? [])).compactMap { wanted in
            columns.first { $0.name == wanted }
        }
        guard keyColumns.count == (sortKey == nil ? 1 : 2) else {
            let missing = columns.contains { $0.name == partitionKey } ? "sort_key" : "partition_key"
            throw Problem(
                .badRequest, "UNKNOWN_COLUMN", "\(missing) names no attribute of the schema",
                hint: "list the column under schema.attributes", field: missing)
        }
        var splitKeys: [Key] = []
        for (place, cut) in cuts.enumerated() {
            splitKeys.append(try bound(cut, KeyLayout(columns: keyColumns), field: "split_keys[\(place)]"))
        }
        return TableRequest(
            name: name, columns: columns, partitionKey: partitionKey, sortKey: sortKey, capacity: capacity,
            replicationFactor: factor, minInSync: minInSync, splitKeys: splitKeys)
    }

    private func columns(_ call: Call, _ attributes: [JSONNode]) throws(Problem) -> [Column] {
        var columns: [Column] = []
        for (place, attribute) in attributes.enumerated() {
            let path = "schema.attributes[\(place)]"
            guard case .object(let members) = attribute else { throw .invalid(path, "expected an object") }
            var fields = Fields(members, at: path)
            let (nameText, typeText) = (try fields.text("name"), try fields.text("type"))
            try fields.finish()
            let name = try call.checked { () throws(InvalidValue) in try RelationName(nameText, field: path + ".name") }
            guard let type = ColumnType(rawValue: typeText.lowercased()) else {
                throw Problem(
                    .badRequest, "UNKNOWN_TYPE", "'\(typeText.prefix(64))' is not a column type",
                    hint: "one of " + ColumnType.allCases.map(\.rawValue).joined(separator: ", "), field: path + ".type")
            }
            columns.append(Column(name: name, type: type))
        }
        return columns
    }

    private func capacity(_ given: Fields?) throws(Problem) -> Capacity {
        guard var fields = given else { return Capacity(mode: .onDemand) }
        let mode: Capacity.Mode
        switch try fields.optionalText("mode") {
        case "PROVISIONED": mode = .provisioned
        case "ON_DEMAND", nil: mode = .onDemand
        default: throw .invalid(fields.name("mode"), "expected PROVISIONED or ON_DEMAND")
        }
        let (read, write) = (try fields.optionalInteger("read_units"), try fields.optionalInteger("write_units"))
        try fields.finish()
        for (field, units) in [("read_units", read), ("write_units", write)] {
            if let units, units < 0 { throw .invalid(fields.name(field), "expected a positive number") }
        }
        return Capacity(mode: mode, readUnits: read.map { UInt64($0) }, writeUnits: write.map { UInt64($0) })
    }

    /// A split key: an array of the key columns' values, or their first few.
    func bound(_ node: JSONNode, _ layout: KeyLayout, field: String) throws(Problem) -> Key {
        guard case .array = node else { throw .invalid(field, "expected an array of the key columns' values") }
        do throws(KeyTextError) { return try layout.bound(text: node.text) } catch {
            throw Problem(
                .badRequest, "INVALID_KEY", "\(field): \(error)", hint: "an array of the key columns' values, in key order",
                field: field)
        }
    }

    // MARK: - Changes

    func dropTable(_ call: Call) async throws(Problem) -> Response {
        let id = try requestID(call)
        let state = try await catalog(call)
        if let first = try answered(id, call, in: state) { return try await operationMade(first) }
        let table = try tableNamed(call, in: state)
        let payload = try await propose(.dropTable(table.name), call, as: id)
        if try call.isDryRun {
            return .rehearsed(["partitions": .number(state.topology.partitions(of: table.id).count)])
        }
        return try await operationMade(payload)
    }

    func setCapacity(_ call: Call) async throws(Problem) -> Response {
        let name = try call.checked({ () throws(InvalidValue) in try RelationName(call.parameter("name")) }, field: "name")
        let capacity = try self.capacity(try call.document())
        _ = try await propose(.setCapacity(name, capacity), call)
        return Response(json: .object(["status": .string("SCALING"), "estimated_completion_seconds": .number(0)]))
    }
}
