// What partitions write into the log that all of a node's partitions share, and its bytes. Recovery is a fold over these records
// in log order (RecoveredPartition).

package import Model

/// A fence that stops clients (rule M4), and the epoch at which it was set.
package struct Fence: Hashable, Sendable {
    package let operation: OperationID
    package let epoch: Epoch

    package init(operation: OperationID, epoch: Epoch) {
        self.operation = operation
        self.epoch = epoch
    }
}

/// A learner that the primary has proposed for the in-sync set, or is about to (rule R4).
package struct PendingJoin: Hashable, Sendable {
    package let node: NodeID
    package let store: StoreID
    package let expecting: Epoch

    package init(node: NodeID, store: StoreID, expecting: Epoch) {
        self.node = node
        self.store = store
        self.expecting = expecting
    }
}

/// What a replica must not forget beside its entries. Small; written whole at each change.
package struct HardState: Hashable, Sendable {
    /// The newest epoch in which this replica may have acknowledged anything.
    package var epoch: Epoch
    /// The last run that this replica opened, or is about to (rule R1).
    package var run: UInt64
    package var fence: Fence?
    package var pendingJoin: PendingJoin?
    /// The rows here came by a snapshot, and this replica has not known itself in the in-sync set since: it may be that nobody has compared
    /// them (rule M6). Whoever leads is told, for who ordered the copy may lead no more.
    package var isCopied: Bool

    package init(
        epoch: Epoch = Epoch(0), run: UInt64 = 0, fence: Fence? = nil, pendingJoin: PendingJoin? = nil, isCopied: Bool = false
    ) {
        self.isCopied = isCopied
        self.epoch = epoch
        self.run = run
        self.fence = fence
        self.pendingJoin = pendingJoin
    }
}

/// One record of the node's log.
package enum PartitionRecord: Hashable, Sendable {
    case entry(PartitionID, Entry)
    /// Every entry after `through` is taken back.
    case cut(PartitionID, through: UInt64)
    /// The log starts anew after a snapshot that stands at this point.
    case reset(PartitionID, LogPoint)
    case hardState(PartitionID, HardState)
    /// Written before older records are dropped: entries up to the point are in the engine, on disk (rule R9).
    case checkpoint(PartitionID, LogPoint, HardState)
    /// The replica is gone from this node.
    case dropped(PartitionID)
    /// Nothing but a proof that the log can still be written (rule L3).
    case beat

    package var partition: PartitionID? {
        switch self {
        case .entry(let id, _), .cut(let id, _), .reset(let id, _), .hardState(let id, _), .checkpoint(let id, _, _),
            .dropped(let id):
            id
        case .beat: nil
        }
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .entry(let id, let entry):
            writer.put(UInt8(1))
            writer.put(id.number)
            writer.put(entry.position)
            writer.put(entry.checksum)
            writer.put(entry.body)
        case .cut(let id, let through):
            writer.put(UInt8(2))
            writer.put(id.number)
            writer.put(through)
        case .reset(let id, let point):
            writer.put(UInt8(3))
            writer.put(id.number)
            writer.put(point)
        case .hardState(let id, let state):
            writer.put(UInt8(4))
            writer.put(id.number)
            writer.put(state)
        case .checkpoint(let id, let point, let state):
            writer.put(UInt8(5))
            writer.put(id.number)
            writer.put(point)
            writer.put(state)
        case .dropped(let id):
            writer.put(UInt8(6))
            writer.put(id.number)
        case .beat:
            writer.put(UInt8(7))
        }
        return writer.bytes
    }

    /// The record that `bytes` are, whole; nil when they are none.
    package static func decoding(_ bytes: ArraySlice<UInt8>) -> PartitionRecord? {
        var reader = ByteReader(bytes)
        guard let record = reader.record(), reader.isAtEnd else { return nil }
        return record
    }
}

extension ByteWriter {
    mutating func put(_ state: HardState) {
        put(state.epoch.number)
        put(state.run)
        put(UInt8(state.fence == nil ? 0 : 1))
        if let fence = state.fence {
            put(fence.operation.number)
            put(fence.epoch.number)
        }
        // The second of these bits is younger than the first: what was written before it says that nothing was copied.
        put(UInt8(state.pendingJoin == nil ? 0 : 1) | UInt8(state.isCopied ? 2 : 0))
        if let join = state.pendingJoin {
            put(text: join.node.name)
            put(join.store.number)
            put(join.expecting.number)
        }
    }
}

extension ByteReader {
    fileprivate mutating func record() -> PartitionRecord? {
        guard let kind = byte() else { return nil }
        if kind == 7 { return .beat }
        guard let id = uint64().map({ PartitionID($0) }) else { return nil }
        switch kind {
        case 1:
            guard let position = position(), let checksum = uint32(), let body = body() else { return nil }
            return .entry(id, Entry(position: position, body: body, checksum: checksum))
        case 2: return uint64().map { .cut(id, through: $0) }
        case 3: return point().map { .reset(id, $0) }
        case 4: return hardState().map { .hardState(id, $0) }
        case 5:
            guard let point = point(), let state = hardState() else { return nil }
            return .checkpoint(id, point, state)
        case 6: return .dropped(id)
        default: return nil
        }
    }

    private mutating func hardState() -> HardState? {
        guard let epoch = uint64(), let run = uint64(), let hasFence = byte() else { return nil }
        var state = HardState(epoch: Epoch(epoch), run: run)
        if hasFence == 1 {
            guard let operation = uint64(), let epoch = uint64() else { return nil }
            state.fence = Fence(operation: OperationID(operation), epoch: Epoch(epoch))
        }
        guard let marks = byte() else { return nil }
        state.isCopied = marks & 2 != 0
        if marks & 1 != 0 {
            guard let node = node(), let store = uint64(), let expecting = uint64() else { return nil }
            state.pendingJoin = PendingJoin(node: node, store: StoreID(store), expecting: Epoch(expecting))
        }
        return hasFence <= 1 && marks <= 3 ? state : nil
    }
}
