import Client
import LoadLedger

/// What a look at every row of a ledger found.
struct LedgerAudit: Sendable {
    /// The newest acknowledged write is there.
    private(set) var kept = 0
    /// Keys of rows that hold a write of which nobody says when it happened: nothing is known of what was acknowledged; sorted.
    private(set) var undecided: [String] = []
    /// Acknowledged and gone, each with what was found; sorted.
    private(set) var lost: [String] = []

    var rows: Int { kept + undecided.count + lost.count }

    /// Why a ledger is not kept where something is undecided.
    var undecidedWords: String {
        "\(undecided.count) keys hold a write whose outcome nobody tells, and a lost one may hide behind it: "
            + undecided.prefix(10).joined(separator: " ")
    }

    /// Reads every row with an acknowledged write, strongly, while nobody writes to them.
    ///
    /// - Parameter row: the row that was written for a key and a value; nil: one that has nothing else.
    /// - Throws: `ClientError` when a row cannot be read: then nothing is known, and that is no pass.
    static func run(
        _ ledger: Ledger, of subject: LedgerSubject, by client: CoxswainClient, readers: Int,
        row: (@Sendable (_ key: String, _ value: String) -> JSONValue)? = nil
    ) async throws -> LedgerAudit {
        let keys = ledger.keys
        return try await withThrowingTaskGroup(of: LedgerAudit.self) { group in
            for reader in 0..<readers {
                group.addTask {
                    var part = LedgerAudit()
                    for index in stride(from: reader, to: keys.count, by: readers) {
                        let key = keys[index]
                        let text = JSONValue.array([.string(key)]).text
                        let found = try await client.get(key: text, in: subject.table)?[subject.valueColumn]?.string
                        let finding = await ledger.judge(key, found: found) { (once) async throws(ClientError) in
                            let value = found ?? ""
                            return try await client.put(
                                row?(key, value) ?? subject.row(key, value), key: text, in: subject.table, once: once)
                        }
                        part.count(finding, of: key)
                    }
                    return part
                }
            }
            var whole = LedgerAudit()
            for try await part in group { whole.merge(part) }
            whole.lost.sort()
            whole.undecided.sort()
            return whole
        }
    }

    mutating func count(_ finding: Ledger.Finding?, of key: String) {
        switch finding {
        case .kept: kept += 1
        case .unknownHappened: undecided.append(key)
        case .lost(let expected, let found):
            lost.append(
                "\(key): \(found ?? "nothing") in place of \(expected.value), acknowledged at \(expected.receipt.position)")
        case nil: break
        }
    }

    mutating func merge(_ other: LedgerAudit) {
        kept += other.kept
        undecided += other.undecided
        lost += other.lost
    }
}
