package import Model

// Values as JSON writes them: one mapping for the gateway, the control API and the command line. 64-bit integers are numbers or
// strings, bytes are base64url, timestamps are RFC 3339. Numbers stay text until a column's type says what they are, so that no
// digit is lost on the way.

/// A JSON value that is neither an array nor an object.
package enum JSONScalar: Hashable, Sendable {
    case null
    case boolean(Bool)
    /// As it was written.
    case number(String)
    case string(String)

    /// JSON text.
    package var text: String {
        switch self {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .number(let digits): digits
        case .string(let value): Self.quote(value)
        }
    }

    /// Bytes, not characters: all that must be escaped is ASCII, and most text has none of it.
    private static func quote(_ value: String) -> String {
        func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") }
        guard !value.utf8.allSatisfy(isPlain) else { return "\"" + value + "\"" }
        var text: [UInt8] = [UInt8(ascii: "\"")]
        text.reserveCapacity(value.utf8.count + value.utf8.count / 8 + 2)
        for byte in value.utf8 {
            if isPlain(byte) {
                text.append(byte)
            } else {
                text += escape(byte).utf8
            }
        }
        text.append(UInt8(ascii: "\""))
        return String(decoding: text, as: UTF8.self)
    }

    private static func escape(_ byte: UInt8) -> String {
        switch byte {
        case UInt8(ascii: "\""): return "\\\""
        case UInt8(ascii: "\\"): return "\\\\"
        case UInt8(ascii: "\n"): return "\\n"
        case UInt8(ascii: "\r"): return "\\r"
        case UInt8(ascii: "\t"): return "\\t"
        default:
            let digits = String(byte, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
        }
    }
}

/// A JSON value that does not fit the column for which it was given.
package struct MisfitValue: Error, Hashable, Sendable, CustomStringConvertible {
    package let column: RelationName
    package let detail: String
    package var description: String { "column '\(column)': \(detail)" }
}

extension Value {
    /// - Throws: `MisfitValue` with what the column's type accepts.
    package init(_ scalar: JSONScalar, for column: Column) throws(MisfitValue) {
        func misfit(_ accepted: String) -> MisfitValue { MisfitValue(column: column.name, detail: "expected \(accepted)") }
        switch (column.type, scalar) {
        case (_, .null): self = .null
        case (.integer, .number(let digits)), (.integer, .string(let digits)):
            guard let value = Int64(digits) else { throw misfit("an integer from -2^63 to 2^63 - 1") }
            self = .integer(value)
        case (.text, .string(let value)): self = .text(value)
        case (.bytes, .string(let value)):
            guard let bytes = Base64URL.decode(value) else { throw misfit("bytes as base64url without padding") }
            self = .bytes(bytes)
        case (.boolean, .boolean(let value)): self = .boolean(value)
        case (.double, .number(let digits)):
            guard let value = Double(digits), value.isFinite else { throw misfit("a finite number") }
            self = .double(value)
        case (.double, .string("Infinity")): self = .double(.infinity)
        case (.double, .string("-Infinity")): self = .double(-.infinity)
        case (.double, .string("NaN")): self = .double(.nan)
        case (.timestamp, .string(let value)):
            guard let microseconds = TimestampText.parse(value) else {
                throw misfit("an RFC 3339 timestamp in years 1 to 9999")
            }
            self = .timestamp(microseconds)
        case (.integer, _): throw misfit("an integer, as a number or a string")
        case (.text, _): throw misfit("a string")
        case (.bytes, _): throw misfit("bytes as base64url")
        case (.boolean, _): throw misfit("true or false")
        case (.double, _): throw misfit("a number")
        case (.timestamp, _): throw misfit("an RFC 3339 timestamp")
        }
    }

    /// As JSON writes it. Integers beyond 2^53 become strings, which every reader keeps whole.
    package var json: JSONScalar {
        switch self {
        case .null: .null
        case .integer(let value): value.magnitude < 1 << 53 ? .number(String(value)) : .string(String(value))
        case .text(let value): .string(value)
        case .bytes(let value): .string(Base64URL.encode(value))
        case .boolean(let value): .boolean(value)
        case .double(let value):
            value.isFinite ? .number("\(value)") : .string(value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity")
        case .timestamp(let value): .string(TimestampText.format(value))
        }
    }
}
