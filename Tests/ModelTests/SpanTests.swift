import Model
import Testing

@Suite struct SpanTests {
    @Test("time arithmetic saturates instead of trapping")
    func saturates() {
        let end = LogicalInstant(microseconds: .max)
        #expect(end + .seconds(1) == end)
        #expect(LogicalInstant(microseconds: .min) - .seconds(1) == LogicalInstant(microseconds: .min))
        #expect(Span.seconds(.max) == Span(microseconds: .max))
        #expect(Span(microseconds: .max) * -2 == Span(microseconds: .min))
    }

    @Test("a seeded generator repeats itself from its seed, and differs between seeds")
    func seeded() {
        var a = SeededGenerator(seed: 7)
        var b = SeededGenerator(seed: 7)
        var c = SeededGenerator(seed: 8)
        let first = (0..<16).map { _ in a.next() }
        #expect(first == (0..<16).map { _ in b.next() })
        #expect(first != (0..<16).map { _ in c.next() })
    }
}
