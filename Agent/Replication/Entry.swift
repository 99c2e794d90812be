// What a partition's log is made of.

package import Model

/// Who orders entries: one primary, in one life of it (rule R1). Ordered as Raft orders its terms.
package struct Term: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The epoch at which the primary took its role, or at which it restarted in it.
    package let epoch: Epoch
    package let run: UInt64

    package init(epoch: Epoch, run: UInt64) {
        self.epoch = epoch
        self.run = run
    }

    package static func < (a: Self, b: Self) -> Bool { (a.epoch.number, a.run) < (b.epoch.number, b.run) }
    package var description: String { "\(epoch).\(run)" }
}

extension Position {
    /// Who ordered the entry at this position.
    package var term: Term { Term(epoch: epoch, run: run) }

    package init(_ term: Term, _ sequence: UInt64) {
        self.init(epoch: term.epoch, run: term.run, sequence: sequence)
    }
}

/// What an entry does when it is applied.
package enum EntryBody: Hashable, Sendable {
    /// Opens a term: once it is committed, so is everything before it.
    case opening
    /// A client's batch, opaque here, and what makes it happen once.
    case write([UInt8], WriteOnce? = nil)
    /// Every replica checksums its rows exactly here (rule M6).
    case verify(OperationID)
    /// The partition ends exactly here, if the operation commits (rule M2): the children of a split start here, and what a merge makes of
    /// it and of its neighbour starts behind this place in both logs.
    case split(OperationID)
    /// The split or merge before it did not happen.
    case cancelSplit(OperationID)

    /// For windows and budgets.
    package var byteCount: Int {
        if case .write(let payload, let once) = self { payload.count + (once == nil ? 48 : 72) } else { 48 }
    }
}

/// What an entry carries of a write that happens once (rule R8).
package struct WriteOnce: Hashable, Sendable {
    package let key: IdempotencyKey
    /// Keys made before this are forgotten, on every replica, when the entry is applied.
    package let horizon: WallTime

    package init(key: IdempotencyKey, horizon: WallTime) {
        self.key = key
        self.horizon = horizon
    }
}

/// A write that is to happen once, and what the engine knew of it when it was asked (rule R8). What was ordered since is looked
/// through before it is ordered.
package struct WriteOnceRequest: Hashable, Sendable {
    package let once: WriteOnce
    /// How far the engine had applied then.
    package let recalledAt: UInt64
    /// Where the write stands, if it was applied by then.
    package let earlier: Position?

    package init(once: WriteOnce, recalledAt: UInt64, earlier: Position?) {
        self.once = once
        self.recalledAt = recalledAt
        self.earlier = earlier
    }
}

/// One place in a partition's log. `checksum` covers this entry and, through its predecessor's, every entry before it.
package struct Entry: Hashable, Sendable {
    package let position: Position
    package let body: EntryBody
    package let checksum: UInt32

    /// An entry as it came from a disk or a peer: `follows(_:)` says whether its checksum is right.
    package init(position: Position, body: EntryBody, checksum: UInt32) {
        self.position = position
        self.body = body
        self.checksum = checksum
    }

    /// The next entry after one whose chain value is `previous`.
    package init(position: Position, body: EntryBody, after previous: UInt32) {
        self.init(position: position, body: body, checksum: Self.chain(previous, position, body))
    }

    /// Whether this entry continues a log that ends at `previous`.
    package func follows(_ previous: LogPoint) -> Bool {
        position.sequence == previous.position.sequence &+ 1 && position.term >= previous.position.term
            && checksum == Self.chain(previous.checksum, position, body)
    }

    package var sequence: UInt64 { position.sequence }
    package var point: LogPoint { LogPoint(position: position, checksum: checksum) }

    private static func chain(_ previous: UInt32, _ position: Position, _ body: EntryBody) -> UInt32 {
        var writer = ByteWriter()
        writer.put(position)
        writer.put(tag: body)
        let head = Checksum.crc32c(writer.bytes, continuing: previous)
        guard case .write(let payload, _) = body else { return head }
        return Checksum.crc32c(payload, continuing: head)
    }
}

/// A position and the chain's value there: two logs that agree on it agree on everything before it.
package struct LogPoint: Hashable, Sendable, CustomStringConvertible {
    package let position: Position
    package let checksum: UInt32

    package init(position: Position, checksum: UInt32) {
        self.position = position
        self.checksum = checksum
    }

    package static let start = LogPoint(position: .zero, checksum: 0)
    package var sequence: UInt64 { position.sequence }
    package var description: String { "\(position)#\(String(checksum, radix: 16))" }
}
