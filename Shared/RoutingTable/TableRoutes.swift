package import Model

/// One table's partitions in key order, with what a search needs beside them. A class: it is shared by every routing table, and every
/// route, that did not change it.
package final class TableRoutes: Sendable {
    package let table: TableDescriptor
    /// In key order, without gap or overlap. Empty while a table that is being dropped loses its last ones.
    package let partitions: [PartitionDescriptor]
    private let bounds: LowerBounds

    /// - Throws: `Defect` unless the partitions cover every key exactly once. A table that is being dropped may have lost some.
    convenience init(_ table: TableDescriptor, partitions unsorted: [PartitionDescriptor]) throws(Defect) {
        let sorted = unsorted.sorted { $0.range.low < $1.range.low }
        try Self.check(sorted, in: sorted.indices, of: table)
        self.init(table, sorted, LowerBounds(sorted))
    }

    private init(_ table: TableDescriptor, _ partitions: [PartitionDescriptor], _ bounds: LowerBounds) {
        self.table = table
        self.partitions = partitions
        self.bounds = bounds
    }

    private var mayHaveGaps: Bool { table.status == .deleting }

    /// The routes of `table`, which is this one at a later revision, where `new` partitions have come in place of `gone` ones; one that has
    /// changed is both. What lies outside of all of them is copied, and not looked at.
    ///
    /// - Parameter gone: some of this one's.
    func replacing(
        _ gone: [PartitionDescriptor], by new: [PartitionDescriptor], as table: TableDescriptor
    ) throws(Defect) -> TableRoutes {
        guard table.status == self.table.status else {
            return try TableRoutes(table, partitions: Self.exchange(gone, for: new, in: partitions[...]))
        }
        let places = (gone + new).map { max(0, lastIndex(notAbove: $0.range.low)) }
        guard let head = places.min(), let last = places.max() else { return TableRoutes(table, partitions, bounds) }
        let end = min(last + 1, partitions.count)
        let middle = Self.exchange(gone, for: new, in: partitions[head..<end]).sorted { $0.range.low < $1.range.low }
        var all: [PartitionDescriptor] = []
        all.reserveCapacity(head + middle.count + partitions.count - end)
        all += partitions[..<head]
        all += middle
        all += partitions[end...]
        try Self.check(all, in: head..<head + middle.count, of: table)
        return TableRoutes(table, all, LowerBounds(all, after: bounds, head: head, tail: partitions.count - end))
    }

    private static func exchange(
        _ gone: [PartitionDescriptor], for new: [PartitionDescriptor], in partitions: ArraySlice<PartitionDescriptor>
    ) -> [PartitionDescriptor] {
        let gone = Set(gone.map(\.id))
        return partitions.filter { !gone.contains($0.id) } + new
    }

    /// Looks at the partitions in `range`, and at what they have beside them.
    private static func check(
        _ partitions: [PartitionDescriptor], in range: Range<Int>, of table: TableDescriptor
    ) throws(Defect) {
        guard table.status != .deleting else { return }
        guard let first = partitions.first, let last = partitions.last else { throw .gap(table.id, upTo: .least, from: nil) }
        guard first.range.low == .least else { throw .gap(table.id, upTo: .least, from: first.range.low) }
        for index in max(range.lowerBound, 1)..<max(1, min(range.upperBound + 1, partitions.count)) {
            let (before, after) = (partitions[index - 1], partitions[index])
            guard let high = before.range.high, high <= after.range.low else {
                throw .overlap(table.id, before.id, after.id)
            }
            guard high == after.range.low else { throw .gap(table.id, upTo: high, from: after.range.low) }
        }
        if let high = last.range.high { throw .gap(table.id, upTo: high, from: nil) }
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
        let undecided = bounds.undecided(for: key)
        var (low, high) = (undecided.lowerBound, undecided.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if partitions[middle].range.low <= key { low = middle + 1 } else { high = middle }
        }
        return low - 1
    }
}
