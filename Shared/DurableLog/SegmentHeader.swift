// The first 64 bytes of a segment: whose it is, which one, and what it continues.
//
//      0  magic     8   "CXSLOG" CR LF: a file mangled as text does not pass
//      8  version   u32 2
//     12  store     u64 the data folder that it was made in: a file copied from elsewhere is refused
//     20  segment   u64
//     28  first     u64 number of its first record
//     36  chain     u32 checksum of the record before the first: the chain runs across segments
//     40  capacity  u64 bytes of the file, reserved before it got its name: a file of another length was changed by somebody else
//     48  zeros
//     60  checksum  u32 CRC-32C of the 60 bytes before
//
// A segment gets its header beside, is synced, and only then gets its name: a bad header is damage, never an interrupted write.

package import Model

package struct SegmentHeader: Hashable, Sendable {
    package static let bytes = 64
    package static let version: UInt32 = 2
    private static let magic: [UInt8] = [0x43, 0x58, 0x53, 0x4C, 0x4F, 0x47, 0x0D, 0x0A]

    package let store: StoreID
    package let segment: UInt64
    package let firstRecord: RecordNumber
    /// The checksum of the record before the first.
    package let chain: UInt32
    /// The length of the segment's file, this header included.
    package let capacity: Int

    /// - Precondition: the capacity has room for the header.
    package init(store: StoreID, segment: UInt64, firstRecord: RecordNumber, chain: UInt32, capacity: Int) {
        precondition(capacity >= Self.bytes, "a segment of \(capacity) bytes has no room for its header")
        self.store = store
        self.segment = segment
        self.firstRecord = firstRecord
        self.chain = chain
        self.capacity = capacity
    }

    /// The header of the first segment of a new data folder. Its chain starts from the store's identity.
    package init(firstOf store: StoreID, capacity: Int) {
        var seed: [UInt8] = []
        seed.appendLittleEndian(store.number)
        self.init(store: store, segment: 1, firstRecord: .first, chain: CRC32C.of(seed), capacity: capacity)
    }

    /// Whether this segment goes on where another one says that its successor does; how long it is was not known then.
    func continues(like expected: SegmentHeader) -> Bool {
        store == expected.store && segment == expected.segment && firstRecord == expected.firstRecord && chain == expected.chain
    }

    package var encoded: [UInt8] {
        var all = Self.magic
        all.reserveCapacity(Self.bytes)
        all.appendLittleEndian(Self.version)
        all.appendLittleEndian(store.number)
        all.appendLittleEndian(segment)
        all.appendLittleEndian(firstRecord.value)
        all.appendLittleEndian(chain)
        all.appendLittleEndian(UInt64(capacity))
        all.append(contentsOf: repeatElement(0, count: Self.bytes - 4 - all.count))
        all.appendLittleEndian(CRC32C.of(all))
        return all
    }

    /// With this number every record's checksum starts: a record copied from another segment is no record here.
    package var salt: UInt32 { encoded.withUnsafeBytes { $0.littleEndian(at: Self.bytes - 4) } }

    package static func decode(_ bytes: UnsafeRawBufferPointer) -> Result<SegmentHeader, HeaderFault> {
        guard bytes.count >= Self.bytes, bytes.prefix(Self.magic.count).elementsEqual(Self.magic) else {
            return .failure(.unreadable)
        }
        var sum = CRC32C()
        sum.update(UnsafeRawBufferPointer(rebasing: bytes[0..<Self.bytes - 4]))
        guard sum.value == bytes.littleEndian(at: Self.bytes - 4) else { return .failure(.unreadable) }
        let version: UInt32 = bytes.littleEndian(at: 8)
        guard version == Self.version else { return .failure(.unknownVersion(version)) }
        guard let capacity = Int(exactly: bytes.littleEndian(UInt64.self, at: 40)), capacity >= Self.bytes else {
            return .failure(.unreadable)
        }
        return .success(
            SegmentHeader(
                store: StoreID(bytes.littleEndian(at: 12)), segment: bytes.littleEndian(at: 20),
                firstRecord: RecordNumber(bytes.littleEndian(at: 28)), chain: bytes.littleEndian(at: 36),
                capacity: capacity))
    }

    package enum HeaderFault: Error, Hashable, Sendable {
        case unreadable
        case unknownVersion(UInt32)
    }
}
