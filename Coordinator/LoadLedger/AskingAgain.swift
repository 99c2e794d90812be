package import Client

extension Ledger {
    /// Does a write, and asks again where nobody says what became of it: what is told then has its place among the others, and what
    /// is not could stand for one that was lost.
    ///
    /// - Parameter write: each time the same, under the same key (rule R8).
    /// - Throws: what the first try came to, if that left nothing open; else why its outcome is unknown still.
    package static func asking(
        times: Int = 4, _ write: () async throws(ClientError) -> CoxswainClient.Receipt
    ) async throws(ClientError) -> CoxswainClient.Receipt {
        var open: ClientError?
        for _ in 0..<times {
            do throws(ClientError) {
                let receipt = try await write()
                guard open != nil else { return receipt }
                return CoxswainClient.Receipt(partition: receipt.partition, position: receipt.position, mayBeEarlier: true)
            } catch {
                switch error {
                case .outcomeUnknown, .unexpectedAnswer: open = open ?? error
                // This try did nothing; an earlier one may have.
                case .refused, .unreachable, .invalid: if open == nil { throw error }
                }
            }
        }
        throw open ?? .outcomeUnknown("nobody was asked")
    }
}
