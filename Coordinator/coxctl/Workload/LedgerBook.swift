import Client
import Synchronization
import LoadLedger

/// The ledger of a running load: many writers, one book, and a file if it is to outlive the process.
final class LedgerBook: Sendable {
    private let ledger: Mutex<Ledger>
    private let file: LedgerFile?

    /// - Parameter file: gets every event before the book does.
    init(_ ledger: Ledger = Ledger(), file: LedgerFile? = nil) {
        self.ledger = Mutex(ledger)
        self.file = file
    }

    /// - Throws: `CommandFailure` when the file does not take it. Then a load ends: what it did could not be audited.
    func note(_ event: Ledger.Event) throws(CommandFailure) {
        try file?.append(event)
        ledger.withLock { $0.note(event) }
    }

    var current: Ledger { ledger.withLock { $0 } }

    func judge(_ key: String, found: String?) -> Ledger.Finding? { ledger.withLock { $0.judge(key, found: found) } }
}
