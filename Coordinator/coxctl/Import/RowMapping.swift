import Client
import KeyEncoding
import Model

/// Makes rows of a table out of the lines of a file, by the names in its header.
struct RowMapping {
    struct Fault: Error, Hashable { let detail: String }

    let columns: [Column]
    private let keys: [Int]

    /// - Throws: `ClientError.invalid` when the header names a column twice or one that the table lacks, or lacks a key column.
    init(header: [CSVField], route: TableRoute) throws(ClientError) {
        var columns: [Column] = []
        for field in header {
            guard let name = field.text, let column = route.columns.first(where: { $0.name.name == name }) else {
                throw .invalid("line 1: table \(route.table) has no column '\(field.text ?? "?")'")
            }
            guard !columns.contains(column) else { throw .invalid("line 1: column '\(column.name)' stands twice") }
            columns.append(column)
        }
        var keys: [Int] = []
        for key in route.layout.columns {
            guard let index = columns.firstIndex(of: key) else { throw .invalid("line 1: key column '\(key.name)' is missing") }
            keys.append(index)
        }
        self.columns = columns
        self.keys = keys
    }

    /// The rows of `lines`, and the lines that are none.
    func entries(of lines: [CSVReader.Line]) -> (rows: [BulkWriter.Entry], faults: [BulkWriter.Refusal]) {
        var (rows, faults): ([BulkWriter.Entry], [BulkWriter.Refusal]) = ([], [])
        for line in lines {
            do throws(Fault) {
                switch line.record {
                case .malformed(let why): throw Fault(detail: why)
                case .fields(let fields):
                    let (key, row) = try row(of: fields)
                    rows.append(BulkWriter.Entry(key: key, row: row.text, line: line.number))
                }
            } catch {
                faults.append(BulkWriter.Refusal(line: line.number, reason: error.detail))
            }
        }
        return (rows, faults)
    }

    /// The row of one line and its key as JSON text. An unquoted empty field is null.
    func row(of fields: [CSVField]) throws(Fault) -> (key: String, row: JSONValue) {
        guard fields.count == columns.count else {
            throw Fault(detail: "\(fields.count) fields; the header has \(columns.count)")
        }
        var members: [String: JSONValue] = [:]
        var scalars: [JSONScalar] = []
        for (field, column) in zip(fields, columns) {
            let scalar = try Self.scalar(field, column)
            do throws(MisfitValue) { _ = try Value(scalar, for: column) } catch { throw Fault(detail: error.description) }
            scalars.append(scalar)
            members[column.name.name] = .scalar(scalar)
        }
        let key = keys.map { scalars[$0] }
        guard !key.contains(.null) else { throw Fault(detail: "a key column is empty") }
        return ("[" + key.map(\.text).joined(separator: ",") + "]", .object(members))
    }

    private static func scalar(_ field: CSVField, _ column: Column) throws(Fault) -> JSONScalar {
        guard let text = field.text else { throw Fault(detail: "column '\(column.name)' is not UTF-8") }
        if text.isEmpty, !field.isQuoted { return .null }
        switch (column.type, text) {
        case (.boolean, "true"): return .boolean(true)
        case (.boolean, "false"): return .boolean(false)
        case (.double, "Infinity"), (.double, "-Infinity"), (.double, "NaN"): return .string(text)
        case (.integer, _), (.double, _):
            // Only what JSON takes as a number is written as one.
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) || [0x2B, 0x2D, 0x2E, 0x45, 0x65].contains($0) }),
                let double = Double(text), double.isFinite
            else { throw Fault(detail: "column '\(column.name)': '\(text.prefix(32))' is no number") }
            if column.type == .double { return .number("\(double)") }
            guard let integer = Int64(text) else {
                throw Fault(detail: "column '\(column.name)': '\(text.prefix(32))' is no 64-bit integer")
            }
            return .number(String(integer))
        case (.boolean, _): throw Fault(detail: "column '\(column.name)': expected true or false")
        case (.text, _), (.bytes, _), (.timestamp, _): return .string(text)
        }
    }
}
