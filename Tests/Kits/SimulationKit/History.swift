// What clients asked and were told, as a list of calls with their times: what a checker of linearizability judges.

package import Model

package enum RegisterOperation: Hashable, Sendable {
    case write(UInt64)
    /// What was read; zero for a register that nobody has written.
    case read(UInt64)
    /// Writes `new` if the register holds `expected`; whether it did is known only when the call returned.
    case swap(expected: UInt64, new: UInt64, succeeded: Bool?)
}

/// One call on one register.
package struct Call: Hashable, Sendable, CustomStringConvertible {
    package let client: Int
    package let key: Int
    package let operation: RegisterOperation
    package let called: LogicalInstant
    /// Nil when the caller never learned how it ended: it may take effect at any time after the call, or never.
    package let returned: LogicalInstant?

    package init(client: Int, key: Int, operation: RegisterOperation, called: LogicalInstant, returned: LogicalInstant?) {
        self.client = client
        self.key = key
        self.operation = operation
        self.called = called
        self.returned = returned
    }

    package var description: String {
        "client\(client) key\(key) \(operation) [\(called), \(returned.map(\.description) ?? "unknown")]"
    }
}
