import KeyEncoding
import Model
import Testing

@Suite struct KeyLayoutTests {
    @Test("byte order is value order, for every type and for composites", arguments: 0..<36)
    func ordered(pair: Int) throws {
        let types = ColumnType.allCases
        let layout = try layout(types[pair / types.count], types[pair % types.count])
        var random = SeededGenerator(seed: UInt64(pair))
        var rows = (0..<200).map { _ in layout.columns.map { arbitrary($0.type, &random) } }
        // Neighbours that share a first column, so that the second one decides.
        rows += rows.prefix(100).map { [$0[0], arbitrary(layout.columns[1].type, &random)] }
        let keys = try rows.map { try layout.key(of: $0) }
        for _ in 0..<4_000 {
            let a = Int.random(in: 0..<rows.count, using: &random)
            let b = Int.random(in: 0..<rows.count, using: &random)
            #expect((keys[a] < keys[b]) == precedes(rows[a], rows[b]), "\(rows[a]) and \(rows[b])")
            #expect((keys[a] == keys[b]) == (!precedes(rows[a], rows[b]) && !precedes(rows[b], rows[a])))
        }
    }

    @Test("a key decodes to the values that it was made of, and encodes to itself again", arguments: ColumnType.allCases)
    func roundTrip(type: ColumnType) throws {
        let layout = try layout(type, .text)
        var random = SeededGenerator(seed: 7)
        for _ in 0..<500 {
            let values = [normal(arbitrary(type, &random)), arbitrary(.text, &random)]
            let key = try layout.key(of: values)
            #expect(try layout.values(of: key) == values)
        }
    }

    @Test("the extremes of each type keep their order")
    func extremes() throws {
        let integers = try [Int64.min, -1, 0, 1, .max].map { try layout(.integer).key(of: [.integer($0)]) }
        #expect(integers == integers.sorted())
        let numbers: [Double] = [
            -.infinity, -.greatestFiniteMagnitude, -1, -.leastNonzeroMagnitude, 0, .leastNonzeroMagnitude, 1,
            .greatestFiniteMagnitude, .infinity,
        ]
        let doubles = try numbers.map { try layout(.double).key(of: [.double($0)]) }
        #expect(doubles == doubles.sorted())
        let texts = try ["", "\0", "\0\0", "\u{1}", "a", "a\0", "a\0b", "ab", "é", "\u{FFFF}", "\u{10FFFF}"]
            .map { try layout(.text).key(of: [.text($0)]) }
        #expect(texts == texts.sorted())
        let raw = try [[], [0], [0, 0], [0, 1], [0, 0xFF], [1], [0xFF], [0xFF, 0xFF]]
            .map { try layout(.bytes).key(of: [.bytes($0)]) }
        #expect(raw == raw.sorted())
    }

    @Test("an encoding never changes: stored ranges depend on it")
    func golden() throws {
        let key = try layout(.text, .integer).key(of: [.text("a\0"), .integer(-2)])
        #expect(key.bytes == [0x61, 0x00, 0xFF, 0x00, 0x01, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE])
        #expect(try layout(.double).key(of: [.double(-1.5)]).bytes == [0x40, 0x07, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
        #expect(
            try layout(.boolean, .timestamp).key(of: [.boolean(true), .timestamp(1)]).bytes == [1, 0x80, 0, 0, 0, 0, 0, 0, 1])
    }

    @Test("minus zero is the key of zero; NaN is refused")
    func doubles() throws {
        let layout = try layout(.double)
        #expect(try layout.key(of: [.double(-0.0)]) == layout.key(of: [.double(0.0)]))
        #expect(throws: KeyError.notANumber(column: layout.columns[0].name)) { try layout.key(of: [.double(.nan)]) }
    }

    @Test("every wrong value is refused with its column named")
    func refusals() throws {
        let layout = try layout(.text, .integer)
        let (first, second) = (layout.columns[0].name, layout.columns[1].name)
        #expect(throws: KeyError.missing(column: second)) { try layout.key(of: [.text("a")]) }
        #expect(throws: KeyError.null(column: first)) { try layout.key(of: [.null, .integer(1)]) }
        #expect(throws: KeyError.wrongType(column: second, expected: .integer, found: .timestamp)) {
            try layout.key(of: [.text("a"), .timestamp(1)])
        }
        #expect(throws: KeyError.tooManyValues(count: 3, columns: 2)) {
            try layout.bound(at: [.text("a"), .integer(1), .integer(1)])
        }
        let long = String(repeating: "x", count: Limits.keyBytes)
        #expect(throws: KeyError.tooLong(column: first, bytes: Limits.keyBytes + 2, limit: Limits.keyBytes)) {
            try layout.key(of: [.text(long), .integer(1)])
        }
    }

    @Test("every truncation of a key, and every longer one, is refused")
    func truncations() throws {
        let layout = try KeyLayout(
            columns: ColumnType.allCases.map { Column(name: try RelationName("c_\($0.rawValue)"), type: $0) })
        let values: [Value] = [
            .integer(-5), .text("k\0é"), .bytes([0, 0xFF, 1]), .boolean(true), .double(-2.25),
            .timestamp(1_700_000_000_000_000),
        ]
        let key = try layout.key(of: values)
        for length in 0..<key.bytes.count {
            #expect(throws: KeyError.self) { try layout.values(of: Key(Array(key.bytes.prefix(length)))) }
        }
        #expect(throws: KeyError.trailing(bytes: 1)) { try layout.values(of: Key(key.bytes + [0])) }
    }

    @Test("what decodes was encoded: decoding accepts no second form of a key")
    func canonical() throws {
        let layout = try KeyLayout(
            columns: ColumnType.allCases.map { Column(name: try RelationName("c_\($0.rawValue)"), type: $0) })
        let key = try layout.key(of: [
            .integer(3), .text("b\0"), .bytes([0]), .boolean(false), .double(0), .timestamp(-1),
        ])
        for bit in 0..<(key.bytes.count * 8) {
            var bytes = key.bytes
            bytes[bit / 8] ^= 1 << (bit % 8)
            guard let values = try? layout.values(of: Key(bytes)) else { continue }
            #expect(try layout.key(of: values).bytes == bytes, "bit \(bit)")
        }
        var random = SeededGenerator(seed: 3)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<24, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? UInt8.random(in: 0...255, using: &random) : [0, 1, 0xFF][Int.random(in: 0..<3, using: &random)]
            }
            let mixed = try self.layout(.text, .double)
            guard let values = try? mixed.values(of: Key(bytes)) else { continue }
            #expect(try mixed.key(of: values).bytes == bytes)
        }
    }

    @Test("the range of a prefix holds every key that begins with it and no other")
    func prefixes() throws {
        let layout = try layout(.text, .integer)
        let range = try layout.range(startingWith: [.text("user")])
        for sort in [Int64.min, 0, .max] {
            #expect(range.contains(try layout.key(of: [.text("user"), .integer(sort)])))
            #expect(!range.contains(try layout.key(of: [.text("user\0"), .integer(sort)])))
            #expect(!range.contains(try layout.key(of: [.text("uses"), .integer(sort)])))
            #expect(!range.contains(try layout.key(of: [.text("use"), .integer(sort)])))
        }
        #expect(try layout.range(startingWith: []) == .all)
        #expect(Key([1, 0xFF]).prefixEnd == Key([2]))
        #expect(Key([0xFF, 0xFF]).prefixEnd == nil)
        #expect(try layout.leadingValues(of: range.low) == [.text("user")])
    }

    // MARK: Values to try, and their order

    private func layout(_ types: ColumnType...) throws -> KeyLayout {
        KeyLayout(
            columns: try types.enumerated().map { Column(name: try RelationName("k\($0.offset)"), type: $0.element) })
    }

    private func normal(_ value: Value) -> Value { value == .double(0) ? .double(0) : value }

    private func arbitrary(_ type: ColumnType, _ random: inout SeededGenerator) -> Value {
        let small = Int64.random(in: -3...3, using: &random)
        let wide = Int64.random(in: .min ... .max, using: &random) >> Int64.random(in: 0..<63, using: &random)
        let number = Bool.random(using: &random) ? small : wide
        switch type {
        case .integer: return .integer(number)
        case .timestamp: return .timestamp(number)
        case .boolean: return .boolean(small > 0)
        case .double:
            let bits = Double(bitPattern: UInt64(bitPattern: wide))
            return .double(bits.isNaN || Bool.random(using: &random) ? Double(small) / 2 : bits)
        case .text:
            let alphabet: [Unicode.Scalar] = ["\0", "\u{1}", "a", "b", "é", "\u{7FF}", "\u{FFFF}", "\u{10FFFF}"]
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0..<5, using: &random) { text.append(alphabet.randomElement(using: &random) ?? "a") }
            return .text(String(text))
        case .bytes:
            let alphabet: [UInt8] = [0, 1, 2, 0x7F, 0xFE, 0xFF]
            return .bytes((0..<Int.random(in: 0..<5, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 })
        }
    }

    /// The order of values, said without bytes.
    private func precedes(_ a: [Value], _ b: [Value]) -> Bool {
        for (left, right) in zip(a, b) {
            if precedes(left, right) { return true }
            if precedes(right, left) { return false }
        }
        return false
    }

    private func precedes(_ a: Value, _ b: Value) -> Bool {
        switch (a, b) {
        case (.integer(let x), .integer(let y)), (.timestamp(let x), .timestamp(let y)): x < y
        case (.double(let x), .double(let y)): x < y
        case (.boolean(let x), .boolean(let y)): !x && y
        case (.text(let x), .text(let y)): x.unicodeScalars.lexicographicallyPrecedes(y.unicodeScalars)
        case (.bytes(let x), .bytes(let y)): x.lexicographicallyPrecedes(y)
        default: false
        }
    }
}
