// A topology that is too large for one frame travels in chunks, in order, on one link.

package import Model

/// A part of a topology at one revision.
package struct SnapshotChunk: Hashable, Sendable, WireCodable {
    package let revision: Revision
    /// 0, 1, 2 and so on.
    package let index: UInt32
    package let isLast: Bool
    package let changes: [TopologyChange]

    package init(revision: Revision, index: UInt32, isLast: Bool, changes: [TopologyChange]) {
        self.revision = revision
        self.index = index
        self.isLast = isLast
        self.changes = changes
    }

    package init(wire: ProtoCoordinatorFrame.SnapshotChunk) throws(WireError) {
        self.init(
            revision: try Revision(wire: wire.revision), index: wire.index, isLast: wire.isLast,
            changes: try Check.list(wire.changes, "SnapshotChunk.changes", TopologyChange.init(wire:)))
    }

    package var wire: ProtoCoordinatorFrame.SnapshotChunk {
        var wire = ProtoCoordinatorFrame.SnapshotChunk()
        wire.revision = revision.wire
        wire.index = index
        wire.isLast = isLast
        wire.changes = changes.map(\.wire)
        return wire
    }

    /// Cuts a topology into chunks of about `chunkBytes`; an empty topology is one empty chunk.
    package static func chunks(of topology: Topology, chunkBytes: Int = 1 << 20) -> [SnapshotChunk] {
        var groups: [[TopologyChange]] = []
        var group: [TopologyChange] = []
        var bytes = 0
        for change in topology.changes {
            let size = change.serialized().count
            if !group.isEmpty, bytes + size > chunkBytes {
                groups.append(group)
                group = []
                bytes = 0
            }
            group.append(change)
            bytes += size
        }
        groups.append(group)
        return groups.enumerated().map { index, changes in
            SnapshotChunk(
                revision: topology.revision, index: UInt32(clamping: index), isLast: index == groups.count - 1, changes: changes
            )
        }
    }
}

/// Puts the chunks of one snapshot together again.
package struct SnapshotAssembler: Sendable {
    private var revision = Revision.none
    private var next: UInt32 = 0
    private var changes: [TopologyChange] = []

    package init() {}

    /// Takes the next chunk; a first chunk starts anew.
    ///
    /// - Returns: the topology when the chunk was the last one.
    /// - Throws: `WireError` when the chunk does not follow the one before; the assembler is then empty.
    package mutating func add(_ chunk: SnapshotChunk) throws(WireError) -> Topology? {
        if chunk.index == 0 {
            self = SnapshotAssembler()
            revision = chunk.revision
        }
        guard chunk.index == next, chunk.revision == revision else {
            self = SnapshotAssembler()
            throw WireError("SnapshotChunk.index", .invalid("chunk \(chunk.index) is out of order"))
        }
        next += 1
        changes += chunk.changes
        guard chunk.isLast else { return nil }
        let topology = Topology(revision: revision, changes: changes)
        self = SnapshotAssembler()
        return topology
    }
}
