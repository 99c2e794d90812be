import Model
import Testing

@testable import Transport

@Suite struct StallTests {
    @Test("bytes that are sent again and again, or probes that nobody answers, add up to a stall; an answer ends it")
    func adding() {
        var stall = Stall()
        func note(_ retransmits: Int, _ probes: Int, _ second: Int64) -> Span {
            stall.note(retransmits: retransmits, probes: probes, at: .origin + .seconds(second))
        }
        #expect(note(0, 0, 1) == .zero)
        #expect(note(1, 0, 2) == .zero)
        #expect(note(2, 0, 5) == .seconds(3))
        #expect(note(0, 2, 6) == .seconds(4))
        #expect(note(0, 0, 7) == .zero)
        #expect(note(3, 0, 9) == .zero)
    }

    @Test("a closed window that the peer confirms is no stall: one probe may be under way")
    func closedWindow() {
        var stall = Stall()
        for second in 0..<60 {
            #expect(stall.note(retransmits: 0, probes: 1, at: .origin + .seconds(Int64(second))) == .zero)
        }
    }
}
