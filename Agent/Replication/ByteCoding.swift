// The fixed-width, big-endian form in which records stand in the node's log. The reader is total: whatever the bytes are, it
// answers or says that it cannot.

import Model

struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ value: UInt8) { bytes.append(value) }

    mutating func put(_ value: UInt32) {
        for shift in stride(from: 24, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
    }

    mutating func put(_ value: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
    }

    mutating func put(_ position: Position) {
        put(position.epoch.number)
        put(position.run)
        put(position.sequence)
    }

    mutating func put(_ point: LogPoint) {
        put(point.position)
        put(point.checksum)
    }

    mutating func put(text: String) {
        let utf8 = Array(text.utf8)
        put(UInt32(utf8.count))
        bytes += utf8
    }

    /// What of a body the chain covers before the payload.
    mutating func put(tag body: EntryBody) {
        switch body {
        case .opening: put(UInt8(0))
        case .write(_, nil): put(UInt8(1))
        case .write(_, let once?):
            put(UInt8(5))
            put(once.key.high)
            put(once.key.low)
            put(UInt64(bitPattern: once.horizon.milliseconds))
        case .verify(let operation):
            put(UInt8(2))
            put(operation.number)
        case .split(let operation):
            put(UInt8(3))
            put(operation.number)
        case .cancelSplit(let operation):
            put(UInt8(4))
            put(operation.number)
        }
    }

    mutating func put(_ body: EntryBody) {
        put(tag: body)
        guard case .write(let payload, _) = body else { return }
        put(UInt32(payload.count))
        bytes += payload
    }
}

struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var index: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        self.index = bytes.startIndex
    }

    var isAtEnd: Bool { index == bytes.endIndex }

    mutating func byte() -> UInt8? {
        guard index < bytes.endIndex else { return nil }
        defer { index += 1 }
        return bytes[index]
    }

    mutating func uint32() -> UInt32? {
        guard bytes.endIndex - index >= 4 else { return nil }
        var value: UInt32 = 0
        for _ in 0..<4 {
            value = value << 8 | UInt32(bytes[index])
            index += 1
        }
        return value
    }

    mutating func uint64() -> UInt64? {
        guard let high = uint32(), let low = uint32() else { return nil }
        return UInt64(high) << 32 | UInt64(low)
    }

    mutating func position() -> Position? {
        guard let epoch = uint64(), let run = uint64(), let sequence = uint64() else { return nil }
        return Position(epoch: Epoch(epoch), run: run, sequence: sequence)
    }

    mutating func point() -> LogPoint? {
        guard let position = position(), let checksum = uint32() else { return nil }
        return LogPoint(position: position, checksum: checksum)
    }

    mutating func blob(atMost limit: Int) -> [UInt8]? {
        guard let count = uint32(), count <= limit, Int(count) <= bytes.endIndex - index else { return nil }
        defer { index += Int(count) }
        return Array(bytes[index..<index + Int(count)])
    }

    mutating func node() -> NodeID? {
        guard let utf8 = blob(atMost: 63) else { return nil }
        return try? NodeID(String(decoding: utf8, as: UTF8.self))
    }

    private mutating func once() -> WriteOnce? {
        guard let high = uint64(), let low = uint64(), let horizon = uint64(), let key = IdempotencyKey(high: high, low: low)
        else { return nil }
        return WriteOnce(key: key, horizon: WallTime(milliseconds: Int64(bitPattern: horizon)))
    }

    mutating func body() -> EntryBody? {
        switch byte() {
        case 0: .opening
        case 1: blob(atMost: Limits.batchBytes).map { .write($0) }
        case 2: uint64().map { .verify(OperationID($0)) }
        case 3: uint64().map { .split(OperationID($0)) }
        case 4: uint64().map { .cancelSplit(OperationID($0)) }
        case 5: once().flatMap { once in blob(atMost: Limits.batchBytes).map { .write($0, once) } }
        default: nil
        }
    }
}
