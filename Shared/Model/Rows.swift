// Rows and the changes to them.

/// The type of a column.
package enum ColumnType: String, Hashable, Sendable, CaseIterable {
    case integer, text, bytes, boolean, double, timestamp
}

/// One column's value in one row.
package enum Value: Hashable, Sendable {
    case null
    case integer(Int64)
    case text(String)
    case bytes([UInt8])
    case boolean(Bool)
    case double(Double)
    /// Microseconds since 1970-01-01 UTC.
    case timestamp(Int64)

    /// The type that this value has; nil for null, which every column but a key column may hold.
    package var type: ColumnType? {
        switch self {
        case .null: nil
        case .integer: .integer
        case .text: .text
        case .bytes: .bytes
        case .boolean: .boolean
        case .double: .double
        case .timestamp: .timestamp
        }
    }
}

/// A change of one row. `values` stand in the order of the table's columns, key columns included.
package enum Mutation: Hashable, Sendable {
    case put(key: Key, values: [Value])
    case delete(key: Key)

    package var key: Key {
        switch self {
        case .put(let key, _), .delete(let key): key
        }
    }
}

/// A row as it is read.
package struct Row: Hashable, Sendable {
    package let key: Key
    package let values: [Value]

    package init(key: Key, values: [Value]) {
        self.key = key
        self.values = values
    }
}
