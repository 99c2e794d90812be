// A large catalog as bytes and back, some hundred entries at a time. The messages of all entries together take several times the
// memory of the entries themselves, for a moment, in pieces that the heap does not give back; those of one part do not matter.
//
// No other form for it: messages that stand behind each other are one message (protocol buffers, "merge"), and lists in them are one
// list. Whoever reads the whole at once reads the same.

package import Catalog
import FoundationEssentials
import Model
import SwiftProtobuf
package import Wire

extension CatalogSnapshot {
    /// Changes of one part.
    private static let partChanges = 512
    /// Bytes of one part, unless one field has more.
    private static let partBytes = 256 << 10

    /// As `serialized()` gives it, or a message that reads the same.
    package func serializedInParts() -> [UInt8] {
        let changes = topology.changes
        var rest = self
        rest.topology = Topology(revision: topology.revision)
        var bytes = rest.serialized()
        for start in stride(from: 0, to: changes.count, by: Self.partChanges) {
            var part = ProtoCatalogSnapshot()
            part.topology.changes = changes[start...].prefix(Self.partChanges).map(\.wire)
            bytes += Self.bytes(of: part)
        }
        return bytes
    }

    private static func bytes(of part: ProtoCatalogSnapshot) -> [UInt8] {
        do { return try part.serializedBytes() } catch {
            preconditionFailure("a part of a snapshot cannot be written: \(error)")
        }
    }

    /// Reads what `serializedInParts()` or `serialized()` wrote.
    ///
    /// - Throws: as `init(bytes:)`.
    package init(parts bytes: [UInt8]) throws(WireError) {
        var (whole, changes): (ProtoCatalogSnapshot, [TopologyChange]) = (ProtoCatalogSnapshot(), [])
        for range in try MessageFields.parts(of: bytes, atLeast: Self.partBytes) {
            do {
                try whole.merge(serializedBytes: Array(bytes[range]), options: .strict)
            } catch {
                throw WireError(ProtoCatalogSnapshot.protoMessageName, .malformed)
            }
            guard whole.hasTopology else { continue }
            for change in whole.topology.changes { changes.append(try TopologyChange(wire: change)) }
            whole.topology.changes = []
        }
        try self.init(wire: whole)
        topology = Topology(revision: topology.revision, changes: changes)
    }
}

/// A message's outermost fields.
private enum MessageFields {
    /// Ranges of whole fields, consecutive, each of `size` bytes or somewhat more but the last.
    static func parts(of bytes: [UInt8], atLeast size: Int) throws(WireError) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var (start, place) = (0, 0)
        while place < bytes.count {
            place = try end(ofFieldAt: place, in: bytes)
            guard place - start >= size || place == bytes.count else { continue }
            parts.append(start..<place)
            start = place
        }
        return parts
    }

    private static func end(ofFieldAt start: Int, in bytes: [UInt8]) throws(WireError) -> Int {
        let (tag, behindTag) = try number(at: start, in: bytes)
        let end: UInt64
        switch tag & 7 {
        case 0: end = UInt64(try number(at: behindTag, in: bytes).next)
        case 1: end = UInt64(behindTag) + 8
        case 2:
            let (length, behindLength) = try number(at: behindTag, in: bytes)
            end = length.addingReportingOverflow(UInt64(behindLength)).partialValue
        case 5: end = UInt64(behindTag) + 4
        default: throw malformed
        }
        guard end > UInt64(start), end <= UInt64(bytes.count) else { throw malformed }
        return Int(end)
    }

    /// A varint, and where it ends.
    private static func number(at start: Int, in bytes: [UInt8]) throws(WireError) -> (value: UInt64, next: Int) {
        var (value, place): (UInt64, Int) = (0, start)
        while place < bytes.count, place - start < 10 {
            value |= UInt64(bytes[place] & 0x7F) << UInt64(7 * (place - start))
            place += 1
            if bytes[place - 1] & 0x80 == 0 { return (value, place) }
        }
        throw malformed
    }

    private static var malformed: WireError { WireError(ProtoCatalogSnapshot.protoMessageName, .malformed) }
}
