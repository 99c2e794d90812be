import KeyEncoding
import Model
import Testing

@Suite struct KeyTextTests {
    private func layout(_ types: ColumnType...) throws -> KeyLayout {
        KeyLayout(columns: try types.enumerated().map { Column(name: try RelationName("c\($0)"), type: $1) })
    }

    @Test(
        "a key's text reads back to the same key",
        arguments: [
            #"["openssl",3]"#, #"["a\"b\\\n\u0001",-9007199254740993]"#, #"["",0]"#, #"["日本語 😀",9223372036854775807]"#,
        ])
    func roundTrip(text: String) throws {
        let layout = try layout(.text, .integer)
        let key = try layout.key(text: text)
        #expect(try layout.key(text: layout.text(of: key)) == key)
    }

    @Test("a string is quoted as JSON wants it, and everything above ASCII stays as it is")
    func quoting() {
        #expect(JSONScalar.string("").text == "\"\"")
        #expect(JSONScalar.string("Grüße 日本語 😀").text == "\"Grüße 日本語 😀\"")
        #expect(
            JSONScalar.string("a\"b\\c\n\r\t\u{1}\u{1F}é/\u{7F}").text
                == "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u001fé/\u{7F}\"")
    }

    @Test("integers may be numbers or strings, escapes are read")
    func forms() throws {
        let layout = try layout(.text, .integer)
        #expect(try layout.key(text: #"["ab",7]"#) == layout.key(text: #" [ "\u0061b" , "7" ] "#))
        #expect(try layout.key(text: #"["\ud83d\ude00",7]"#) == layout.key(text: #"["😀",7]"#))
        #expect(try layout.bound(text: #"["ab"]"#) == layout.bound(at: [.text("ab")]))
    }

    @Test(
        "every type has one text",
        arguments: [
            Value.integer(.min), .integer(5), .text("x"), .bytes([0, 255, 1]), .boolean(true), .double(-0.5), .double(1e300),
            .double(.infinity), .timestamp(0), .timestamp(1_700_000_000_123_456), .timestamp(-1), .null,
        ])
    func values(value: Value) throws {
        let column = Column(name: try RelationName("c"), type: value.type ?? .text)
        #expect(try Value(value.json, for: column) == value)
    }

    @Test(
        "what is not an array of scalars is refused with its place",
        arguments: [
            "", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1]x", "{}", "[[1]]", "[01]", "[1.]", "[-]", "[1e]", #"["a]"#,
            #"["\x"]"#,
            #"["\ud800"]"#, #"["\u12"]"#, "[nul]", "1",
        ])
    func syntax(text: String) throws { try expectSyntaxError(text) }

    @Test("a control character that is not escaped is refused with its place")
    func controlCharacter() throws { try expectSyntaxError("[\"\u{1}\"]") }

    private func expectSyntaxError(_ text: String) throws {
        let layout = try layout(.integer, .integer)
        #expect {
            try layout.bound(text: text)
        } throws: { error in
            if case .syntax? = error as? KeyTextError { true } else { false }
        }
    }

    @Test("values of another type, missing and superfluous ones are refused")
    func misfits() throws {
        let layout = try layout(.text, .integer)
        #expect(throws: KeyTextError.self) { try layout.key(text: "[1,2]") }
        #expect(throws: KeyTextError.self) { try layout.key(text: #"["a",1.5]"#) }
        #expect(throws: KeyTextError.self) { try layout.key(text: #"["a",99999999999999999999]"#) }
        #expect(throws: KeyTextError.key(.missing(column: try RelationName("c1")))) { try layout.key(text: #"["a"]"#) }
        #expect(throws: KeyTextError.key(.tooManyValues(count: 3, columns: 2))) { try layout.key(text: #"["a",1,2]"#) }
        #expect(throws: KeyTextError.key(.null(column: try RelationName("c0")))) { try layout.key(text: "[null,1]") }
    }

    @Test("base64url is strict, and inverse to itself")
    func base64() throws {
        for count in 0..<20 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 97 &+ 250) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
        #expect(Base64URL.encode([0xFB, 0xFF]) == "-_8")
        for bad in ["A", "AA=", "A+", "A/==", "é"] { #expect(Base64URL.decode(bad) == nil) }
        // Bits behind the last byte: a second text for the same bytes.
        #expect(Base64URL.decode("AB") == nil)
        #expect(Base64URL.decode("AA") == [0])
    }

    @Test(
        "timestamps are RFC 3339",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2000-02-29T12:34:56.789Z", 951_827_696_789_000), ("1969-12-31T23:59:59.999999Z", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000), ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ] as [(String, Int64)])
    func timestamps(text: String, microseconds: Int64) {
        #expect(TimestampText.parse(text) == microseconds)
        #expect(TimestampText.format(microseconds) == text)
    }

    @Test("impossible times are refused, offsets are counted")
    func badTimestamps() {
        for bad in [
            "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01T00:00:60Z", "2023-01-01",
            "2023-01-01T00:00:00", "2023-01-01T00:00:00.Z", "2023-01-01T00:00:00.1234567Z", "0000-01-01T00:00:00Z",
            "2023-01-01T00:00:00Zx", "0001-01-01T00:00:00+01:00", "",
        ] {
            #expect(TimestampText.parse(bad) == nil, "\(bad)")
        }
        #expect(TimestampText.parse("1970-01-01T01:00:00+01:00") == 0)
    }
}
