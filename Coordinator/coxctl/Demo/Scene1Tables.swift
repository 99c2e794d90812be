import Client
import FoundationEssentials
import Launching
import Model

extension DemoRun {
    /// Makes two tables, imports the package database, loads the rows that the load will change.
    mutating func tables() async throws {
        let columns = PackageList.columns + [(name: PackageList.note, type: "text")]
        try await makeTable("packages", key: "name", columns: columns, cuts: PackageList.quantiles(packages.names, parts: 4))
        let users = load.tables[0]
        try await makeTable(
            "usertable", key: "id", columns: [("id", "text"), ("field0", "text"), ("field1", "text")],
            cuts: (1..<4).map { users.keys[$0 * users.keys.count / 4] })
        for table in ["packages", "usertable"] {
            _ = try await control.call(
                .put, "/tables/\(table)/access-policies/\(context.principal)",
                body: .object(["actions": .array([.string("read"), .string("write")]), "effect": .string("allow")]))
        }
        expiredToken = try await control.token(table: "packages", principal: context.principal, seconds: 1)

        var start = BootTime.now()
        let file = "\(cluster.folder)/packages.csv"
        try Data(packages.csv.utf8).write(to: URL(filePath: file))
        let imported = try await CSVImport(file: file, table: "packages", client: client).run()
        guard imported.rows == packages.names.count, imported.badLines == 0 else {
            throw DemoFailure("\(imported.rows) of \(packages.names.count) packages were imported")
        }
        let sample = try await client.get(key: JSONValue.array([.string("dpkg")]).text, in: "packages")
        guard let meaning = sample?["summary"]?.string else { throw DemoFailure("the row of 'dpkg' is not there") }
        summary.importedRows = imported.rows
        narrator.step("\(imported.rows) packages imported in \(seconds(since: start)) s; dpkg is \"\(meaning)\"")
        start = BootTime.now()
        try await load.fill(users)
        narrator.step(
            "\(users.keys.count) rows loaded into usertable in \(seconds(since: start)) s, each on three disks before its answer"
        )
    }

    func seconds(since start: Int64) -> String { Figures.fixed(Double(BootTime.now() - start) / 1_000_000, 1) }

    private func makeTable(_ name: String, key: String, columns: [(name: String, type: String)], cuts: [String]) async throws {
        let start = BootTime.now()
        let attributes = columns.map { JSONValue.object(["name": .string($0.name), "type": .string($0.type)]) }
        _ = try await control.call(
            .post, "/tables",
            body: .object([
                "table_name": .string(name), "partition_key": .string(key), "capacity": .object(["mode": .string("ON_DEMAND")]),
                "schema": .object(["attributes": .array(attributes)]), "replication_factor": .number(3),
                "partitions": .number(cuts.count + 1), "split_keys": .array(cuts.map { .array([.string($0)]) }),
            ]))
        _ = try await eventually("table \(name)", within: 10) { () async throws -> Bool? in
            let table = try await control.call(.get, "/tables/\(name)", milliseconds: 5_000).body
            return table["status"]?.string?.uppercased() == "ACTIVE" ? true : nil
        }
        narrator.step("table \(name) is ACTIVE after \(seconds(since: start)) s: \(cuts.count + 1) partitions, 3 replicas each")
    }
}
