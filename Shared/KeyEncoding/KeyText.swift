package import Model

// A key as URLs, split points and messages write it: a JSON array of the key columns' values, in key order.

package enum KeyTextError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not a JSON array of scalars; the byte at which reading stopped.
    case syntax(at: Int)
    case misfit(MisfitValue)
    case key(KeyError)

    package var description: String {
        switch self {
        case .syntax(let place): "not a JSON array of values (at byte \(place))"
        case .misfit(let error): error.description
        case .key(let error): error.description
        }
    }
}

extension KeyLayout {
    /// The full key written as `text`.
    package func key(text: String) throws(KeyTextError) -> Key {
        let values = try values(text: text)
        do throws(KeyError) { return try key(of: values) } catch { throw .key(error) }
    }

    /// The least key that begins with the values of `text`, which may be fewer than the key's columns.
    package func bound(text: String) throws(KeyTextError) -> Key {
        let values = try values(text: text)
        do throws(KeyError) { return try bound(at: values) } catch { throw .key(error) }
    }

    private func values(text: String) throws(KeyTextError) -> [Value] {
        let scalars = try JSONArrayReader.read(text)
        guard scalars.count <= columns.count else { throw .key(.tooManyValues(count: scalars.count, columns: columns.count)) }
        var values: [Value] = []
        for (scalar, column) in zip(scalars, columns) {
            do throws(MisfitValue) { values.append(try Value(scalar, for: column)) } catch { throw .misfit(error) }
        }
        return values
    }

    /// The key, or bound, as `key(text:)` and `bound(text:)` read it.
    package func text(of key: Key) throws(KeyError) -> String {
        "[" + (try leadingValues(of: key)).map(\.json.text).joined(separator: ",") + "]"
    }
}

/// Reads one JSON array of scalars (RFC 8259). Total: any text is either read or refused.
struct JSONArrayReader {
    private let bytes: [UInt8]
    private var place = 0

    private init(_ text: String) { bytes = Array(text.utf8) }

    static func read(_ text: String) throws(KeyTextError) -> [JSONScalar] {
        var reader = JSONArrayReader(text)
        return try reader.array()
    }

    private mutating func array() throws(KeyTextError) -> [JSONScalar] {
        var scalars: [JSONScalar] = []
        try expect(UInt8(ascii: "["))
        skipSpace()
        if peek == UInt8(ascii: "]") {
            place += 1
        } else {
            repeat { scalars.append(try scalar()) } while try another()
        }
        skipSpace()
        guard place == bytes.count else { throw .syntax(at: place) }
        return scalars
    }

    private mutating func another() throws(KeyTextError) -> Bool {
        skipSpace()
        let next = peek
        guard next == UInt8(ascii: ",") || next == UInt8(ascii: "]") else { throw .syntax(at: place) }
        place += 1
        return next == UInt8(ascii: ",")
    }

    private var peek: UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { place += 1 }
    }

    private mutating func expect(_ byte: UInt8) throws(KeyTextError) {
        skipSpace()
        guard peek == byte else { throw .syntax(at: place) }
        place += 1
    }

    private mutating func scalar() throws(KeyTextError) -> JSONScalar {
        skipSpace()
        switch peek {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        default: return .number(try number())
        }
    }

    private mutating func word(_ text: String, _ value: JSONScalar) throws(KeyTextError) -> JSONScalar {
        let letters = Array(text.utf8)
        guard bytes[place...].starts(with: letters) else { throw .syntax(at: place) }
        place += letters.count
        return value
    }

    private mutating func digits() throws(KeyTextError) {
        let start = place
        while let byte = peek, (0x30...0x39).contains(byte) { place += 1 }
        guard place > start else { throw .syntax(at: place) }
    }

    private mutating func number() throws(KeyTextError) -> String {
        let start = place
        if peek == UInt8(ascii: "-") { place += 1 }
        if peek == UInt8(ascii: "0") { place += 1 } else { try digits() }
        if peek == UInt8(ascii: ".") {
            place += 1
            try digits()
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            place += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { place += 1 }
            try digits()
        }
        return String(decoding: bytes[start..<place], as: UTF8.self)
    }

    private mutating func string() throws(KeyTextError) -> String {
        place += 1
        var text: [UInt8] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                place += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                place += 1
                text += Array(String(try escape()).utf8)
            case 0..<0x20: throw .syntax(at: place)
            default:
                text.append(byte)
                place += 1
            }
        }
        throw .syntax(at: place)
    }

    private mutating func escape() throws(KeyTextError) -> Unicode.Scalar {
        guard let byte = peek else { throw .syntax(at: place) }
        place += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let first = try fourDigits()
            if let scalar = Unicode.Scalar(first) { return scalar }
            // A surrogate: its other half must follow.
            guard (0xD800..<0xDC00).contains(first), peek == UInt8(ascii: "\\") else { throw .syntax(at: place) }
            place += 1
            guard peek == UInt8(ascii: "u") else { throw .syntax(at: place) }
            place += 1
            let second = try fourDigits()
            guard (0xDC00..<0xE000).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
            else { throw .syntax(at: place) }
            return scalar
        default: throw .syntax(at: place)
        }
    }

    private mutating func fourDigits() throws(KeyTextError) -> UInt16 {
        let digits = bytes[place...].prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
            let value = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw .syntax(at: place) }
        place += 4
        return value
    }
}
