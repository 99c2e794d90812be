/// Why a query is refused.
package struct QueryFault: Error, Hashable, Sendable {
    /// Stable, for programs.
    package let code: String
    package let detail: String
    package let hint: String
    /// The parameter at fault, as it reads.
    package let field: String
}

/// A request's query, read strictly. A parameter that nobody looks at may be a safety catch that its writer relies on, and of two
/// values under one name only one can be heeded: neither is passed over.
package struct QueryFields: Hashable, Sendable {
    /// By their names; names and values decoded.
    package let values: [String: String]

    /// - Parameter query: what stands behind the question mark; nil where there is none.
    /// - Throws: for a name that is given twice, however it is spelled, and for what is not percent-encoded UTF-8.
    package init(_ query: String?) throws(QueryFault) {
        var values: [String: String] = [:]
        for piece in (query ?? "").split(separator: "&") {
            let parts = piece.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Percent.decode(parts[0]), let value = Percent.decode(parts.count > 1 ? parts[1] : "") else {
                throw QueryFault(
                    code: "MALFORMED_QUERY", detail: "query parameter '\(parts[0])' is not percent-encoded UTF-8",
                    hint: "encode each name and value by itself", field: String(parts[0]))
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw QueryFault(
                    code: "REPEATED_PARAMETER", detail: "query parameter '\(name)' is given twice", hint: "give it once",
                    field: name)
            }
        }
        self.values = values
    }

    package subscript(name: String) -> String? { values[name] }

    /// - Throws: for the first name, in the order of names, that is not among those that are offered.
    package func check(offered: [String]) throws(QueryFault) {
        guard let unknown = values.keys.filter({ !offered.contains($0) }).min() else { return }
        throw QueryFault(
            code: "UNKNOWN_PARAMETER", detail: "there is no query parameter '\(unknown)' here; nothing was done",
            hint: offered.isEmpty ? "none is taken here" : "offered: \(offered.joined(separator: ", "))", field: unknown)
    }
}
