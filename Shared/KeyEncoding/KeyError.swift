package import Model

/// Why values make no key, or bytes are no key of a table. Nothing was changed; each case names the column at fault.
package enum KeyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A key column has no value. Every key column needs one.
    case missing(column: RelationName)
    /// A key column is null. A row without a place in the order cannot be stored.
    case null(column: RelationName)
    /// A key column has a value of another type.
    case wrongType(column: RelationName, expected: ColumnType, found: ColumnType)
    /// A key column holds NaN, which has no place in the order of doubles.
    case notANumber(column: RelationName)
    /// There are more values than key columns.
    case tooManyValues(count: Int, columns: Int)
    /// The encoded key exceeds `Limits.keyBytes`.
    case tooLong(column: RelationName, bytes: Int, limit: Int)
    /// The bytes end inside the column's value.
    case truncated(column: RelationName)
    /// The bytes of the column's value are none that encoding makes.
    case malformed(column: RelationName, detail: String)
    /// Bytes follow the last column.
    case trailing(bytes: Int)

    /// The column at fault, where there is one.
    package var column: RelationName? {
        switch self {
        case .missing(let column), .null(let column), .wrongType(let column, _, _), .notANumber(let column),
            .tooLong(let column, _, _), .truncated(let column), .malformed(let column, _):
            column
        case .tooManyValues, .trailing: nil
        }
    }

    package var description: String {
        switch self {
        case .missing(let column): "key column '\(column)' is missing"
        case .null(let column): "key column '\(column)' is null; key columns need a value"
        case .wrongType(let column, let expected, let found):
            "key column '\(column)' is \(expected.rawValue), not \(found.rawValue)"
        case .notANumber(let column): "key column '\(column)' is not a number; NaN has no place in an order"
        case .tooManyValues(let count, let columns): "\(count) key values for \(columns) key columns"
        case .tooLong(let column, let bytes, let limit):
            "the key is \(bytes) bytes long at column '\(column)'; the limit is \(limit)"
        case .truncated(let column): "the key ends inside column '\(column)'"
        case .malformed(let column, let detail): "key column '\(column)': \(detail)"
        case .trailing(let bytes): "\(bytes) bytes follow the last key column"
        }
    }
}
