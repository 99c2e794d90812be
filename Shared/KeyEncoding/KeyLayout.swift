// Keys whose byte order is the order of their values, so that ranges of partitions, engine scans and route look-ups compare bytes
// and know nothing of types.
//
// The columns' encodings stand one after the other, without tags: the table's descriptor says what they are. Each is free of
// prefixes (no encoding of a value begins another one of the same column), so the first difference of two keys lies inside the
// first column that differs, and all keys that share leading columns share leading bytes:
//
//   integer, timestamp   8 bytes, big-endian, sign bit flipped
//   boolean              1 byte, 0 or 1
//   double               8 bytes, big-endian: sign bit flipped when positive, every bit when negative; -0 becomes 0
//   text, bytes          the bytes (text: UTF-8), 00 written as 00 FF, ended by 00 01
//
// Text is ordered by its UTF-8 bytes, which is the order of Unicode scalars; collations were refused, because they change with
// library versions, and a changed order would break every stored range.

package import Model

/// The key columns of one table, in key order: how its keys are written and read.
package struct KeyLayout: Hashable, Sendable {
    package let columns: [Column]

    package init(columns: [Column]) { self.columns = columns }

    package init(_ table: TableDescriptor) { self.init(columns: table.keyColumns) }

    /// The key of one value for each key column.
    package func key(of values: [Value]) throws(KeyError) -> Key {
        if values.count < columns.count { throw .missing(column: columns[values.count].name) }
        return try bound(at: values)
    }

    /// The least key that begins with `values`, which may name fewer columns than the key has: the bound of a scan or a split.
    package func bound(at values: [Value]) throws(KeyError) -> Key {
        if values.count > columns.count { throw .tooManyValues(count: values.count, columns: columns.count) }
        var bytes: [UInt8] = []
        for (value, column) in zip(values, columns) {
            try ColumnCodec.append(value, of: column, to: &bytes)
            if bytes.count > Limits.keyBytes {
                throw .tooLong(column: column.name, bytes: bytes.count, limit: Limits.keyBytes)
            }
        }
        return Key(bytes)
    }

    /// Every key that begins with `values`: all rows of one partition key, say. No values: every key.
    package func range(startingWith values: [Value]) throws(KeyError) -> KeyRange {
        let low = try bound(at: values)
        return KeyRange(low: low, high: low.prefixEnd)
    }

    /// The values that a key was made of.
    /// - Throws: for every byte string that `key(of:)` does not make.
    package func values(of key: Key) throws(KeyError) -> [Value] {
        let values = try leadingValues(of: key)
        if values.count < columns.count { throw .truncated(column: columns[values.count].name) }
        return values
    }

    /// The values that a bound was made of: as `values(of:)`, but the bytes may end after any column.
    package func leadingValues(of key: Key) throws(KeyError) -> [Value] {
        var rest = key.bytes[...]
        var values: [Value] = []
        values.reserveCapacity(columns.count)
        for column in columns where !rest.isEmpty {
            values.append(try ColumnCodec.read(column, from: &rest))
        }
        if !rest.isEmpty { throw .trailing(bytes: rest.count) }
        return values
    }
}

extension Key {
    /// The least key above every key that begins with this one; nil when there is none, that is, all bytes are FF.
    package var prefixEnd: Key? {
        guard let last = bytes.lastIndex(where: { $0 != 0xFF }) else { return nil }
        return Key(bytes[..<last] + [bytes[last] + 1])
    }

    /// The least key above this one.
    package var next: Key { Key(bytes + [0]) }
}
