import Model
import Testing

@testable import CoordinatorServer

@Suite struct FailoverClockTests {
    private func topology(status: NodeStatus = .healthy) throws -> Topology {
        let node = NodeDescriptor(
            id: try NodeID("n1"), store: StoreID(1), session: SessionID(1), generation: Generation(1), zone: try ZoneName("a"),
            addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"), status: status)
        return Topology(revision: Revision(history: 1, index: 1), changes: [.node(node)])
    }

    private func at(_ milliseconds: Int64) -> LogicalInstant { .origin + .milliseconds(milliseconds) }

    @Test("detection ends with the first report, decision with the entry, each measured once")
    func clocks() throws {
        let (node, topology) = (try NodeID("n1"), try topology())
        var clock = FailoverClock()
        clock.suspected(node, in: topology, at: at(100))
        clock.suspected(node, in: topology, at: at(200))
        #expect(clock.accused(node, in: topology, at: at(700)) == .milliseconds(600))
        #expect(clock.accused(node, in: topology, at: at(800)) == nil)
        #expect(clock.failed(node, at: at(750)) == .milliseconds(50))
        #expect(clock.failed(node, at: at(760)) == nil)
    }

    @Test("of a node that the topology does not know, or that has failed already, nothing is measured")
    func strangers() throws {
        let (stranger, topology) = (try NodeID("n9"), try topology())
        let failed = try self.topology(status: .failed)
        for (node, topology) in [(stranger, topology), (try NodeID("n1"), failed)] {
            var clock = FailoverClock()
            clock.suspected(node, in: topology, at: at(100))
            #expect(clock.accused(node, in: topology, at: at(700)) == nil)
            #expect(clock.failed(node, at: at(750)) == nil)
        }
    }

    @Test("a node that was alive in between begins anew; one that was never suspected here has no time of detection")
    func anew() throws {
        let (node, topology) = (try NodeID("n1"), try topology())
        var clock = FailoverClock()
        clock.suspected(node, in: topology, at: at(100))
        clock.alive(node)
        #expect(clock.accused(node, in: topology, at: at(700)) == nil)
        #expect(clock.failed(node, at: at(750)) == .milliseconds(50))
    }
}
