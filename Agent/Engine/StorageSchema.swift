// How a storage looks to whoever opens the file with sqlite3: the table under its own name with its own columns, in key order, and
// beside it our records under names that no table of a user can have.
//
//   <table>(_coxswain_key BLOB PRIMARY KEY, columns…)   the rows
//   _coxswain_storage(name, value)                      which table this is
//   _coxswain_columns(ordinal, name, type, key)         its columns with our types; key: place in the key, or null
//   _coxswain_partitions(partition, low, high, epoch, run, sequence, checksum)
//   _coxswain_writes(key, row, checksum, epoch, run, sequence)  writes that happen once, as long as they are remembered
//   _coxswain_import(… the same …, chunks, last)        a copy that is still coming in; at most one

import Model

/// The table of one storage and the statements that work on it.
struct StorageSchema: Sendable {
    /// The format. A file of an older one is brought to it, one of a later one is refused.
    ///
    /// 2: remembers writes that happen once. 3: pages have checksums (see CPageSums), for which 8 bytes of each are kept free.
    static let version: Int64 = 3
    /// Rows of a few kilobytes stay in one page of the tree.
    static let pageSize = 8_192
    /// "CXSW", so that `file` and a start know the file for ours.
    static let applicationID: Int64 = 0x4358_5357

    let table: TableID
    let name: RelationName
    let shape: RowShape

    init(_ table: TableDescriptor) {
        self.table = table.id
        name = table.name
        shape = RowShape(table)
    }

    // MARK: Rows

    /// SQLite keeps names that begin with `sqlite_` to itself.
    private var quotedTable: String { name.name.hasPrefix("sqlite_") ? "\"_\(name)\"" : "\"\(name)\"" }
    private var columnList: String { shape.columns.map { "\"\($0.name)\"" }.joined(separator: ", ") }

    var get: String { "SELECT \(columnList) FROM \(quotedTable) WHERE _coxswain_key = ?" }
    var put: String {
        let places = Array(repeating: "?", count: shape.columns.count + 1).joined(separator: ", ")
        return "REPLACE INTO \(quotedTable) (_coxswain_key, \(columnList)) VALUES (\(places))"
    }
    var delete: String { "DELETE FROM \(quotedTable) WHERE _coxswain_key = ?" }

    func scan(bounded: Bool) -> String {
        "SELECT _coxswain_key, \(columnList) FROM \(quotedTable) WHERE \(Self.within(bounded)) ORDER BY _coxswain_key"
    }
    /// Key and size of each row, without reading the values.
    func sizes(bounded: Bool) -> String {
        "SELECT _coxswain_key, length(_coxswain_key) + \(rowSize) FROM \(quotedTable) WHERE \(Self.within(bounded)) "
            + "ORDER BY _coxswain_key"
    }
    func statistics(bounded: Bool) -> String {
        "SELECT count(*), coalesce(sum(length(_coxswain_key) + \(rowSize)), 0) FROM \(quotedTable) WHERE \(Self.within(bounded))"
    }
    func remove(bounded: Bool) -> String { "DELETE FROM \(quotedTable) WHERE \(Self.within(bounded))" }

    private static func within(_ bounded: Bool) -> String {
        bounded ? "_coxswain_key >= ?1 AND _coxswain_key < ?2" : "_coxswain_key >= ?1"
    }

    /// The same count as `Row.byteCount`, said in SQL.
    private var rowSize: String {
        shape.columns.map { column in
            switch column.type {
            case .integer, .double, .timestamp: "iif(\"\(column.name)\" IS NULL, 0, 8)"
            case .boolean: "iif(\"\(column.name)\" IS NULL, 0, 1)"
            case .bytes: "coalesce(length(\"\(column.name)\"), 0)"
            // As bytes: the length of a text counts characters.
            case .text: "coalesce(length(CAST(\"\(column.name)\" AS BLOB)), 0)"
            }
        }.joined(separator: " + ")
    }

    /// Whether no row lies outside a range. Two steps into the tree.
    func holdsOnly(_ range: KeyRange, in database: Database) throws(EngineError) -> Bool {
        let select = try database.prepare(
            """
            SELECT EXISTS (SELECT 1 FROM \(quotedTable) WHERE _coxswain_key < ?1)
              OR ?2 IS NOT NULL AND EXISTS (SELECT 1 FROM \(quotedTable) WHERE _coxswain_key >= ?2)
            """)
        defer { select.reset() }
        try select.bind(range)
        return try select.step() && select.integer(0) == 0
    }

    // MARK: The file

    /// All that a file declares: tables, indexes, and whatever else there may be.
    static func definitions(in database: Database) throws(EngineError) -> [String] {
        let select = try database.prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")
        defer { select.reset() }
        var definitions: [String] = []
        while try select.step() { definitions.append("\(select.text(0)) \(select.text(1)): \(select.text(2))") }
        return definitions
    }

    /// Makes the tables of a new file. Runs inside a transaction.
    func install(in database: Database) throws(EngineError) {
        let columns = shape.columns.map { "\"\($0.name)\" \(Self.declaration(of: $0))" }.joined(separator: ", ")
        try database.execute(
            """
            CREATE TABLE \(quotedTable) (_coxswain_key BLOB PRIMARY KEY NOT NULL, \(columns)) STRICT, WITHOUT ROWID;
            CREATE TABLE _coxswain_storage (name TEXT PRIMARY KEY NOT NULL, value ANY) STRICT, WITHOUT ROWID;
            CREATE TABLE _coxswain_columns (
              ordinal INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, key INTEGER) STRICT;
            CREATE TABLE _coxswain_partitions (
              partition INTEGER PRIMARY KEY, low BLOB NOT NULL, high BLOB, epoch INTEGER NOT NULL, run INTEGER NOT NULL,
              sequence INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
            CREATE TABLE _coxswain_import (
              partition INTEGER PRIMARY KEY, low BLOB NOT NULL, high BLOB, epoch INTEGER NOT NULL, run INTEGER NOT NULL,
              sequence INTEGER NOT NULL, checksum INTEGER NOT NULL, chunks INTEGER NOT NULL, last BLOB) STRICT;
            \(WriteTable.declaration);
            PRAGMA application_id = \(Self.applicationID);
            PRAGMA user_version = \(Self.version);
            """)
        let fact = try database.prepare("INSERT INTO _coxswain_storage VALUES (?, ?)")
        try fact.bind(Value.text("table_id"), at: 1)
        try fact.bind(table.number, at: 2)
        try fact.run()
        try fact.bind(Value.text("table_name"), at: 1)
        try fact.bind(Value.text(name.name), at: 2)
        try fact.run()
        let column = try database.prepare("INSERT INTO _coxswain_columns VALUES (?, ?, ?, ?)")
        for (ordinal, entry) in shape.columns.enumerated() {
            try column.bind(Int64(ordinal), at: 1)
            try column.bind(Value.text(entry.name.name), at: 2)
            try column.bind(Value.text(entry.type.rawValue), at: 3)
            let place = shape.keyIndexes.firstIndex(of: ordinal)
            try column.bind(place.map { Value.integer(Int64($0)) } ?? .null, at: 4)
            try column.run()
        }
    }

    /// What an existing file holds; nil when its making was not completed.
    init?(in database: Database) throws(EngineError) {
        let made = try database.prepare("PRAGMA application_id")
        guard try made.step(), made.integer(0) == Self.applicationID else { return nil }
        made.reset()
        let version = try database.prepare("PRAGMA user_version")
        guard try version.step(), version.integer(0) == Self.version else {
            throw Self.unknownFormat(version.integer(0), in: database.storage)
        }
        version.reset()
        var facts: [String: (number: UInt64, text: String)] = [:]
        let fact = try database.prepare("SELECT name, value FROM _coxswain_storage")
        while try fact.step() { facts[fact.text(0)] = (fact.unsigned(1), fact.text(1)) }
        fact.reset()
        var columns: [Column] = []
        var keys: [(place: Int64, name: RelationName)] = []
        let column = try database.prepare("SELECT name, type, key FROM _coxswain_columns ORDER BY ordinal")
        defer { column.reset() }
        while try column.step() {
            guard let name = try? RelationName(column.text(0)), let type = ColumnType(rawValue: column.text(1)) else {
                throw .damaged(database.storage, detail: "column '\(column.text(0))' of type '\(column.text(1))' is unknown")
            }
            columns.append(Column(name: name, type: type))
            if !column.isNull(2) { keys.append((column.integer(2), name)) }
        }
        guard let id = facts["table_id"], let name = (facts["table_name"]?.text).flatMap({ try? RelationName($0) }),
            !keys.isEmpty
        else { throw .damaged(database.storage, detail: "the file does not say which table it holds") }
        table = TableID(id.number)
        self.name = name
        shape = RowShape(columns: columns, key: keys.sorted { $0.place < $1.place }.map(\.name))
    }

    static func unknownFormat(_ format: Int64, in storage: StorageID) -> EngineError {
        .failed(
            storage, detail: "the file's format is \(format); this version knows \(version): its rows are to come from a peer")
    }

    private static func declaration(of column: Column) -> String {
        switch column.type {
        case .integer, .timestamp: "INTEGER"
        case .text: "TEXT"
        case .bytes: "BLOB"
        case .double: "REAL"
        case .boolean: "INTEGER CHECK (\"\(column.name)\" IN (0, 1))"
        }
    }
}
