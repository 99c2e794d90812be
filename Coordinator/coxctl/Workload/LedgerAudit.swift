import Client
import LoadLedger

/// What a look at every row of a ledger found.
struct LedgerAudit: Sendable {
    /// The newest acknowledged write is there.
    private(set) var kept = 0
    /// A write whose outcome is unknown still is there in its place: it happened, and nothing is known of what was acknowledged.
    private(set) var unknownHappened = 0
    /// Acknowledged and gone, each with what was found; sorted.
    private(set) var lost: [String] = []

    var rows: Int { kept + unknownHappened + lost.count }

    /// Reads every row with an acknowledged write, strongly, while nobody writes to them.
    ///
    /// - Throws: `ClientError` when a row cannot be read: then nothing is known, and that is no pass.
    static func run(
        _ ledger: Ledger, of subject: LedgerSubject, by client: CoxswainClient, readers: Int
    ) async throws -> LedgerAudit {
        let keys = ledger.keys
        return try await withThrowingTaskGroup(of: LedgerAudit.self) { group in
            for reader in 0..<readers {
                group.addTask {
                    var part = LedgerAudit()
                    for index in stride(from: reader, to: keys.count, by: readers) {
                        let text = JSONValue.array([.string(keys[index])]).text
                        let found = try await client.get(key: text, in: subject.table)?[subject.valueColumn]?.string
                        part.count(ledger.judge(keys[index], found: found), of: keys[index])
                    }
                    return part
                }
            }
            var whole = LedgerAudit()
            for try await part in group { whole.merge(part) }
            whole.lost.sort()
            return whole
        }
    }

    private mutating func count(_ finding: Ledger.Finding?, of key: String) {
        switch finding {
        case .kept: kept += 1
        case .unknownHappened: unknownHappened += 1
        case .lost(let expected, let found):
            lost.append(
                "\(key): \(found ?? "nothing") in place of \(expected.value), acknowledged at \(expected.receipt.position)")
        case nil: break
        }
    }

    mutating func merge(_ other: LedgerAudit) {
        kept += other.kept
        unknownHappened += other.unknownHappened
        lost += other.lost
    }
}
