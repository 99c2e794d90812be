import Model
import Testing

@Suite struct CRC32CTests {
    @Test("matches the published vectors")
    func vectors() {
        #expect(CRC32C.of([UInt8]("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.of([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.of([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.of([UInt8](0..<32)) == 0x46DD_794E)
        #expect(CRC32C.of([]) == 0)
    }

    @Test("a checksum taken in two parts is the checksum of the whole, wherever it is cut")
    func chained() {
        let bytes = [UInt8](0..<100)
        for cut in 0...bytes.count {
            let first = CRC32C.of(Array(bytes[..<cut]))
            #expect(CRC32C.of(Array(bytes[cut...]), continuing: first) == CRC32C.of(bytes))
        }
    }
}
