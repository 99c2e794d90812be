// The JSON that nearly all requests are: short, plain, without a surprise. A decoder that finds out what each value is by trying one
// type after the other takes longer for such a body than the rest of the request. Whatever is not plain (escapes, fractions, names given
// twice, mistakes) is left to that decoder and to those who say what is wrong: this reader gives what they would give, or nothing.

import KeyEncoding

struct PlainJSON {
    private static let depth = 16

    private let bytes: [UInt8]
    private var place = 0

    /// - Returns: the tree, or nil when the text is not plain.
    static func read(_ bytes: [UInt8]) -> JSONNode? {
        var reader = PlainJSON(bytes: bytes)
        guard let node = reader.value(within: depth) else { return nil }
        reader.skipSpace()
        return reader.place == bytes.count ? node : nil
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { place += 1 }
    }

    /// Whether the next byte that is no space is this one, which is then passed.
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard next == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private mutating func value(within depth: Int) -> JSONNode? {
        guard depth > 0 else { return nil }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return object(within: depth)
        case UInt8(ascii: "["): return array(within: depth)
        case UInt8(ascii: "\""): return string().map { .string($0) }
        case UInt8(ascii: "t"): return word("true", .boolean(true))
        case UInt8(ascii: "f"): return word("false", .boolean(false))
        case UInt8(ascii: "n"): return word("null", .null)
        default: return integer()
        }
    }

    private mutating func object(within depth: Int) -> JSONNode? {
        guard take("{") else { return nil }
        var members: [String: JSONNode] = [:]
        if take("}") { return .object(members) }
        repeat {
            skipSpace()
            guard let name = string(), take(":"), let value = value(within: depth - 1),
                members.updateValue(value, forKey: name) == nil
            else { return nil }
        } while take(",")
        return take("}") ? .object(members) : nil
    }

    private mutating func array(within depth: Int) -> JSONNode? {
        guard take("[") else { return nil }
        var elements: [JSONNode] = []
        if take("]") { return .array(elements) }
        repeat {
            guard let value = value(within: depth - 1) else { return nil }
            elements.append(value)
        } while take(",")
        return take("]") ? .array(elements) : nil
    }

    /// Without escapes.
    private mutating func string() -> String? {
        guard next == UInt8(ascii: "\"") else { return nil }
        let start = place + 1
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
            guard bytes[end] >= 0x20, bytes[end] != UInt8(ascii: "\\") else { return nil }
            end += 1
        }
        guard end < bytes.count else { return nil }
        place = end + 1
        return String(validating: bytes[start..<end], as: UTF8.self)
    }

    /// Of at most eighteen digits, so that it fits whatever it is read as.
    private mutating func integer() -> JSONNode? {
        let start = place
        if next == UInt8(ascii: "-") { place += 1 }
        let digits = place
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { place += 1 }
        let count = place - digits
        // A zero in front is a mistake, or needs a sign less.
        guard (1...18).contains(count), bytes[digits] != UInt8(ascii: "0") || (count == 1 && digits == start) else {
            return nil
        }
        if let byte = next, [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(byte) { return nil }
        return .scalar(.number(String(decoding: bytes[start..<place], as: UTF8.self)))
    }

    private mutating func word(_ word: StaticString, _ node: JSONNode) -> JSONNode? {
        let count = word.utf8CodeUnitCount
        guard bytes.count - place >= count,
            UnsafeBufferPointer(start: word.utf8Start, count: count).elementsEqual(bytes[place..<place + count])
        else { return nil }
        place += count
        return node
    }
}
