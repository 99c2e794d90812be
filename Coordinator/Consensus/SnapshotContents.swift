import Model

/// A snapshot's bytes. There are many, and hardly anybody asks for them again: only a member that is far behind. So they are held in
/// memory while they are new, and from then on wherever the shell keeps them.
package struct SnapshotContents: Sendable {
    private enum Place: Sendable {
        case held([UInt8])
        case kept(count: Int, checksum: UInt32, read: @Sendable (Range<Int>) -> [UInt8]?)
    }

    private let place: Place

    package init(_ bytes: [UInt8]) { place = .held(bytes) }

    /// - Parameters:
    ///   - checksum: counted before the bytes were let go, so that whoever receives them finds out what a disk has made of them.
    ///   - read: gives always the same bytes for a range, or nil when it cannot.
    package init(count: Int, checksum: UInt32, read: @escaping @Sendable (Range<Int>) -> [UInt8]?) {
        place = .kept(count: count, checksum: checksum, read: read)
    }

    package var count: Int {
        switch place {
        case .held(let bytes): bytes.count
        case .kept(let count, _, _): count
        }
    }

    /// CRC-32C of all. Counted at each call while the bytes are held.
    package var checksum: UInt32 {
        switch place {
        case .held(let bytes): CRC32C.of(bytes)
        case .kept(_, let checksum, _): checksum
        }
    }

    /// - Returns: nil when they cannot be read now.
    /// - Precondition: `range` is within `0..<count`.
    package func bytes(in range: Range<Int>) -> [UInt8]? {
        switch place {
        case .held(let bytes): range == bytes.indices ? bytes : Array(bytes[range])
        case .kept(_, _, let read): read(range)
        }
    }
}

extension SnapshotContents: Hashable {
    /// Wherever they are.
    package static func == (a: Self, b: Self) -> Bool {
        if case (.held(let a), .held(let b)) = (a.place, b.place) { return a == b }
        return a.count == b.count && a.checksum == b.checksum
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(count) }
}
