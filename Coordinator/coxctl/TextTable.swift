import Client

/// Columns under headings, for people.
struct TextTable {
    struct Column {
        let heading: String
        private let cell: @Sendable (JSONValue) -> String

        /// - Parameter paths: names to follow from the row, `a.b` going inward; the first that is there wins.
        init(_ heading: String, _ paths: String...) {
            self.init(
                heading,
                of: { row in
                    for path in paths {
                        var value: JSONValue? = row
                        for name in path.split(separator: ".") { value = value?[String(name)] }
                        if let value, value != .null { return Self.text(value) }
                    }
                    return "-"
                })
        }

        /// What is said of a row as a whole.
        init(_ heading: String, of cell: @escaping @Sendable (JSONValue) -> String) {
            self.heading = heading
            self.cell = cell
        }

        func text(of row: JSONValue) -> String { cell(row) }

        private static func text(_ value: JSONValue) -> String {
            switch value {
            case .array(let elements) where elements.isEmpty: "-"
            case .array(let elements):
                elements.map { element in
                    element["node"]?.string.map { name in name + (isLearner(element) ? "*" : "") } ?? text(element)
                }
                .joined(separator: ",")
            default: value.string ?? value.text
            }
        }

        private static func isLearner(_ replica: JSONValue) -> Bool { replica["role"]?.string == "learner" }
    }

    let columns: [Column]
    let rows: [JSONValue]

    var text: String {
        let cells = [columns.map(\.heading)] + rows.map { row in columns.map { $0.text(of: row) } }
        let widths = columns.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { line in
            var text = ""
            for (index, cell) in line.enumerated() {
                text += cell
                if index < line.count - 1 { text += String(repeating: " ", count: widths[index] - cell.count + 2) }
            }
            return text
        }.joined(separator: "\n")
    }
}
