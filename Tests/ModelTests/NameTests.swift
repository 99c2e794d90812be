import Model
import Testing

@Suite struct NameTests {
    @Test(
        "a node name is accepted exactly when it has the documented form",
        arguments: [
            ("a", true), ("n1", true), ("node-7", true), (String(repeating: "a", count: 63), true), ("", false), ("1n", false),
            ("-n", false), ("n-", false), ("N1", false), ("n_1", false), ("n.1", false),
            (String(repeating: "a", count: 64), false),
            ("nö", false), ("n\u{0}", false),
        ])
    func nodeName(name: String, holds: Bool) {
        #expect(((try? NodeID(name)) != nil) == holds)
    }

    @Test(
        "a relation name is accepted exactly when it has the documented form",
        arguments: [
            ("t", true), ("a_b", true), ("t9_", true), (String(repeating: "a", count: 63), true), ("", false), ("_t", false),
            ("9t", false), ("T", false), ("a-b", false), (String(repeating: "a", count: 64), false), ("drop table", false),
        ])
    func relationName(name: String, holds: Bool) {
        #expect(((try? RelationName(name)) != nil) == holds)
    }

    @Test("a refusal names the field at fault and the form that is allowed")
    func refusalNamesField() {
        #expect(throws: InvalidValue(field: "sort_key", detail: "'Bad' does not match [a-z][a-z0-9_]{0,62}")) {
            try RelationName("Bad", field: "sort_key")
        }
    }

    @Test("a principal may hold any printable ASCII byte but no space and no control byte")
    func principal() {
        #expect(throws: Never.self) { try Principal("user:ann@example.org/$x") }
        #expect(throws: InvalidValue.self) { try Principal("a b") }
        #expect(throws: InvalidValue.self) { try Principal("a\n") }
        #expect(throws: InvalidValue.self) { try Principal(String(repeating: "a", count: 256)) }
    }
}
