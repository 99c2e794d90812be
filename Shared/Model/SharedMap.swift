// A dictionary of which many versions live side by side: each change copies the few nodes on the way to one entry, and shares the
// rest with the versions before. The catalog changes one entry at a time while watchers hold the version before; with a `Dictionary`
// each such change would copy the whole.
//
// A trie over the bits of the key's hash (Bagwell, "Ideal Hash Trees", 2001), with small arrays at its leaves instead of bitmaps.

package struct SharedMap<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    package typealias Element = (key: Key, value: Value)

    /// A node has so many children, one for each value of so many bits of the hash.
    private static var bits: Int { 4 }
    /// What a leaf holds before it becomes a node, unless the hash has no bits left.
    private static var leafEntries: Int { 16 }

    private enum Node: Sendable {
        case leaf([Element])
        case branch([Node])
    }

    private var root = Node.leaf([])
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    package subscript(key: Key) -> Value? {
        get { Self.value(of: key, in: root, key.hashValue) }
        set {
            if let newValue {
                if Self.set(newValue, of: key, in: &root, key.hashValue, depth: 0) { count += 1 }
            } else if Self.remove(key, in: &root, key.hashValue, depth: 0) {
                count -= 1
            }
        }
    }

    /// In no order.
    package var values: some Sequence<Value> { lazy.map(\.value) }

    private static func slot(_ hash: Int, _ depth: Int) -> Int { (hash >> (depth * bits)) & (1 << bits - 1) }

    private static func value(of key: Key, in root: Node, _ hash: Int) -> Value? {
        var (node, depth) = (root, 0)
        while case .branch(let children) = node {
            node = children[slot(hash, depth)]
            depth += 1
        }
        guard case .leaf(let entries) = node else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// - Returns: whether the key is new.
    private static func set(_ value: Value, of key: Key, in node: inout Node, _ hash: Int, depth: Int) -> Bool {
        switch node {
        case .branch(var children):
            // What is changed must be held once, or it would be copied although nobody else has it.
            node = .leaf([])
            let isNew = set(value, of: key, in: &children[slot(hash, depth)], hash, depth: depth + 1)
            node = .branch(children)
            return isNew
        case .leaf(var entries):
            node = .leaf([])
            if let place = entries.firstIndex(where: { $0.key == key }) {
                entries[place].value = value
                node = .leaf(entries)
                return false
            }
            entries.append((key, value))
            node = entries.count > leafEntries && (depth + 1) * bits <= Int.bitWidth ? parted(entries, depth) : .leaf(entries)
            return true
        }
    }

    private static func parted(_ entries: [Element], _ depth: Int) -> Node {
        var parts = [[Element]](repeating: [], count: 1 << bits)
        for entry in entries { parts[slot(entry.key.hashValue, depth)].append(entry) }
        return .branch(parts.map { .leaf($0) })
    }

    /// Branches stay when they have emptied: what shrinks grows again, or is made anew from a snapshot.
    ///
    /// - Returns: whether the key was there.
    private static func remove(_ key: Key, in node: inout Node, _ hash: Int, depth: Int) -> Bool {
        switch node {
        case .branch(var children):
            node = .leaf([])
            let wasThere = remove(key, in: &children[slot(hash, depth)], hash, depth: depth + 1)
            node = .branch(children)
            return wasThere
        case .leaf(var entries):
            guard let place = entries.firstIndex(where: { $0.key == key }) else { return false }
            node = .leaf([])
            entries.remove(at: place)
            node = .leaf(entries)
            return true
        }
    }
}

extension SharedMap: Sequence {
    package struct Iterator: IteratorProtocol {
        private var nodes: [Node]
        private var entries: ArraySlice<Element> = []

        fileprivate init(_ map: SharedMap) { nodes = [map.root] }

        package mutating func next() -> Element? {
            while true {
                if let entry = entries.popFirst() { return entry }
                switch nodes.popLast() {
                case .branch(let children)?: nodes += children
                case .leaf(let found)?: entries = found[...]
                case nil: return nil
                }
            }
        }
    }

    package func makeIterator() -> Iterator { Iterator(self) }
    package var underestimatedCount: Int { count }
}

extension SharedMap: Equatable where Value: Equatable {
    package static func == (a: Self, b: Self) -> Bool {
        a.count == b.count && a.allSatisfy { b[$0.key] == $0.value }
    }
}

extension SharedMap: Hashable where Value: Hashable {
    package func hash(into hasher: inout Hasher) {
        // Entries come in no order, so that the sum of their hashes stands for them.
        var sum = 0
        for (key, value) in self {
            var own = Hasher()
            own.combine(key)
            own.combine(value)
            sum &+= own.finalize()
        }
        hasher.combine(count)
        hasher.combine(sum)
    }
}
