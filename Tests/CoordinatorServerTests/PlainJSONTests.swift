@testable import CoordinatorServer
import Foundation
import KeyEncoding
import Model
import Testing

@Suite struct PlainJSONTests {
    private func decoded(_ bytes: [UInt8]) -> JSONNode? { try? JSONDecoder().decode(JSONNode.self, from: Data(bytes)) }

    @Test(
        "plain text is read as the decoder reads it",
        arguments: [
            "{}", "[]", #"{"value":"x"}"#, " {\n\t\"a\" : [ 1 , -20, 0 ] , \"b\":{\"c\":null,\"d\":true,\"e\":false} }\r\n",
            #""grün 🌍""#,
            "123456789012345678", "-1", "null",
        ])
    func plain(text: String) {
        let bytes = Array(text.utf8)
        let node = PlainJSON.read(bytes)
        #expect(node != nil && node == decoded(bytes))
    }

    @Test(
        "what is not plain is left to others",
        arguments: [
            "", " ", "{", "[1", "[1,]", #"{"a":1,}"#, #"{"a":1,"a":2}"#, #"{"a"}"#, "01", "-0", "1.0", "1e3",
            "1234567890123456789", "tru",
            "truex", "nul", #""a\nb""#, "\"a\u{1}b\"", #"{"a":1} x"#, "{a:1}", "'x'", "+1", "-",
            String(repeating: "[", count: 40) + String(repeating: "]", count: 40),
        ])
    func others(text: String) { #expect(PlainJSON.read(Array(text.utf8)) == nil) }

    @Test("bytes that are no UTF-8 are left to others")
    func notUTF8() {
        #expect(PlainJSON.read([0x22, 0xFF, 0x22]) == nil)
        #expect(PlainJSON.read([0x22, 0xC3, 0x22]) == nil)
    }

    @Test("of any bytes it reads nothing, or what the decoder reads")
    func fuzz() {
        var random = SeededGenerator(seed: 3)
        let pieces = [
            "{", "}", "[", "]", ",", ":", "\"", "a", "\\", "1", "0", "-", ".", "e", "true", "null", " ", "\"x\":", "ü",
        ].map { Array($0.utf8) }
        var read = 0
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 1...9, using: &random)).flatMap { _ in pieces.randomElement(using: &random) ?? [] }
            guard let node = PlainJSON.read(bytes) else { continue }
            read += 1
            #expect(node == decoded(bytes), "\(String(decoding: bytes, as: UTF8.self))")
        }
        #expect(read > 100)
    }
}
