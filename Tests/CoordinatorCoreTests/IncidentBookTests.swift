import Catalog
import Consensus
import Model
import Testing

@testable import CoordinatorCore

@Suite struct IncidentBookTests {
    private func topology(status: NodeStatus = .healthy) throws -> Topology {
        let node = NodeDescriptor(
            id: try NodeID("n1"), store: StoreID(1), session: SessionID(1), generation: Generation(1), zone: try ZoneName("a"),
            addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"), status: status)
        return Topology(revision: Revision(history: 1, index: 1), changes: [.node(node)])
    }

    private func at(_ milliseconds: Int64) -> LogicalInstant { .origin + .milliseconds(milliseconds) }

    /// One that takes partition 1 from n1 at this epoch.
    @discardableResult
    private func begin(
        _ index: UInt64, in book: inout IncidentBook, leader: String? = "c1", epoch: UInt64 = 2,
        at now: LogicalInstant = .origin
    ) throws -> Incident? {
        let (node, heir) = (try NodeID("n1"), try NodeID("n2"))
        let partition = PartitionDescriptor(
            id: PartitionID(1), table: TableID(1), range: .all, epoch: Epoch(epoch), primary: heir,
            replicas: [ReplicaDescriptor(node: heir, store: StoreID(2), storage: StorageID(1), role: .inSync)], status: .active)
        let before = PartitionDescriptor(
            id: PartitionID(1), table: TableID(1), range: .all, epoch: Epoch(epoch - 1), primary: node,
            replicas: [ReplicaDescriptor(node: node, store: StoreID(1), storage: StorageID(1), role: .inSync)], status: .active)
        let command = Command.nodeFailed(node, session: SessionID(1), witnesses: [])
        let onset = try #require(
            IncidentOnset(
                of: command,
                in: CatalogState(
                    CatalogSnapshot(
                        topology: Topology(revision: Revision(history: 1, index: 1), changes: [.partition(before)])),
                    digest: { _ in [1] })))
        let entry = CatalogEntry(
            command: command, actor: try Principal("coordinator/c1"), requestID: try RequestID("r\(index)"),
            time: WallTime(milliseconds: 5))
        return book.begin(
            onset, by: entry, at: LogIndex(index), changes: [.partition(partition)], leader: try leader.map(NodeID.init(_:)),
            now: now)
    }

    private func serving(_ partition: UInt64, epoch: UInt64, for span: Span) throws -> NodeReport {
        NodeReport(
            node: try NodeID("n2"), session: SessionID(1), revision: .none, machine: MachineLoad(), operationsPerSecond: 0,
            replicationLag: .zero, engine: .healthy,
            partitions: [
                PartitionReport(
                    partition: PartitionID(partition), epoch: Epoch(epoch), isPrimary: true, role: .inSync, rows: 0, bytes: 0,
                    readsPerSecond: 0, writesPerSecond: 0, lag: .zero, last: .zero, applied: .zero, servingFor: span)
            ], operations: [])
    }

    @Test("detection ends with the first report, decision with the entry, each measured once")
    func clocks() throws {
        let (node, topology) = (try NodeID("n1"), try topology())
        var book = IncidentBook()
        book.suspected(node, in: topology, at: at(100))
        book.suspected(node, in: topology, at: at(200))
        #expect(book.accused(node, in: topology, at: at(700)) == .milliseconds(600))
        #expect(book.accused(node, in: topology, at: at(800)) == nil)
        let first = try #require(try begin(7, in: &book, at: at(850)))
        #expect(first.clocks == FailoverClocks(detect: .milliseconds(600), decide: .milliseconds(150)))
        #expect(try begin(8, in: &book, at: at(860))?.clocks == FailoverClocks())
    }

    @Test("of a node that the topology does not know, or that has failed already, nothing is measured")
    func strangers() throws {
        let (stranger, topology) = (try NodeID("n9"), try topology())
        let failed = try self.topology(status: .failed)
        for (node, topology) in [(stranger, topology), (try NodeID("n1"), failed)] {
            var book = IncidentBook()
            book.suspected(node, in: topology, at: at(100))
            #expect(book.accused(node, in: topology, at: at(700)) == nil)
            #expect(!book.isAccused(node))
        }
    }

    @Test("a node that was alive in between begins anew; one that was never suspected here has no time of detection")
    func anew() throws {
        let (node, topology) = (try NodeID("n1"), try topology())
        var book = IncidentBook()
        book.suspected(node, in: topology, at: at(100))
        book.alive(node)
        #expect(book.accused(node, in: topology, at: at(700)) == nil)
        #expect(try begin(7, in: &book, at: at(750))?.clocks == FailoverClocks(decide: .milliseconds(50)))
    }

    @Test("the last hundred are kept, in order, and nothing of those before")
    func bounded() throws {
        var book = IncidentBook()
        for index in 1...250 { try begin(UInt64(index), in: &book) }
        #expect(book.incidents.map(\.id.number) == Array(151...250))
        #expect(book.kept == 300)
        let over = book.follow(try serving(1, epoch: 2, for: .zero), at: at(10))
        #expect(over.map(\.id.number) == Array(151...250) && book.kept == 100)
    }

    @Test("of partitions that are taken twice the first incident is served with the second, at its epoch")
    func twice() throws {
        var book = IncidentBook()
        try begin(5, in: &book, epoch: 2)
        try begin(9, in: &book, epoch: 4, at: at(100))
        #expect(book.follow(try serving(1, epoch: 1, for: .zero), at: at(200)).isEmpty)
        #expect(book.follow(try serving(1, epoch: 3, for: .zero), at: at(300)).map(\.id.number) == [5])
        #expect(book.follow(try serving(1, epoch: 4, for: .milliseconds(100)), at: at(500)).map(\.id.number) == [9])
        #expect(book.incidents.map(\.clocks.recover) == [.milliseconds(300), .milliseconds(300)])
    }

    @Test("a partition that has served for longer than since the entry takes no time from the clock")
    func longBefore() throws {
        var book = IncidentBook()
        try begin(5, in: &book, at: at(1_000))
        #expect(book.follow(try serving(1, epoch: 2, for: .seconds(60)), at: at(1_200)).first?.clocks.recover == .zero)
    }

    @Test("for a partition that is no more nobody waits, and nobody has measured it")
    func retired() throws {
        var book = IncidentBook()
        try begin(5, in: &book)
        let delta = TopologyDelta(
            from: Revision(history: 1, index: 5), to: Revision(history: 1, index: 6),
            changes: [.partitionRetired(PartitionID(1), epoch: Epoch(3), children: [])])
        #expect(book.follow(delta).map(\.state) == [.recovered])
        #expect(book.incidents.first?.clocks.recover == nil && book.kept == 1)
    }

    @Test("what came with a snapshot is looked up: nodes that are there again, partitions that are no more")
    func snapshot() throws {
        var book = IncidentBook()
        try begin(5, in: &book)
        book.look(at: try topology())
        #expect(book.incidents.map(\.state) == [.returned])
    }

    @Test("clocks that a leader told before the entry was applied here are the incident's; another member's change nothing")
    func told() throws {
        var book = IncidentBook()
        let (leader, other) = (try NodeID("c2"), try NodeID("c3"))
        let (decided, recovered) = (
            FailoverClocks(decide: .milliseconds(3)), FailoverClocks(decide: .milliseconds(3), recover: .milliseconds(9))
        )
        book.take(decided, of: LogIndex(5), from: leader)
        #expect(try begin(5, in: &book, leader: nil)?.clocks == decided)
        book.take(FailoverClocks(decide: .seconds(8)), of: LogIndex(5), from: other)
        #expect(book.incidents.first?.clocks == decided && book.incidents.first?.measuredBy == leader)
        book.take(recovered, of: LogIndex(5), from: leader)
        #expect(book.incidents.first?.clocks == recovered)
    }

    @Test("of what is told early so much is kept as of incidents, the newest, and nothing of what came with a snapshot")
    func early() throws {
        var book = IncidentBook()
        for index in 1...250 { book.take(FailoverClocks(decide: .zero), of: LogIndex(UInt64(index)), from: try NodeID("c2")) }
        #expect(book.kept == 100)
        try begin(200, in: &book, leader: nil)
        book.take(FailoverClocks(decide: .zero), of: LogIndex(199), from: try NodeID("c2"))
        // The incident, one partition awaited, and what is told of 201 to 250.
        #expect(book.incidents.first?.clocks.decide == .zero && book.kept == 52)
    }
}
