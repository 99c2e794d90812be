package import KeyEncoding
package import Model

/// Why values are no row of a table.
package enum RowError: Error, Hashable, Sendable, CustomStringConvertible {
    case valueCount(found: Int, columns: Int)
    case wrongType(column: RelationName, expected: ColumnType, found: ColumnType)
    /// NaN compares with nothing and is no value of a database.
    case notANumber(column: RelationName)
    /// The key columns make no key.
    case key(KeyError)
    /// The row stands under a key that its key columns do not make.
    case keyMismatch(key: Key, fromColumns: Key)

    /// The column at fault, where there is one.
    package var column: RelationName? {
        switch self {
        case .wrongType(let column, _, _), .notANumber(let column): column
        case .key(let error): error.column
        case .valueCount, .keyMismatch: nil
        }
    }

    package var description: String {
        switch self {
        case .valueCount(let found, let columns): "\(found) values for \(columns) columns"
        case .wrongType(let column, let expected, let found):
            "column '\(column)' is \(expected.rawValue), not \(found.rawValue)"
        case .notANumber(let column): "column '\(column)' is not a number"
        case .key(let error): "\(error)"
        case .keyMismatch(let key, let columns): "the row's columns make key \(columns), but it is stored under \(key)"
        }
    }
}

/// What a row of one table must look like. Checked before a write is ordered, because what is ordered must be applicable.
package struct RowShape: Hashable, Sendable {
    package let columns: [Column]
    package let layout: KeyLayout
    /// Where the key's columns stand among the columns, in key order.
    package let keyIndexes: [Int]

    package init(_ table: TableDescriptor) { self.init(columns: table.columns, key: table.keyColumns.map(\.name)) }

    /// - Parameter key: the names of the key's columns, in key order.
    init(columns: [Column], key: [RelationName]) {
        self.columns = columns
        keyIndexes = key.compactMap { name in columns.firstIndex { $0.name == name } }
        layout = KeyLayout(columns: keyIndexes.map { columns[$0] })
    }

    /// The key that a row's values make.
    package func key(of values: [Value]) throws(RowError) -> Key {
        guard values.count == columns.count else { throw .valueCount(found: values.count, columns: columns.count) }
        do { return try layout.key(of: keyIndexes.map { values[$0] }) } catch { throw .key(error) }
    }

    /// Refuses what is not a row of this table under `key`.
    package func check(_ values: [Value], under key: Key) throws(RowError) {
        try checkTypes(values)
        let made = try self.key(of: values)
        guard made == key else { throw .keyMismatch(key: key, fromColumns: made) }
    }

    /// Only what storing the values needs; whoever ordered the row has checked it whole.
    func checkTypes(_ values: [Value]) throws(RowError) {
        guard values.count == columns.count else { throw .valueCount(found: values.count, columns: columns.count) }
        for index in columns.indices {
            guard let found = values[index].type else { continue }
            let column = columns[index]
            guard found == column.type else {
                throw .wrongType(column: column.name, expected: column.type, found: found)
            }
            if case .double(let number) = values[index], number.isNaN { throw .notANumber(column: column.name) }
        }
    }
}

extension Row {
    /// Bytes of key and values: what limits and statistics count.
    package var byteCount: Int { key.bytes.count + values.reduce(0) { $0 + $1.byteCount } }
}

extension Value {
    package var byteCount: Int {
        switch self {
        case .null: 0
        case .boolean: 1
        case .integer, .double, .timestamp: 8
        case .text(let text): text.utf8.count
        case .bytes(let bytes): bytes.count
        }
    }
}
