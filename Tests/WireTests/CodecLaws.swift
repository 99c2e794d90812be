import Testing
import Wire

/// What holds of every codec: reading back gives the value, and no damage to the bytes does more than be refused.
func checkLaws<T: WireCodable & Equatable>(
    of _: T.Type = T.self, rounds: UInt64 = 60, damaged: UInt64 = 3, _ draw: (inout Arbitrary) throws -> T,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    for seed in 0..<rounds {
        var arbitrary = Arbitrary(seed: seed)
        let value = try draw(&arbitrary)
        let bytes = value.serialized()
        #expect(try T(bytes: bytes) == value, "seed \(seed)", sourceLocation: sourceLocation)
        guard seed < damaged else { continue }
        for length in bytes.indices { survives(Array(bytes[..<length])) }
        for index in bytes.indices {
            for bit in 0..<8 {
                var flipped = bytes
                flipped[index] ^= 1 << UInt8(bit)
                survives(flipped)
            }
        }
    }

    /// A damaged message is refused, or reads as a value that can be written and read again.
    func survives(_ bytes: [UInt8]) {
        let value: T
        do { value = try T(bytes: bytes) } catch { return }
        // NaN is not equal to itself, so the bytes are compared.
        let written = value.serialized()
        #expect((try? T(bytes: written))?.serialized() == written, sourceLocation: sourceLocation)
    }
}
