// The first answer to each request (rule C5): a repeated request must not be carried out twice, and must learn what the first one
// came to. Bounded in number and in log-carried time; both bounds are part of the deterministic state.

package import Model

/// One request and its first answer.
package struct RequestRecord: Hashable, Sendable {
    package let id: RequestID
    package let fingerprint: [UInt8]
    package let index: UInt64
    package let time: WallTime
    package let result: CommandResult

    package init(id: RequestID, fingerprint: [UInt8], index: UInt64, time: WallTime, result: CommandResult) {
        self.id = id
        self.fingerprint = fingerprint
        self.index = index
        self.time = time
        self.result = result
    }
}

package struct RequestLedger: Hashable, Sendable {
    private var byID: [RequestID: RequestRecord] = [:]
    /// Oldest first, behind `forgotten` that are no more: an array that loses its first element moves all the others.
    private var order: [RequestID] = []
    private var forgotten = 0
    /// The index of the newest entry whose request is forgotten, or one behind it.
    private var forgottenUpTo: UInt64 = 0

    package init() {}

    /// The ledger that `records`, oldest first, make.
    package init(_ records: [RequestRecord]) {
        for record in records where byID[record.id] == nil {
            byID[record.id] = record
            order.append(record.id)
        }
        // What was forgotten before the first of them is not written down: anything may have been.
        forgottenUpTo = records.first?.index ?? 0
    }

    /// Oldest first.
    package var records: [RequestRecord] { order[forgotten...].compactMap { byID[$0] } }
    package var count: Int { order.count - forgotten }

    package static func == (a: Self, b: Self) -> Bool {
        a.order[a.forgotten...] == b.order[b.forgotten...] && a.byID == b.byID
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(order[forgotten...]) }

    /// The first answer under `id`, unless it has been forgotten.
    package subscript(id: RequestID) -> RequestRecord? { byID[id] }

    /// Whether a request that was first applied behind the entry at `index` may be one that is forgotten.
    package func mayHaveForgotten(since index: UInt64) -> Bool { forgottenUpTo > index }

    /// Forgets what is older than the window at `time`.
    mutating func forget(at time: WallTime) {
        let horizon = time.milliseconds - CatalogLimits.requestWindow.milliseconds
        let old = order[forgotten...].prefix { byID[$0].map { $0.time.milliseconds < horizon } ?? true }.count
        drop(old)
    }

    /// - Precondition: nothing is recorded under the record's id.
    mutating func record(_ record: RequestRecord) {
        precondition(byID[record.id] == nil, "request \(record.id) is answered twice")
        byID[record.id] = record
        order.append(record.id)
        drop(count - CatalogLimits.requests)
    }

    private mutating func drop(_ count: Int) {
        guard count > 0 else { return }
        for id in order[forgotten...].prefix(count) {
            if let record = byID.removeValue(forKey: id) { forgottenUpTo = max(forgottenUpTo, record.index) }
        }
        forgotten += count
        guard forgotten > CatalogLimits.requests / 4 else { return }
        order.removeFirst(forgotten)
        forgotten = 0
    }
}
