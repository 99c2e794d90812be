package import Model

/// One member of the group: a node, and the store in which it keeps its log.
///
/// A node that comes back with an empty disk has forgotten its votes and what it acknowledged. Under its old name it could vote a
/// second time in a term, or elect a leader that lacks what is committed; so it is another member, which the group takes in anew.
package struct MemberID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let node: NodeID
    /// Nil: the store with which the node was there when the group was founded. Any later one has a random identity of its own.
    package let store: StoreID?

    package init(_ node: NodeID, store: StoreID? = nil) {
        self.node = node
        self.store = store
    }

    /// Reads what `description` writes: `c1`, or `c1/4f2a` with the store in lower-case hexadecimal digits.
    /// - Throws: `InvalidValue` when the text has neither form.
    package init(text: String) throws(InvalidValue) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: self.init(try NodeID(text))
        case 2:
            // Read back and compared, so that a store has one name only.
            guard let number = UInt64(parts[1], radix: 16), String(number, radix: 16) == parts[1] else {
                throw InvalidValue(field: "store", detail: "'\(parts[1].prefix(32))' is not a hexadecimal number of 64 bits")
            }
            self.init(try NodeID(String(parts[0])), store: StoreID(number))
        default: throw InvalidValue(field: "member", detail: "'\(text.prefix(96))' is neither a node nor node/store")
        }
    }

    /// Whether this is the store with which the node was there when the group was founded.
    package var isFounding: Bool { store == nil }

    /// By node; of one node the founding store comes first, the others by number.
    package static func < (a: Self, b: Self) -> Bool {
        guard a.node == b.node else { return a.node < b.node }
        switch (a.store, b.store) {
        case (nil, nil), (_?, nil): return false
        case (nil, _?): return true
        case (let a?, let b?): return a < b
        }
    }

    package var description: String { store.map { "\(node)/\(String($0.number, radix: 16))" } ?? node.name }
}
