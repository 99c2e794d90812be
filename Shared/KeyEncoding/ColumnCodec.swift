import Model

/// One column's part of a key. Encodings are canonical: what `read` accepts, `append` makes again, byte for byte.
enum ColumnCodec {
    private static let escape: UInt8 = 0x00
    private static let escapedZero: UInt8 = 0xFF
    private static let terminator: UInt8 = 0x01
    private static let signBit: UInt64 = 1 << 63

    static func append(_ value: Value, of column: Column, to bytes: inout [UInt8]) throws(KeyError) {
        guard let found = value.type else { throw .null(column: column.name) }
        guard found == column.type else { throw .wrongType(column: column.name, expected: column.type, found: found) }
        switch value {
        case .null: throw .null(column: column.name)
        case .integer(let number), .timestamp(let number):
            append(UInt64(bitPattern: number) ^ signBit, to: &bytes)
        case .boolean(let flag): bytes.append(flag ? 1 : 0)
        case .double(let number):
            if number.isNaN { throw .notANumber(column: column.name) }
            // Two zeros that are equal as values must be one key.
            let bits = (number == 0 ? 0.0 : number).bitPattern
            append(bits & signBit == 0 ? bits | signBit : ~bits, to: &bytes)
        case .text(let text): append(escaped: text.utf8, to: &bytes)
        case .bytes(let raw): append(escaped: raw, to: &bytes)
        }
    }

    static func read(_ column: Column, from rest: inout ArraySlice<UInt8>) throws(KeyError) -> Value {
        switch column.type {
        case .integer: return .integer(Int64(bitPattern: try readNumber(column, from: &rest) ^ signBit))
        case .timestamp: return .timestamp(Int64(bitPattern: try readNumber(column, from: &rest) ^ signBit))
        case .boolean:
            guard let byte = rest.popFirst() else { throw .truncated(column: column.name) }
            guard byte <= 1 else { throw .malformed(column: column.name, detail: "byte \(byte) is no boolean") }
            return .boolean(byte == 1)
        case .double:
            let ordered = try readNumber(column, from: &rest)
            let number = Double(bitPattern: ordered & signBit == 0 ? ~ordered : ordered & ~signBit)
            // Neither NaN nor the second zero is ever written.
            guard !number.isNaN, number != 0 || number.sign == .plus else {
                throw .malformed(column: column.name, detail: "the bits are no ordered double")
            }
            return .double(number)
        case .text:
            let raw = try readEscaped(column, from: &rest)
            guard let text = String(validating: raw, as: UTF8.self) else {
                throw .malformed(column: column.name, detail: "the text is not UTF-8")
            }
            return .text(text)
        case .bytes: return .bytes(try readEscaped(column, from: &rest))
        }
    }

    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    private static func readNumber(_ column: Column, from rest: inout ArraySlice<UInt8>) throws(KeyError) -> UInt64 {
        guard rest.count >= 8 else { throw .truncated(column: column.name) }
        defer { rest.removeFirst(8) }
        return rest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func append(escaped raw: some Collection<UInt8>, to bytes: inout [UInt8]) {
        bytes.reserveCapacity(bytes.count + raw.count + 2)
        for byte in raw {
            bytes.append(byte)
            if byte == escape { bytes.append(escapedZero) }
        }
        bytes.append(escape)
        bytes.append(terminator)
    }

    private static func readEscaped(_ column: Column, from rest: inout ArraySlice<UInt8>) throws(KeyError) -> [UInt8] {
        var raw: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte != escape {
                raw.append(byte)
                continue
            }
            switch rest.popFirst() {
            case escapedZero: raw.append(escape)
            case terminator: return raw
            case let other?: throw .malformed(column: column.name, detail: "byte \(other) after an escape")
            case nil: throw .truncated(column: column.name)
            }
        }
        throw .truncated(column: column.name)
    }
}
