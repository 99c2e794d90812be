package import Model

/// One table's partitions in key order, with what a search needs laid out in one block. A class: it is shared by every routing
/// table, and every route, that did not change it.
package final class TableRoutes: Sendable {
    package let table: TableDescriptor
    /// In key order, without gap or overlap. Empty while a table that is being dropped loses its last ones.
    package let partitions: [PartitionDescriptor]
    /// The first eight bytes of each lower bound, big-endian, padded with zeros: orders as the keys do, except for ties.
    private let prefixes: ContiguousArray<UInt64>
    private let mayHaveGaps: Bool

    /// - Throws: `Defect` unless the partitions cover every key exactly once. A table that is being dropped may have lost some.
    init(_ table: TableDescriptor, partitions unsorted: [PartitionDescriptor]) throws(Defect) {
        let sorted = unsorted.sorted { $0.range.low < $1.range.low }
        if table.status != .deleting { try Self.check(sorted, of: table.id) }
        self.table = table
        mayHaveGaps = table.status == .deleting
        partitions = sorted
        prefixes = ContiguousArray(sorted.map { Self.prefix($0.range.low.bytes) })
    }

    private static func check(_ partitions: [PartitionDescriptor], of table: TableID) throws(Defect) {
        guard let first = partitions.first else { throw .gap(table, upTo: .least, from: nil) }
        guard first.range.low == .least else { throw .gap(table, upTo: .least, from: first.range.low) }
        for (before, after) in zip(partitions, partitions.dropFirst()) {
            guard let high = before.range.high, high <= after.range.low else { throw .overlap(table, before.id, after.id) }
            guard high == after.range.low else { throw .gap(table, upTo: high, from: after.range.low) }
        }
        if let high = partitions.last?.range.high { throw .gap(table, upTo: high, from: nil) }
    }

    /// Where `key` lives; nil only in a table that is being dropped.
    package func route(_ key: Key) -> Routes.Route? {
        let index = lastIndex(notAbove: key)
        guard index >= 0 else { return nil }
        // The lower bound holds by the search; the upper one can fail only where a drop has left a gap.
        if mayHaveGaps, let high = partitions[index].range.high, high <= key { return nil }
        return Routes.Route(self, index)
    }

    package func overlapping(_ range: KeyRange) -> ArraySlice<PartitionDescriptor> {
        let start = max(0, lastIndex(notAbove: range.low))
        let rest = partitions[min(start, partitions.count)...]
        return rest.drop { !$0.range.overlaps(range) }.prefix { $0.range.overlaps(range) }
    }

    /// The index of the last partition whose lower bound is not above `key`, or -1.
    private func lastIndex(notAbove key: Key) -> Int {
        let wanted = Self.prefix(key.bytes)
        var low = 0
        var high = prefixes.count
        while low < high {
            let middle = (low + high) / 2
            let prefix = prefixes[middle]
            // Equal prefixes: the bytes decide, which is rare unless keys share their first eight.
            if prefix < wanted || (prefix == wanted && partitions[middle].range.low <= key) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low - 1
    }

    private static func prefix(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { buffer in
            if buffer.count >= 8 { return UInt64(bigEndian: buffer.loadUnaligned(as: UInt64.self)) }
            var value: UInt64 = 0
            for byte in buffer { value = value << 8 | UInt64(byte) }
            return buffer.isEmpty ? 0 : value << UInt64(8 * (8 - buffer.count))
        }
    }
}
