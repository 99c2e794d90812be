// Who and what: identifiers that travel on wires, in logs and in URLs. Each is a type of its own, so that a partition is never
// passed where a storage is meant. Names that people choose are checked once, here, on every way in.

/// The reason for which a name, an identifier or a value from outside is refused.
package struct InvalidValue: Error, Hashable, Sendable, CustomStringConvertible {
    /// The field at fault, as the caller wrote it.
    package let field: String
    /// What is wrong and what is allowed.
    package let detail: String

    package init(field: String, detail: String) {
        self.field = field
        self.detail = detail
    }

    package var description: String { "\(field): \(detail)" }
}

/// A machine's identity: an agent's or a coordinator's. Matches `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`.
package struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let name: String

    /// - Throws: `InvalidValue` when `name` does not have the form of a node name.
    package init(_ name: String) throws(InvalidValue) {
        try NameRule.host.check(name, field: "node_id")
        self.name = name
    }

    package static func < (a: Self, b: Self) -> Bool { a.name < b.name }
    package var description: String { name }
}

/// A failure domain. Matches `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`.
package struct ZoneName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let name: String

    /// - Throws: `InvalidValue` when `name` does not have the form of a zone name.
    package init(_ name: String) throws(InvalidValue) {
        try NameRule.host.check(name, field: "zone")
        self.name = name
    }

    package static func < (a: Self, b: Self) -> Bool { a.name < b.name }
    package var description: String { name }
}

/// A table's or a column's name. Matches `[a-z][a-z0-9_]{0,62}`.
package struct RelationName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let name: String

    /// - Throws: `InvalidValue` naming `field` when `name` does not have the form.
    package init(_ name: String, field: String = "table_name") throws(InvalidValue) {
        try NameRule.relation.check(name, field: field)
        self.name = name
    }

    package static func < (a: Self, b: Self) -> Bool { a.name < b.name }
    package var description: String { name }
}

/// Somebody who acts: an operator, a program, a node. 1 to 255 printable ASCII bytes.
package struct Principal: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let name: String

    /// - Throws: `InvalidValue` when `name` is empty, too long, or not printable.
    package init(_ name: String) throws(InvalidValue) {
        try NameRule.printable.check(name, field: "principal")
        self.name = name
    }

    /// An agent, which asks on its own account.
    package init(node: NodeID) throws(InvalidValue) { try self.init("node/\(node)") }

    /// Whether an agent asked, on its own account.
    package var isNode: Bool { name.hasPrefix("node/") }
    /// Whether a coordinator asked, on its own account.
    package var isCoordinator: Bool { name.hasPrefix("coordinator/") }

    package static func < (a: Self, b: Self) -> Bool { a.name < b.name }
    package var description: String { name }
}

/// The forms that names may have (ASCII only, so that equal names look equal).
package enum NameRule: Sendable {
    case host, relation, printable

    package func check(_ name: String, field: String) throws(InvalidValue) {
        let bytes = Array(name.utf8.prefix(256))
        let holds: Bool
        let form: String
        switch self {
        case .host:
            form = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
            holds =
                (1...63).contains(bytes.count) && Self.isLower(bytes[0]) && bytes[bytes.count - 1] != UInt8(ascii: "-")
                && bytes.allSatisfy { Self.isLower($0) || Self.isDigit($0) || $0 == UInt8(ascii: "-") }
        case .relation:
            form = "[a-z][a-z0-9_]{0,62}"
            holds =
                (1...63).contains(bytes.count) && Self.isLower(bytes[0])
                && bytes.allSatisfy { Self.isLower($0) || Self.isDigit($0) || $0 == UInt8(ascii: "_") }
        case .printable:
            form = "1 to 255 printable ASCII bytes"
            holds = (1...255).contains(bytes.count) && bytes.allSatisfy { (0x21...0x7E).contains($0) }
        }
        guard holds else {
            throw InvalidValue(field: field, detail: "'\(String(name.prefix(64)))' does not match \(form)")
        }
    }

    private static func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

/// An identifier that is a number given once and never again.
package protocol NumericID: Hashable, Comparable, Sendable, CustomStringConvertible {
    var number: UInt64 { get }
    init(_ number: UInt64)
}

extension NumericID {
    package static func < (a: Self, b: Self) -> Bool { a.number < b.number }
    package var description: String { String(number) }
}

/// The random identity of a data folder, made once in it (rule E4).
package struct StoreID: NumericID {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
}

/// A table: the Raft index of its creation.
package struct TableID: NumericID {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
}

/// A key range of a table: `(Raft index of its creation) << 16 | ordinal`, below 2^53 so that JSON carries it exactly.
package struct PartitionID: NumericID {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }

    /// The `ordinal`-th partition made by the entry at `index`.
    package init(madeAt index: UInt64, ordinal: Int) {
        precondition((0..<65_536).contains(ordinal), "ordinal \(ordinal) does not fit 16 bits")
        self.number = index << 16 | UInt64(ordinal)
    }
}

/// A database file of one node. Partitions that came out of one split share a storage; numbered as the partition for which it
/// was first made, or by the operation that made it.
package struct StorageID: NumericID {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
}

/// A durable long-running change: the Raft index of its begin.
package struct OperationID: NumericID {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
}

/// A node's committed registration since its last start: the Raft index of that registration (rule E6). Zero: none yet.
package struct SessionID: NumericID {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package static let none = SessionID(0)
}

/// A node's persisted count of starts; orders its lives in gossip (rule E4).
package struct Generation: NumericID {
    package let number: UInt64
    package init(_ number: UInt64) { self.number = number }
}

/// A cluster's identity, made once by `cluster init`.
package struct ClusterID: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    /// - Throws: `InvalidValue` unless `text` is 32 lower-case hexadecimal digits.
    package init(_ text: String) throws(InvalidValue) {
        guard text.utf8.count == 32, text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else {
            throw InvalidValue(field: "cluster_id", detail: "expected 32 lower-case hexadecimal digits")
        }
        self.text = text
    }

    package var description: String { text }
}

/// A caller's name for one request, under which a repeated request gets the first answer. 1 to 255 printable ASCII bytes.
package struct RequestID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    /// - Throws: `InvalidValue` when `text` is empty, too long or not printable.
    package init(_ text: String) throws(InvalidValue) {
        try NameRule.printable.check(text, field: "request_id")
        self.text = text
    }

    package static func < (a: Self, b: Self) -> Bool { a.text < b.text }
    package var description: String { text }
}
