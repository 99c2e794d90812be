import Model
import Testing

@Suite struct IdempotencyKeyTests {
    @Test("the example of RFC 9562 is read and said as it stands there")
    func example() throws {
        let text = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
        let key = try IdempotencyKey(text)
        #expect(key.description == text)
        #expect(try IdempotencyKey(text.uppercased()) == key)
        #expect(key.madeAt == WallTime(milliseconds: 1_645_557_742_000))
        #expect(IdempotencyKey(bytes: key.bytes) == key)
    }

    @Test(
        "what is no version 7 UUID is refused",
        arguments: [
            "", "x", "017f22e2-79b0-4cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
            "017f22e279b0-7cc3-98c4-dc0c0c07398f-", "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", "0-7f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        ])
    func refused(text: String) {
        #expect(throws: InvalidValue.self) { try IdempotencyKey(text) }
    }

    @Test("keys stand in the order of the times at which they were made, as numbers and as bytes")
    func order() {
        var random = SeededGenerator(seed: 1)
        let times = [0, 1, 255, 256, 1_700_000_000_000, 1_700_000_000_001, 0xFFFF_FFFF_FFFF].map(WallTime.init(milliseconds:))
        for (earlier, later) in zip(times, times.dropFirst()) {
            for _ in 0..<50 {
                let (a, b) = (
                    IdempotencyKey(madeAt: earlier, random: &random), IdempotencyKey(madeAt: later, random: &random)
                )
                #expect(a < b && a.bytes.lexicographicallyPrecedes(b.bytes) && a.madeAt == earlier)
                let prefix = IdempotencyKey.prefix(madeAt: later)
                #expect(a.bytes.lexicographicallyPrecedes(prefix) && prefix.lexicographicallyPrecedes(b.bytes))
            }
        }
    }
}
