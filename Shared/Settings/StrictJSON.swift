// Settings are read strictly: a field that nobody knows is a mistake to be told, not a wish to be ignored.

package import FoundationEssentials
package import Model

package enum StrictJSON {
    /// Reads JSON5 as a `Value`.
    /// - Throws: `InvalidValue` naming the field that is missing, of the wrong type, or unknown.
    package static func decode<Value: Codable>(_ type: Value.Type, from bytes: Data) throws(InvalidValue) -> Value {
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        do {
            let value = try decoder.decode(Value.self, from: bytes)
            let given = try decoder.decode(Tree.self, from: bytes)
            // What the value writes is what it knows.
            let known = try JSONDecoder().decode(Tree.self, from: try JSONEncoder().encode(value))
            if let field = given.firstField(absentFrom: known, at: "") {
                throw InvalidValue(field: field, detail: "no such field")
            }
            return value
        } catch let error as InvalidValue {
            throw error
        } catch let error as DecodingError {
            throw translate(error)
        } catch {
            throw InvalidValue(field: "file", detail: "\(error)")
        }
    }

    private static func translate(_ error: DecodingError) -> InvalidValue {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context):
            let parent = path(context)
            return InvalidValue(field: parent.isEmpty ? key.stringValue : "\(parent).\(key.stringValue)", detail: "is missing")
        case .typeMismatch(let type, let context): return InvalidValue(field: path(context), detail: "expected \(type)")
        case .valueNotFound(let type, let context):
            return InvalidValue(field: path(context), detail: "expected \(type), not null")
        case .dataCorrupted(let context):
            return InvalidValue(
                field: context.codingPath.isEmpty ? "file" : path(context),
                detail: context.codingPath.isEmpty ? "is not JSON" : context.debugDescription)
        @unknown default: return InvalidValue(field: "file", detail: "\(error)")
        }
    }

    /// The shape of a document: which fields are there.
    private indirect enum Tree: Decodable {
        case object([String: Tree])
        case list([Tree])
        case leaf

        private struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { return nil }
        }

        init(from decoder: any Decoder) throws {
            if let object = try? decoder.container(keyedBy: Key.self) {
                var fields: [String: Tree] = [:]
                for key in object.allKeys { fields[key.stringValue] = try object.decode(Tree.self, forKey: key) }
                self = .object(fields)
            } else if var list = try? decoder.unkeyedContainer() {
                var items: [Tree] = []
                while !list.isAtEnd { items.append(try list.decode(Tree.self)) }
                self = .list(items)
            } else {
                self = .leaf
            }
        }

        func firstField(absentFrom known: Tree, at path: String) -> String? {
            switch (self, known) {
            case (.object(let given), .object(let known)):
                for (name, value) in given.sorted(by: { $0.key < $1.key }) {
                    let field = path.isEmpty ? name : "\(path).\(name)"
                    guard let counterpart = known[name] else { return field }
                    if let found = value.firstField(absentFrom: counterpart, at: field) { return found }
                }
                return nil
            case (.list(let given), .list(let known)):
                for (index, pair) in zip(given, known).enumerated() {
                    if let found = pair.0.firstField(absentFrom: pair.1, at: "\(path)[\(index)]") { return found }
                }
                return nil
            default: return nil
            }
        }
    }
}
