// What a load was promised, and whether the promise was kept.

package import Client
package import Model

/// Every acknowledged write, and every write of which nobody knows. Each write of a load has a value of its own.
package struct Ledger: Sendable {
    package enum Event: Hashable, Sendable {
        /// Noted before it is sent: an answer may never come. Under `once` it may be asked for again (rule R8).
        case sent(key: String, value: String, once: IdempotencyKey? = nil)
        case acknowledged(key: String, value: String, at: CoxswainClient.Receipt)
        /// Nothing changed, says the cluster.
        case refused(key: String, value: String)
    }

    package struct Entry: Hashable, Sendable {
        package let value: String
        package let receipt: CoxswainClient.Receipt

        package init(value: String, receipt: CoxswainClient.Receipt) {
            self.value = value
            self.receipt = receipt
        }
    }

    package enum Finding: Hashable, Sendable {
        case kept
        /// The row has the value of a write whose outcome is unknown still: it happened after all, and before or behind what was
        /// acknowledged, so that nothing is known of that.
        case unknownHappened
        /// An acknowledged write is not there.
        case lost(expected: Entry, found: String?)
    }

    private struct PlaceOfKey: Hashable {
        let key: String
        let position: Position
    }

    /// Of each key, the acknowledged write that stands last in the order of its partition: the one that must be readable.
    private var newest: [String: Entry] = [:]
    private struct OpenWrite {
        let value: String
        let once: IdempotencyKey?
    }

    /// Sent, and neither acknowledged nor refused; few of each key.
    private var open: [String: [OpenWrite]] = [:]
    private var places: Set<CoxswainClient.Receipt> = []
    private var placesOfKeys: Set<PlaceOfKey> = []
    private var acknowledged: [String: Int] = [:]
    package private(set) var acknowledgedCount = 0
    package private(set) var refusedCount = 0
    /// Keys of writes that were acknowledged at a place in the order that another write has: two histories of one partition.
    package private(set) var conflicts: [String] = []

    package init() {}

    /// Sent, and nobody ever said what became of them.
    package var unknownCount: Int { open.values.reduce(0) { $0 + $1.count } }
    /// The keys of which at least one write was acknowledged, sorted.
    package var keys: [String] { newest.keys.sorted() }
    /// How many writes of a key were acknowledged.
    package func acknowledged(of key: String) -> Int { acknowledged[key] ?? 0 }

    package mutating func note(_ event: Event) {
        switch event {
        case .sent(let key, let value, let once):
            settle(key, value)
            open[key, default: []].append(OpenWrite(value: value, once: once))
        case .acknowledged(let key, let value, let receipt):
            settle(key, value)
            acknowledgedCount += 1
            acknowledged[key, default: 0] += 1
            // The positions of one key rise through splits and merges. Of a partition they are told apart only where the partition is the
            // one that gave them: after a merge, two writes of its halves may stand at the same.
            let isNewOfKey = placesOfKeys.insert(PlaceOfKey(key: key, position: receipt.position)).inserted
            let isNew = receipt.mayBeEarlier || places.insert(receipt).inserted
            if !isNewOfKey || !isNew { conflicts.append(key) }
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
        guard var writes = open[key] else { return }
        writes.removeAll { $0.value == value }
        open[key] = writes.isEmpty ? nil : writes
    }

    /// Judges what a strong read of a key gave while nobody wrote to it; nil for a key of which nothing was promised.
    package func judge(_ key: String, found: String?) -> Finding? {
        guard let newest = newest[key] else { return nil }
        if found == newest.value { return .kept }
        if let found, open[key]?.contains(where: { $0.value == found }) == true { return .unknownHappened }
        return .lost(expected: newest, found: found)
    }

    /// Judges as `judge` does. A write of unknown outcome that is found in its row has happened: it is asked for again, and judged by its
    /// place then, so that it stands for none that was lost behind it. None is asked for that is not there, for it might be done now.
    ///
    /// - Parameter ask: the same write once more, under its key.
    package func judge(
        _ key: String, found: String?, asking ask: (IdempotencyKey) async throws(ClientError) -> CoxswainClient.Receipt
    ) async -> Finding? {
        let finding = judge(key, found: found)
        guard finding == .unknownHappened, let found, let once = open[key]?.first(where: { $0.value == found })?.once
        else { return finding }
        let place: CoxswainClient.Receipt
        do throws(ClientError) { place = try await Self.asking { () async throws(ClientError) in try await ask(once) } } catch {
            return finding
        }
        guard let newest = newest[key], newest.receipt.position < place.position else {
            return self.newest[key].map { .lost(expected: $0, found: found) }
        }
        return .kept
    }
}
