// A rolling hash of what the applied entries made of the state, by which members that should hold the same state find out that they do
// not (rule C4). It costs a few additions for each entry: it takes what an entry changed, not the state.
//
// Hashed by hand, field by field: Swift's own hashes differ from process to process, and the wire's bytes would cost more than all the
// rest of applying. The words of a refusal are left out: they are for people.

import Model

package struct StateHash: Hashable, Sendable {
    /// Names what is hashed and how. Rises with every change of it, and of what an entry does: members of two versions of this program
    /// must not take each other for damaged. The audit trail's head is mixed in and never forgets: the texts of commands' names and
    /// subjects stay as they are for ever.
    package static let form: UInt32 = 10

    package private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    package init() {}

    package mutating func mix(_ word: UInt64) {
        value = (value ^ word) &* 0x9E37_79B9_7F4A_7C15
        value ^= value >> 29
    }

    package mutating func mix(_ bytes: [UInt8]) {
        mix(UInt64(bytes.count))
        bytes.withUnsafeBytes { bytes in
            var at = 0
            while bytes.count - at >= 8 {
                mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
                at += 8
            }
            var rest: UInt64 = 0
            for place in at..<bytes.count { rest = rest << 8 | UInt64(bytes[place]) }
            mix(rest)
        }
    }

    /// What applying one entry came to.
    package mutating func mix(_ applied: AppliedEntry) {
        switch applied.result {
        case .accepted(.nothing): mix(1)
        case .accepted(.session(let session)): mix([2, session.number])
        case .accepted(.table(let table, let operation)): mix([3, table.number, operation.number])
        case .accepted(.operation(let operation)): mix([4, operation.number])
        case .accepted(.version(let version)): mix([5, version])
        case .refused(let rejection):
            mix(6)
            mix(rejection.code.rawValue)
        }
        guard let delta = applied.delta else { return mix(0) }
        mix([delta.from.index, delta.to.history, delta.to.index, UInt64(delta.changes.count)])
        for change in delta.changes { mix(change) }
    }

    // MARK: - Parts

    private mutating func mix(_ words: [UInt64]) { for word in words { mix(word) } }
    private mutating func mix(_ text: String) { mix(Array(text.utf8)) }
    private mutating func mix(_ time: WallTime?) { mix(time.map { UInt64(bitPattern: $0.milliseconds) } ?? .max) }
    private mutating func mix(_ number: UInt64?) {
        mix(number == nil ? 0 : 1)
        mix(number ?? 0)
    }
    private mutating func mix(_ text: String?) {
        mix(text == nil ? 0 : 1)
        mix(text ?? "")
    }

    private mutating func mix(_ change: TopologyChange) {
        switch change {
        case .node(let node):
            mix(1)
            mix(node)
        case .nodeRemoved(let node):
            mix(2)
            mix(node.name)
        case .table(let table):
            mix(3)
            mix(table)
        case .tableRemoved(let table): mix([4, table.number])
        case .partition(let partition):
            mix(5)
            mix(partition)
        case .partitionRetired(let partition, let epoch, let children):
            mix([6, partition.number, epoch.number, UInt64(children.count)] + children.map(\.number))
        case .operation(let operation):
            mix(7)
            mix(operation)
        case .operationRemoved(let operation): mix([8, operation.number])
        case .signingKey(let key):
            mix(9)
            for text in [key.id, key.algorithm.rawValue] { mix(text) }
            mix(key.publicKey)
            mix(key.createdAt)
        case .signingKeyRemoved(let key):
            mix(10)
            mix(key)
        case .tokenRevoked(let token):
            mix(11)
            mix(token.id)
            mix(token.expiresAt)
        case .tokenForgotten(let token):
            mix(12)
            mix(token)
        case .policy(let policy):
            mix([13, policy.table.number, policy.version, UInt64(policy.actions.count)])
            for text in [policy.principal.name, policy.effect.rawValue] + policy.actions.map(\.rawValue) { mix(text) }
        case .gossipKeys(let keys):
            mix(17)
            mix(keys)
        case .policyRemoved(let table, let principal):
            mix([14, table.number])
            mix(principal.name)
        case .configuration(let entry):
            mix([15, entry.version])
            for text in [entry.scope.description, entry.key, entry.value] { mix(text) }
        case .configurationRemoved(let scope, let key):
            mix(16)
            for text in [scope.description, key] { mix(text) }
        }
    }

    private mutating func mix(_ node: NodeDescriptor) {
        let addresses = node.addresses
        for text in [
            node.id.name, node.zone.name, addresses.gossip, addresses.link, addresses.service, node.status.rawValue,
            node.instanceType, node.version,
        ] { mix(text) }
        mix([node.store.number, node.session.number, node.generation.number])
        // As it was before there was this wish, where there is none.
        if node.isDrainWanted { mix("drain") }
    }

    private mutating func mix(_ table: TableDescriptor) {
        mix([table.id.number, UInt64(table.replicationFactor), UInt64(table.minInSync), UInt64(table.columns.count)])
        for column in table.columns {
            mix(column.name.name)
            mix(column.type.rawValue)
        }
        for text in [table.name.name, table.partitionKey.name, table.status.rawValue, table.capacity.mode.rawValue] {
            mix(text)
        }
        mix(table.sortKey?.name)
        mix(table.capacity.readUnits)
        mix(table.capacity.writeUnits)
        mix(table.createdAt)
    }

    /// Keys by their names, which are digests of them: what is hashed here crosses links.
    private mutating func mix(_ ring: GossipKeys) {
        mix([UInt64(ring.keys.count), UInt64(ring.primary), ring.version.history, ring.version.index])
        for key in ring.keys {
            mix([UInt64(key.number), key.id.number])
            mix(key.createdAt)
        }
        mix(ring.rotation?.key.number)
        mix(ring.rotation?.step.rawValue)
        mix(ring.rotation?.beganAt)
        mix(ring.rotation?.steppedAt)
    }

    private mutating func mix(_ partition: PartitionDescriptor) {
        mix([partition.id.number, partition.table.number, partition.epoch.number, UInt64(partition.replicas.count)])
        mix(partition.range.low.bytes)
        mix(partition.range.high == nil ? 0 : 1)
        mix(partition.range.high?.bytes ?? [])
        for replica in partition.replicas {
            mix(replica.node.name)
            mix([replica.store.number, replica.storage.number])
            mix(replica.role.rawValue)
            if replica.isDamaged { mix("damaged") }
        }
        mix(partition.primary?.name)
        mix(partition.status.rawValue)
        mix([partition.origin.epoch.number, partition.origin.run, partition.origin.sequence, UInt64(partition.originChecksum)])
        mix(partition.operation?.number)
        // Nothing for those without any: members that know of no merges hash the rest alike.
        for parent in partition.parents {
            mix([parent.partition.number, parent.end.epoch.number, parent.end.run, parent.end.sequence])
        }
        if let forced = partition.forcedAt {
            mix("forced")
            mix([forced.number])
        }
    }

    private mutating func mix(_ operation: OperationDescriptor) {
        mix([operation.id.number, operation.epoch.number, UInt64(operation.cleanups.count)])
        switch operation.kind {
        case .createTable(let table): mix([1, table.number])
        case .dropTable(let table): mix([2, table.number])
        case .move(let partition, let source, let target):
            mix([3, partition.number])
            mix(source?.name)
            mix(target.name)
        case .split(let partition, let key, let lower, let upper):
            mix([4, partition.number, lower.number, upper.number])
            mix(key.bytes)
        case .merge(let left, let right, let merged): mix([7, left.number, right.number, merged.number])
        case .transferPrimary(let partition, let target):
            mix([5, partition.number])
            mix(target.name)
        case .removeOrphan(let partition, let node):
            mix([6, partition.number])
            mix(node.name)
        }
        for cleanup in operation.cleanups {
            mix(cleanup.node.name)
            mix([cleanup.storage.number, cleanup.partition.number])
        }
        for text in [operation.step.rawValue, operation.phase.rawValue, operation.createdBy.name, operation.reason] {
            mix(text)
        }
        mix(operation.failure)
        mix(operation.pause?.by.name)
        mix(operation.pause?.at)
        mix(operation.createdAt)
        mix(operation.endedAt)
    }
}
