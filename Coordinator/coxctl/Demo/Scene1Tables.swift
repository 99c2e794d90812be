import Client
import FoundationEssentials
import Model

extension DemoRun {
    /// Makes two tables, imports the package database, loads the rows that the load will change.
    mutating func tables() async throws {
        narrator.scene(1, "Tables: this machine's own package database, and rows for a load")
        let (csv, names) = try PackageList.csv()
        let columns = PackageList.columns.map { (name: $0.name, type: $0.type) }
        try await makeTable("packages", key: "name", columns: columns, cuts: PackageList.quantiles(names, parts: 4))
        let keys = load.keys
        try await makeTable(
            "usertable", key: "id", columns: [("id", "text"), ("field0", "text")],
            cuts: (1..<4).map { keys.name($0 * keys.count / 4) })
        for table in ["packages", "usertable"] {
            _ = try await control.call(
                .put, "/tables/\(table)/access-policies/\(context.principal)",
                body: .object(["actions": .array([.string("read"), .string("write")]), "effect": .string("allow")]))
        }
        expiredToken = try await control.token(table: "packages", principal: context.principal, seconds: 1)

        var start = BootTime.now()
        let rows = try CSVRows(csv, columns: PackageList.columns)
        try await put(rows, into: "packages")
        let sample = try await client.get(key: JSONValue.array([.string("dpkg")]).text, in: "packages")
        guard sample?["summary"]?.string != nil else { throw DemoFailure("the row of 'dpkg' is not there") }
        summary.imported_rows = rows.rows.count
        narrator.step(
            "\(rows.rows.count) packages imported in \(seconds(since: start)) s; dpkg is \(sample?["summary"]?.string ?? "")")
        start = BootTime.now()
        try await load.fill()
        narrator.step(
            "\(keys.count) rows loaded into usertable in \(seconds(since: start)) s, each on three disks before its answer")
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

    private func put(_ csv: CSVRows, into table: String) async throws {
        let client = client
        try await withThrowingTaskGroup(of: Void.self) { group in
            for part in 0..<16 {
                group.addTask {
                    for index in stride(from: part, to: csv.rows.count, by: 16) {
                        let row = csv.rows[index]
                        _ = try await client.put(row.value, key: row.key, in: table)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

/// CSV with every field quoted, as rows to put.
struct CSVRows: Sendable {
    let rows: [(key: String, value: JSONValue)]

    /// - Throws: `DemoFailure` naming the line that does not read.
    init(_ text: String, columns: [(name: String, type: String)]) throws {
        var rows: [(key: String, value: JSONValue)] = []
        for (number, fields) in try Self.records(text).enumerated().dropFirst() {
            guard fields.count == columns.count else { throw DemoFailure("line \(number + 1) has \(fields.count) fields") }
            var members: [String: JSONValue] = [:]
            for (column, field) in zip(columns, fields) {
                members[column.name] = column.type == "integer" ? .number(Int64(field) ?? 0) : .string(field)
            }
            rows.append((JSONValue.array([.string(fields[0])]).text, .object(members)))
        }
        self.rows = rows
    }

    /// RFC 4180, except that a field never spans lines.
    static func records(_ text: String) throws -> [[String]] {
        try text.split(separator: "\n").enumerated().map { number, line in
            var fields: [String] = []
            var field = ""
            var quoted = false
            var rest = line[...]
            while let character = rest.popFirst() {
                switch (character, quoted) {
                case ("\"", true) where rest.first == "\"":
                    field.append("\"")
                    rest.removeFirst()
                case ("\"", _): quoted.toggle()
                case (",", false):
                    fields.append(field)
                    field = ""
                default: field.append(character)
                }
            }
            guard !quoted else { throw DemoFailure("line \(number + 1) ends inside quotes") }
            return fields + [field]
        }
    }
}
