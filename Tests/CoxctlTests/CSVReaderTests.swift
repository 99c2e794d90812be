import Client
import KeyEncoding
import Model
import Testing

@testable import coxctl

@Suite struct CSVReaderTests {
    private func read(_ text: String, piece: Int = .max) -> [CSVReader.Line] {
        var reader = CSVReader()
        var lines: [CSVReader.Line] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            lines += reader.take(rest.prefix(piece))
            rest = rest.dropFirst(piece)
        }
        if let last = reader.finish() { lines.append(last) }
        return lines
    }

    private func texts(_ line: CSVReader.Line) -> [String?]? {
        if case .fields(let fields) = line.record { fields.map(\.text) } else { nil }
    }

    @Test("quotes, commas, doubled quotes and line ends inside quotes are read as RFC 4180 says")
    func fields() {
        let lines = read("a,b\r\n\"x,1\",\"say \"\"hi\"\"\"\n\"two\nlines\",\n\nlast,one")
        #expect(lines.map { texts($0) } == [["a", "b"], ["x,1", "say \"hi\""], ["two\nlines", ""], ["last", "one"]])
        #expect(lines.map(\.number) == [1, 2, 3, 6])
    }

    @Test("the pieces in which bytes come make no difference")
    func pieces() {
        let text = "a,b\r\n\"x,1\",\"q\"\"q\"\n\"two\r\nlines\",\nbad\"x,1\nlast,ü"
        let whole = read(text)
        for size in 1...text.utf8.count { #expect(read(text, piece: size) == whole) }
    }

    @Test("a malformed line is named by its number and does not spoil the next")
    func malformed() {
        let lines = read("a,b\nx\"y,1\n\"q\"z,2\ngood,3\n\"open")
        #expect(lines.map { texts($0) != nil } == [true, false, false, true, false])
        #expect(lines.map(\.number) == [1, 2, 3, 4, 5])
    }

    @Test("reading from a record's end on gives the records after it, under the same numbers")
    func resume() {
        let text = "a,b\n1,\"x\ny\"\n2,z\n3,w\n"
        let lines = read(text)
        var reader = CSVReader(offset: lines[1].end, line: 4)
        let rest = reader.take(Array(text.utf8).dropFirst(lines[1].end))
        #expect(rest == Array(lines[2...]))
    }

    @Test("fields become values of their columns' types, and what does not fit is said")
    func mapping() throws {
        let types: [(String, ColumnType)] = [("id", .text), ("n", .integer), ("ok", .boolean), ("d", .double)]
        let columns = try types.map { Column(name: try RelationName($0.0), type: $0.1) }
        let route = TableRoute(table: "t", columns: columns, layout: KeyLayout(columns: [columns[0]]), partitions: [])
        func fields(_ text: String) throws -> [CSVField] {
            guard case .fields(let fields)? = read(text).first?.record else { throw CancellationError() }
            return fields
        }
        let mapping = try RowMapping(header: try fields("n,id,ok,d"), route: route)
        let (key, row) = try mapping.row(of: try fields("42,\"k\",true,1.5"))
        #expect(key == "[\"k\"]")
        #expect(row.text == "{\"d\":1.5,\"id\":\"k\",\"n\":42,\"ok\":true}")
        #expect(try mapping.row(of: try fields(",k,,")).row.text == "{\"d\":null,\"id\":\"k\",\"n\":null,\"ok\":null}")
        for bad in [
            "x,k,true,1", "1,k,yes,1", "1,,true,1", "1,k,true", "1,k,true,nan", "9223372036854775808,k,true,1", "0x10,k,true,1",
        ] {
            #expect(throws: RowMapping.Fault.self) { try mapping.row(of: try fields(bad)) }
        }
        #expect(throws: ClientError.self) { try RowMapping(header: try fields("n,ok"), route: route) }
        #expect(throws: ClientError.self) { try RowMapping(header: try fields("id,nope"), route: route) }
        #expect(throws: ClientError.self) { try RowMapping(header: try fields("id,id"), route: route) }
    }
}
