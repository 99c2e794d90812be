import Client
import KeyEncoding
import Model
import Testing

@testable import coxctl

@Suite struct BulkWriterTests {
    private let layout: KeyLayout
    private let route: TableRoute

    init() throws {
        let column = Column(name: try RelationName("id"), type: .integer)
        let layout = KeyLayout(columns: [column])
        let cut = try layout.key(text: "[100]")
        self.layout = layout
        route = TableRoute(
            table: "t", columns: [column], layout: layout,
            partitions: [
                PartitionRoute(id: 1, epoch: 1, low: .least, high: cut, gateway: nil, replicas: []),
                PartitionRoute(id: 2, epoch: 1, low: cut, high: nil, gateway: nil, replicas: []),
            ])
    }

    private func entry(_ key: Int, line: Int? = nil, bytes: Int = 10) -> BulkWriter.Entry {
        .init(key: "[\(key)]", row: String(repeating: "x", count: bytes), line: line ?? key)
    }

    @Test("a batch never crosses a partition, is in key order, and the partitions' batches alternate")
    func partitions() throws {
        let batches = try BulkWriter.batches(of: (0..<1_200).reversed().map { entry($0 % 1_200 * 1) }, by: route)
        #expect(batches.map { $0.first?.key } == ["[0]", "[100]", "[600]", "[1100]"])
        #expect(batches.map(\.count) == [100, 500, 500, 100])
        for batch in batches { #expect(batch.map(\.line) == batch.map(\.line).sorted()) }
    }

    @Test("a line that is refused covers no earlier line of its key")
    func uncovers() throws {
        let entries = [entry(1, line: 1), entry(2, line: 2), entry(1, line: 3), entry(1, line: 4), entry(2, line: 5)]
        let refused = [BulkWriter.Refusal(line: 4, reason: "ROW_TOO_LARGE")]
        let left = try BulkWriter.uncovered(by: refused, among: entries, route)
        #expect(left.map(\.line) == [1, 3])
        #expect(try BulkWriter.batches(of: left, by: route).map { $0.map(\.line) } == [[3]])
        #expect(try BulkWriter.uncovered(by: [], among: entries, route).isEmpty)
    }

    @Test("large rows make small batches, and a row larger than a batch goes alone")
    func bytes() throws {
        let half = BulkWriter.batchBytes / 2
        let batches = try BulkWriter.batches(
            of: [entry(1, bytes: half), entry(2, bytes: half), entry(3, bytes: 3 * half), entry(4, bytes: 1)], by: route)
        #expect(batches.map { $0.map(\.line) } == [[1, 2], [3], [4]])
    }

    @Test("of lines with one key the last counts")
    func duplicates() throws {
        let batches = try BulkWriter.batches(of: [entry(5, line: 1), entry(5, line: 3), entry(5, line: 2)], by: route)
        #expect(batches == [[entry(5, line: 3)]])
    }

    @Test("a key that does not read is told with its line")
    func badKey() throws {
        let bad = BulkWriter.Entry(key: "[\"x\"]", row: "{}", line: 9)
        #expect {
            try BulkWriter.batches(of: [bad], by: route)
        } throws: { error in
            "\(error)".contains("line 9")
        }
    }

    @Test(
        "a refusal's field tells which row it is",
        arguments: [
            ("body.operations[7].row.size", 7), ("body.operations[0]", 0), ("body.operations[x]", nil), ("body", nil),
            ("", nil),
        ] as [(String, Int?)])
    func field(field: String, expected: Int?) {
        #expect(BulkWriter.operation(named: field) == expected)
    }
}
