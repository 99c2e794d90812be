/// One command: its name, then words, then options as `key=value` or `key=(value,value)`.
///
/// Whoever carries it out takes what it understands; what is left over is an error, so that a misspelt option never passes in silence.
package struct TraceCommand: Equatable, Sendable {
    package struct Option: Equatable, Sendable {
        package let key: String
        package let values: [String]
    }

    package let file: String
    package let line: Int
    package let name: String
    package private(set) var words: [String] = []
    package private(set) var options: [Option] = []

    package init(_ text: String, file: String, line: Int) throws(TraceError) {
        (self.file, self.line) = (file, line)
        let parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        name = parts[0]
        guard !parts.contains("") else { throw problem("two blanks in a row, or one at the beginning") }
        guard name.allSatisfy({ $0.isLowercase || $0 == "-" }) else { throw problem("\(name) is no name of a command") }
        for part in parts.dropFirst() {
            guard let equals = part.firstIndex(of: "=") else {
                guard options.isEmpty else { throw problem("\(part) stands behind an option") }
                words.append(part)
                continue
            }
            let key = String(part[..<equals])
            guard !key.isEmpty, !options.contains(where: { $0.key == key }) else {
                throw problem("\(part): no key, or given twice")
            }
            options.append(Option(key: key, values: try values(part[part.index(after: equals)...])))
        }
    }

    private func values(_ text: Substring) throws(TraceError) -> [String] {
        var list = text
        if text.hasPrefix("(") || text.hasSuffix(")") {
            guard text.count > 2, text.hasPrefix("("), text.hasSuffix(")") else {
                throw problem("\(text): a bracket is missing")
            }
            list = text.dropFirst().dropLast()
        }
        let values = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard !values.contains(""), values.count == 1 || text.hasPrefix("(") else {
            throw problem("\(text): a list stands in brackets, with no empty value")
        }
        return values
    }

    /// An error at this command's line.
    package func problem(_ text: String) -> TraceError { TraceError(file: file, line: line, problem: text) }

    // MARK: - Taking it apart

    /// Takes the next word.
    package mutating func word(_ what: String) throws(TraceError) -> String {
        guard !words.isEmpty else { throw problem("\(name): \(what) is missing") }
        return words.removeFirst()
    }

    /// Takes the words that are left, which may be none.
    package mutating func rest() -> [String] {
        defer { words = [] }
        return words
    }

    /// Takes the words that are left, one at least.
    package mutating func rest(_ what: String) throws(TraceError) -> [String] {
        guard !words.isEmpty else { throw problem("\(name): \(what) is missing") }
        return rest()
    }

    /// Takes an option's values; nil when it is not given.
    package mutating func list(_ key: String) -> [String]? {
        guard let at = options.firstIndex(where: { $0.key == key }) else { return nil }
        return options.remove(at: at).values
    }

    /// Takes an option that has one value; nil when it is not given.
    package mutating func value(_ key: String) throws(TraceError) -> String? {
        guard let values = list(key) else { return nil }
        guard values.count == 1 else { throw problem("\(key) has one value") }
        return values[0]
    }

    /// Takes an option that is a number; nil when it is not given.
    package mutating func number(_ key: String) throws(TraceError) -> UInt64? {
        guard let text = try value(key) else { return nil }
        guard let number = UInt64(text) else { throw problem("\(key)=\(text): not a number") }
        return number
    }

    /// To be called when everything understood has been taken.
    package func finished() throws(TraceError) {
        if let word = words.first { throw problem("\(name): \(word) is not understood") }
        if let option = options.first { throw problem("\(name): \(option.key)= is not understood") }
    }
}
