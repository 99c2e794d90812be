import Model
import Testing

@testable import CoordinatorServer

@Suite struct FailoverClockTests {
    private func at(_ milliseconds: Int64) -> LogicalInstant { .origin + .milliseconds(milliseconds) }

    @Test("detection ends with the first report, decision with the entry, each measured once")
    func clocks() throws {
        let node = try NodeID("n1")
        var clock = FailoverClock()
        clock.suspected(node, at: at(100))
        clock.suspected(node, at: at(200))
        #expect(clock.accused(node, at: at(700)) == .milliseconds(600))
        #expect(clock.accused(node, at: at(800)) == nil)
        #expect(clock.failed(node, at: at(750)) == .milliseconds(50))
        #expect(clock.failed(node, at: at(760)) == nil)
    }

    @Test("a node that was alive in between begins anew; one that was never suspected here has no time of detection")
    func anew() throws {
        let node = try NodeID("n1")
        var clock = FailoverClock()
        clock.suspected(node, at: at(100))
        clock.alive(node)
        #expect(clock.accused(node, at: at(700)) == nil)
        #expect(clock.failed(node, at: at(750)) == .milliseconds(50))
    }
}
