// What a load was promised, and whether the promise was kept.

import Client
import Model

/// Every acknowledged write, and every write of which nobody knows. Each write of a load has a value of its own.
struct Ledger: Sendable {
    enum Event: Hashable, Sendable {
        /// Noted before it is sent: an answer may never come.
        case sent(key: String, value: String)
        case acknowledged(key: String, value: String, at: CoxswainClient.Receipt)
        /// Nothing changed, says the cluster.
        case refused(key: String, value: String)
    }

    struct Entry: Hashable, Sendable {
        let value: String
        let receipt: CoxswainClient.Receipt
    }

    enum Finding: Hashable, Sendable {
        case kept
        /// The row has the value of a write whose outcome was unknown: it happened after all.
        case unknownHappened
        /// An acknowledged write is not there.
        case lost(expected: Entry, found: String?)
    }

    /// Of each key, the acknowledged write that stands last in the order of its partition: the one that must be readable.
    private var newest: [String: Entry] = [:]
    /// Sent, and neither acknowledged nor refused.
    private var open: [String: Set<String>] = [:]
    private var places: Set<CoxswainClient.Receipt> = []
    private(set) var acknowledgedCount = 0
    private(set) var refusedCount = 0
    /// Keys of writes that were acknowledged at a place in the order that another write has: two histories of one partition.
    private(set) var conflicts: [String] = []

    init() {}

    var unknownCount: Int { open.values.reduce(0) { $0 + $1.count } }
    /// The keys of which at least one write was acknowledged, sorted.
    var keys: [String] { newest.keys.sorted() }

    mutating func note(_ event: Event) {
        switch event {
        case .sent(let key, let value): open[key, default: []].insert(value)
        case .acknowledged(let key, let value, let receipt):
            settle(key, value)
            acknowledgedCount += 1
            if !places.insert(receipt).inserted { conflicts.append(key) }
            // Acknowledgements may arrive in another order than the writes have; epochs rise over splits and moves too.
            if newest[key].map({ $0.receipt.position < receipt.position }) ?? true {
                newest[key] = Entry(value: value, receipt: receipt)
            }
        case .refused(let key, let value):
            settle(key, value)
            refusedCount += 1
        }
    }

    private mutating func settle(_ key: String, _ value: String) {
        guard var values = open[key] else { return }
        values.remove(value)
        open[key] = values.isEmpty ? nil : values
    }

    /// Judges what a strong read of a key gave while nobody wrote to it; nil for a key of which nothing was promised.
    func judge(_ key: String, found: String?) -> Finding? {
        guard let newest = newest[key] else { return nil }
        if found == newest.value { return .kept }
        if let found, open[key]?.contains(found) == true { return .unknownHappened }
        return .lost(expected: newest, found: found)
    }
}
