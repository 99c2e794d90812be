import Client
import Synchronization

/// The most bytes that anybody reported of an operation, before and after compression.
final class BytesSeen: Sendable {
    private let seen = Mutex((raw: 0, wire: 0))

    var most: (raw: Int, wire: Int) { seen.withLock { $0 } }

    /// - Parameter report: an operation as an agent's status or the API shows it.
    func note(_ report: JSONValue) {
        let raw = report["bytes"]?.unsigned.flatMap(Int.init(exactly:)) ?? 0
        let wire = report["wire_bytes"]?.unsigned.flatMap(Int.init(exactly:)) ?? 0
        seen.withLock {
            $0.raw = max($0.raw, raw)
            $0.wire = max($0.wire, wire)
        }
    }
}
