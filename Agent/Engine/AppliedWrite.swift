package import Model

/// A write that is to happen once, as the engine remembers it after it was applied (rule R8): in the same transaction as its rows, and
/// with them through splits and copies.
package struct AppliedWrite: Hashable, Sendable {
    package let key: IdempotencyKey
    /// The first row that it changed: where that row goes, this goes.
    package let row: Key
    /// Of what was written: another write under the same key is told apart by it.
    package let checksum: UInt32
    package let position: Position

    package init(key: IdempotencyKey, row: Key, checksum: UInt32, position: Position) {
        self.key = key
        self.row = row
        self.checksum = checksum
        self.position = position
    }

    /// A little more than it takes on a disk or on the wire.
    package var byteCount: Int { row.bytes.count + 64 }
}

/// Applied writes, with an entry or on their way with a copy.
package struct WriteRecord: Hashable, Sendable {
    package let writes: [AppliedWrite]
    /// Of an entry: keys made before this are to be forgotten.
    package let horizon: WallTime
    /// Of a copy: what was forgotten where it comes from.
    package let forgotten: ForgottenKeys

    package init(
        _ writes: [AppliedWrite], horizon: WallTime = WallTime(milliseconds: 0), forgotten: ForgottenKeys = ForgottenKeys()
    ) {
        self.writes = writes
        self.horizon = horizon
        self.forgotten = forgotten
    }
}

/// What the engine knows of one key.
package struct Recollection: Hashable, Sendable {
    /// How far the partition was applied when it was looked up, at least.
    package let applied: Position
    package let forgotten: ForgottenKeys
    package let write: AppliedWrite?

    package init(applied: Position, forgotten: ForgottenKeys, write: AppliedWrite?) {
        self.applied = applied
        self.forgotten = forgotten
        self.write = write
    }
}
