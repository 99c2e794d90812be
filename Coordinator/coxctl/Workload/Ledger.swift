// What a workload was promised, and whether the promise was kept.

import Client
import Model

/// Every acknowledged write, and every write of which nobody knows.
struct Ledger: Sendable {
    struct Entry: Hashable, Sendable {
        let value: String
        let position: Position
    }

    enum Finding: Hashable, Sendable {
        case kept
        /// The row has the value of a write whose outcome was unknown: it happened after all.
        case unknownHappened
        /// An acknowledged write is not there.
        case lost(expected: Entry, found: String?)
    }

    /// In the order in which they were acknowledged; the last in the partition's order is what must be readable.
    private var acknowledged: [UInt64: [Entry]] = [:]
    private var unknown: [UInt64: Set<String>] = [:]
    private(set) var acknowledgedCount = 0
    private(set) var unknownCount = 0

    init() {}

    mutating func acknowledge(_ item: UInt64, value: String, position: Position) {
        acknowledged[item, default: []].append(Entry(value: value, position: position))
        acknowledgedCount += 1
    }

    mutating func doubt(_ item: UInt64, value: String) {
        unknown[item, default: []].insert(value)
        unknownCount += 1
    }

    /// The items of which at least one write was acknowledged, sorted.
    var items: [UInt64] { acknowledged.keys.sorted() }

    /// Judges what a strong read of an item gave after the workload had ended.
    func judge(_ item: UInt64, found: String?) -> Finding? {
        guard let newest = acknowledged[item]?.max(by: { $0.position < $1.position }) else { return nil }
        if found == newest.value { return .kept }
        if let found, unknown[item]?.contains(found) == true { return .unknownHappened }
        return .lost(expected: newest, found: found)
    }

    mutating func merge(_ other: Ledger) {
        acknowledged.merge(other.acknowledged) { $0 + $1 }
        unknown.merge(other.unknown) { $0.union($1) }
        acknowledgedCount += other.acknowledgedCount
        unknownCount += other.unknownCount
    }
}
