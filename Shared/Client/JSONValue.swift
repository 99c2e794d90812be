// JSON of any shape, for answers that are shown or searched rather than decoded into a type of ours.

package import FoundationEssentials
package import KeyEncoding

package enum JSONValue: Hashable, Sendable {
    case scalar(JSONScalar)
    case array([JSONValue])
    case object([String: JSONValue])

    package static let null = JSONValue.scalar(.null)
    package static func string(_ text: String) -> JSONValue { .scalar(.string(text)) }
    package static func number(_ value: some BinaryInteger) -> JSONValue { .scalar(.number(String(value))) }
    package static func boolean(_ value: Bool) -> JSONValue { .scalar(.boolean(value)) }

    /// - Throws: `DecodingError` for what is not JSON.
    package init(_ bytes: Data) throws { self = try JSONDecoder().decode(JSONValue.self, from: bytes) }

    package subscript(_ name: String) -> JSONValue? {
        if case .object(let members) = self { members[name] } else { nil }
    }

    package var array: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
    package var object: [String: JSONValue]? { if case .object(let members) = self { members } else { nil } }

    package var string: String? {
        if case .scalar(.string(let text)) = self { text } else { nil }
    }

    package var unsigned: UInt64? {
        switch self {
        case .scalar(.number(let digits)), .scalar(.string(let digits)): UInt64(digits)
        default: nil
        }
    }

    package var double: Double? {
        if case .scalar(.number(let digits)) = self { Double(digits) } else { nil }
    }

    package var isTrue: Bool { self == .boolean(true) }

    /// Compact JSON text; members in order of their names, so that equal values have equal text.
    package var text: String { write(indent: nil, depth: 0) }

    /// JSON text for people.
    package var prettyText: String { write(indent: "  ", depth: 0) }

    private func write(indent: String?, depth: Int) -> String {
        func wrapped(_ open: String, _ parts: [String], _ close: String) -> String {
            guard let indent, !parts.isEmpty else { return open + parts.joined(separator: ",") + close }
            let inner = "\n" + String(repeating: indent, count: depth + 1)
            return open + inner + parts.joined(separator: "," + inner) + "\n" + String(repeating: indent, count: depth) + close
        }
        switch self {
        case .scalar(let scalar): return scalar.text
        case .array(let elements):
            return wrapped("[", elements.map { $0.write(indent: indent, depth: depth + 1) }, "]")
        case .object(let members):
            let colon = indent == nil ? ":" : ": "
            let parts = members.sorted { $0.key < $1.key }.map { name, value in
                JSONScalar.string(name).text + colon + value.write(indent: indent, depth: depth + 1)
            }
            return wrapped("{", parts, "}")
        }
    }
}

extension JSONValue: Decodable {
    package init(from decoder: any Decoder) throws {
        if let container = try? decoder.singleValueContainer() {
            if container.decodeNil() {
                self = .null
                return
            }
            if let flag = try? container.decode(Bool.self) {
                self = .boolean(flag)
                return
            }
            if let number = try? container.decode(Int64.self) {
                self = .number(number)
                return
            }
            if let number = try? container.decode(UInt64.self) {
                self = .number(number)
                return
            }
            if let number = try? container.decode(Double.self) {
                self = .scalar(.number("\(number)"))
                return
            }
            if let text = try? container.decode(String.self) {
                self = .string(text)
                return
            }
            if let elements = try? container.decode([JSONValue].self) {
                self = .array(elements)
                return
            }
            self = .object(try container.decode([String: JSONValue].self))
            return
        }
        self = .null
    }
}
