// JSON as the API reads and writes it. Requests are read into a tree first, so that each mistake can be told by the field's path,
// and unknown fields are mistakes too.

import FoundationEssentials
import KeyEncoding

indirect enum JSONNode: Hashable, Sendable, Decodable {
    case scalar(JSONScalar)
    case array([JSONNode])
    case object([String: JSONNode])
    /// JSON text that was made of a tree once, and is not read again to be shown. Never found by reading.
    case verbatim(String)

    static let null = JSONNode.scalar(.null)
    static func string(_ text: String?) -> JSONNode { .scalar(text.map { .string($0) } ?? .null) }
    static func number(_ value: some BinaryInteger) -> JSONNode { .scalar(.number(String(value))) }
    static func boolean(_ value: Bool) -> JSONNode { .scalar(.boolean(value)) }

    /// A measured value; what JSON cannot say is null.
    static func measure(_ value: Double?) -> JSONNode {
        guard let value, value.isFinite else { return .null }
        return .scalar(.number(String((value * 1_000).rounded() / 1_000)))
    }

    /// Each wrong guess costs the making of an error, so they go by what requests mostly are: objects of texts.
    init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: AnyKey.self) {
            var members: [String: JSONNode] = [:]
            for key in container.allKeys {
                if let text = try? container.decode(String.self, forKey: key) {
                    members[key.stringValue] = .string(text)
                } else {
                    members[key.stringValue] = try container.decode(JSONNode.self, forKey: key)
                }
            }
            self = .object(members)
        } else if var container = try? decoder.unkeyedContainer() {
            var elements: [JSONNode] = []
            while !container.isAtEnd { elements.append(try container.decode(JSONNode.self)) }
            self = .array(elements)
        } else {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let value = try? container.decode(Bool.self) {
                self = .boolean(value)
            } else if let value = try? container.decode(Int64.self) {
                self = .number(value)
            } else if let value = try? container.decode(Double.self) {
                self = .scalar(.number(String(value)))
            } else {
                self = .string(try container.decode(String.self))
            }
        }
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// One line of JSON, members in the order of their names.
    var text: String {
        switch self {
        case .scalar(let scalar): scalar.text
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .object(let members):
            "{"
                + members.sorted { $0.key < $1.key }.map { JSONScalar.string($0.key).text + ":" + $0.value.text }
                .joined(separator: ",") + "}"
        case .verbatim(let text): text
        }
    }
}

/// The members of one JSON object, read once each: what stays unread is refused.
struct Fields {
    private var members: [String: JSONNode]
    private let path: String

    init(_ members: [String: JSONNode], at path: String = "") {
        self.members = members
        self.path = path
    }

    func name(_ field: String) -> String { path.isEmpty ? field : "\(path).\(field)" }

    mutating func take(_ field: String) -> JSONNode? {
        guard let node = members.removeValue(forKey: field), node != .null else { return nil }
        return node
    }

    mutating func optionalText(_ field: String) throws(Problem) -> String? {
        guard let node = take(field) else { return nil }
        guard case .scalar(.string(let text)) = node else { throw .invalid(name(field), "expected a string") }
        return text
    }

    mutating func text(_ field: String) throws(Problem) -> String {
        guard let text = try optionalText(field) else { throw .invalid(name(field), "is missing") }
        return text
    }

    mutating func optionalInteger(_ field: String) throws(Problem) -> Int? {
        guard let node = take(field) else { return nil }
        guard case .scalar(.number(let digits)) = node, let number = Int(digits) else {
            throw .invalid(name(field), "expected an integer")
        }
        return number
    }

    mutating func optionalList(_ field: String) throws(Problem) -> [JSONNode]? {
        guard let node = take(field) else { return nil }
        guard case .array(let elements) = node else { throw .invalid(name(field), "expected an array") }
        return elements
    }

    mutating func optionalObject(_ field: String) throws(Problem) -> Fields? {
        guard let node = take(field) else { return nil }
        guard case .object(let members) = node else { throw .invalid(name(field), "expected an object") }
        return Fields(members, at: name(field))
    }

    mutating func object(_ field: String) throws(Problem) -> Fields {
        guard let fields = try optionalObject(field) else { throw .invalid(name(field), "is missing") }
        return fields
    }

    /// - Throws: for the first member, by name, that nobody has read.
    func finish() throws(Problem) {
        if let unknown = members.keys.min() { throw .invalid(name(unknown), "no such field") }
    }
}
