// Why bytes from outside were refused. A reader is total: whatever arrives, it answers with a value or with one of these.

/// The reason for which a message is refused; nothing of it has been used.
package struct WireError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// The bytes are not a message of the expected kind.
        case malformed
        /// A field that must be present is not.
        case missing
        /// An enumeration's number, or a message's case, that this version does not know.
        case unknown(Int)
        /// More bytes, or more elements, than the limit.
        case tooLarge(count: Int, limit: Int)
        /// Present and readable, but not a value that the field may have.
        case invalid(String)
    }

    /// The field at fault, `Message.field`.
    package let field: String
    package let reason: Reason

    package init(_ field: String, _ reason: Reason) {
        self.field = field
        self.reason = reason
    }

    package var description: String {
        switch reason {
        case .malformed: "\(field): malformed"
        case .missing: "\(field): missing"
        case .unknown(let number): "\(field): unknown case \(number)"
        case .tooLarge(let count, let limit): "\(field): \(count) is above the limit of \(limit)"
        case .invalid(let detail): "\(field): \(detail)"
        }
    }
}
