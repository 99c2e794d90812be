import Engine
import FoundationEssentials
import KeyEncoding
import Model
import Telemetry

/// A value of a request's JSON body. Arrays and objects are none.
struct DocumentScalar: Decodable {
    let scalar: JSONScalar

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            scalar = .null
        } else if let flag = try? container.decode(Bool.self) {
            scalar = .boolean(flag)
        } else if let number = try? container.decode(Int64.self) {
            scalar = .number(String(number))
        } else if let number = try? container.decode(Double.self) {
            scalar = .number("\(number)")
        } else {
            scalar = .string(try container.decode(String.self))
        }
    }
}

/// One step of a batch: `{"op":"put","row":{…}}` or `{"op":"delete","key":[…]}`. A put may name its key too; then they must agree.
struct OperationDocument: Decodable {
    enum Kind: String, Decodable { case put, delete }

    let op: Kind
    let key: [DocumentScalar]?
    let row: [String: DocumentScalar]?

    private enum CodingKeys: String, CodingKey, CaseIterable { case op, key, row }

    init(from decoder: any Decoder) throws {
        try decoder.refuseMembers(otherThan: CodingKeys.allCases.map(\.rawValue))
        let members = try decoder.container(keyedBy: CodingKeys.self)
        op = try members.decode(Kind.self, forKey: .op)
        key = try members.decodeIfPresent([DocumentScalar].self, forKey: .key)
        row = try members.decodeIfPresent([String: DocumentScalar].self, forKey: .row)
    }
}

struct BatchDocument: Decodable {
    let operations: [OperationDocument]

    private enum CodingKeys: String, CodingKey, CaseIterable { case operations }

    init(from decoder: any Decoder) throws {
        try decoder.refuseMembers(otherThan: CodingKeys.allCases.map(\.rawValue))
        operations = try decoder.container(keyedBy: CodingKeys.self).decode([OperationDocument].self, forKey: .operations)
    }
}

private struct MemberName: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension Decoder {
    /// A member that nobody reads may be a condition that its writer relies on: it is refused, not passed over.
    fileprivate func refuseMembers(otherThan known: [String]) throws {
        let members = try container(keyedBy: MemberName.self)
        let unknown = members.allKeys.filter { !known.contains($0.stringValue) }.min { $0.stringValue < $1.stringValue }
        guard let unknown else { return }
        throw DecodingError.dataCorruptedError(
            forKey: unknown, in: members, debugDescription: "there is no member '\(unknown.stringValue)' here")
    }
}

/// Makes checked rows and mutations of what callers send.
struct RowReading {
    let table: TableDescriptor
    let shape: RowShape

    init(_ table: TableDescriptor) {
        self.table = table
        shape = RowShape(table)
    }

    /// Decodes a body, with the place of what is wrong in it.
    static func document<Document: Decodable>(_ type: Document.Type, from body: Data) throws(GatewayProblem) -> Document {
        // A decoder takes other encodings than UTF-8 too; in JSON, all of them have zeros.
        guard !body.contains(0) else {
            throw .badRequest(
                "MALFORMED_BODY", "the body is not JSON", hint: "the body is a JSON object, in UTF-8", field: "body")
        }
        let document: Document
        do {
            document = try JSONDecoder().decode(type, from: body)
        } catch let error as DecodingError {
            let (context, detail): (DecodingError.Context?, String) =
                switch error {
                case .typeMismatch(_, let context): (context, "a value of another kind is expected here")
                case .valueNotFound(_, let context): (context, "a value is missing")
                case .keyNotFound(let key, let context): (context, "'\(key.stringValue)' is missing")
                case .dataCorrupted(let context):
                    (context, context.codingPath.isEmpty ? "the body is not JSON" : context.debugDescription)
                @unknown default: (nil, "the body cannot be read")
                }
            let path = (context?.codingPath ?? []).map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
            throw .badRequest(
                context?.codingPath.isEmpty ?? true ? "MALFORMED_BODY" : "INVALID_VALUE", detail,
                hint: "the body is a JSON object", field: "body" + path)
        } catch {
            throw .badRequest(
                "MALFORMED_BODY", "the body is not JSON", hint: "the body is a JSON object", field: "body")
        }
        if let path = JSONNames.firstRepeated(in: Array(body)) {
            throw .badRequest(
                "INVALID_VALUE", "'\(path)' is given twice", hint: "give each name once in an object", field: "body.\(path)")
        }
        return document
    }

    /// A put of a row under `key`, or under the key that its columns make. Key columns may be left out when `key` has them.
    func put(_ row: [String: DocumentScalar], under key: Key?, place: String) throws(GatewayProblem) -> Mutation {
        var values = [Value](repeating: .null, count: table.columns.count)
        if let key {
            do throws(KeyError) {
                for (index, value) in zip(shape.keyIndexes, try shape.layout.values(of: key)) { values[index] = value }
            } catch { throw GatewayProblem(.key(error), field: "key") }
        }
        let indexes = Dictionary(uniqueKeysWithValues: table.columns.enumerated().map { ($0.element.name.name, $0.offset) })
        // In a fixed order, so that the same bad row gets the same answer each time.
        for (name, document) in row.sorted(by: { $0.key < $1.key }) {
            guard let index = indexes[name] else {
                throw .badRequest(
                    "UNKNOWN_COLUMN", "table '\(table.name)' has no column '\(name)'",
                    hint: "its columns: \(table.columns.map(\.name.name).joined(separator: ", "))", field: "\(place).\(name)")
            }
            do throws(MisfitValue) { values[index] = try Value(document.scalar, for: table.columns[index]) } catch {
                throw .badRequest(
                    "WRONG_TYPE", error.description, hint: "the column's type is \(table.columns[index].type.rawValue)",
                    field: "\(place).\(name)")
            }
        }
        let made: Key
        do throws(RowError) {
            made = try shape.key(of: values)
            try shape.check(values, under: key ?? made)
        } catch { throw Self.problem(error, place: place) }
        let bytes = Row(key: made, values: values).byteCount
        guard bytes <= Limits.rowBytes else {
            throw .tooLarge("ROW_TOO_LARGE", bytes: bytes, limit: Limits.rowBytes, field: place)
        }
        return .put(key: made, values: values)
    }

    private static let form = #"{"op":"put","row":{…}} or {"op":"delete","key":[…]}"#

    func mutation(_ operation: OperationDocument, at index: Int) throws(GatewayProblem) -> Mutation {
        let place = "body.operations[\(index)]"
        let key = try operation.key.map { scalars throws(GatewayProblem) in try self.key(scalars, place: "\(place).key") }
        switch (operation.op, key, operation.row) {
        case (.put, let key, let row?): return try put(row, under: key, place: "\(place).row")
        case (.put, _, nil): throw .badRequest("MALFORMED_BODY", "a put needs 'row'", hint: Self.form, field: "\(place).row")
        case (.delete, let key?, nil): return .delete(key: key)
        case (.delete, nil, _):
            throw .badRequest("MALFORMED_BODY", "a delete needs 'key'", hint: Self.form, field: "\(place).key")
        case (.delete, _, _?):
            throw .badRequest("MALFORMED_BODY", "a delete takes no 'row'", hint: Self.form, field: "\(place).row")
        }
    }

    private func key(_ scalars: [DocumentScalar], place: String) throws(GatewayProblem) -> Key {
        let columns = shape.layout.columns
        guard scalars.count <= columns.count else {
            throw GatewayProblem(.key(.tooManyValues(count: scalars.count, columns: columns.count)), field: place)
        }
        var values: [Value] = []
        for (document, column) in zip(scalars, columns) {
            do throws(MisfitValue) { values.append(try Value(document.scalar, for: column)) } catch {
                throw GatewayProblem(.misfit(error), field: place)
            }
        }
        do throws(KeyError) { return try shape.layout.key(of: values) } catch {
            throw GatewayProblem(.key(error), field: place)
        }
    }

    private static func problem(_ error: RowError, place: String) -> GatewayProblem {
        let field = error.column.map { "\(place).\($0)" } ?? place
        switch error {
        case .key(.missing), .key(.null):
            return .badRequest(
                "MISSING_KEY_COLUMN", error.description, hint: "key columns need a value", field: field)
        case .key:
            return .badRequest("INVALID_KEY", error.description, hint: "correct the column that is named", field: field)
        case .keyMismatch:
            return .badRequest(
                "KEY_MISMATCH", "the row's key columns differ from the key",
                hint: "leave the key columns out of the row, or give the same values", field: field)
        case .wrongType, .notANumber, .valueCount:
            return .badRequest("WRONG_TYPE", error.description, hint: "correct the column that is named", field: field)
        }
    }
}
