import Catalog
import Model
import Testing

@testable import CoordinatorCore

@Suite struct WitnessBookTests {
    private func book(_ words: [(witness: String, health: Int, accusers: [String])]) throws -> WitnessBook {
        var book = WitnessBook()
        for word in words {
            let found = FoundDeath(
                node: try NodeID("n9"), session: SessionID(4), generation: Generation(2),
                accusers: try word.accusers.map(NodeID.init(_:)), localHealth: word.health)
            book.note(DeathReport([found], witness: try NodeID(word.witness)), at: .origin)
        }
        return book
    }

    private func witnesses(_ names: [String]) throws -> [Witness] {
        try names.map { Witness(id: try NodeID($0), zone: try ZoneName("a")) }
    }

    @Test("whoever reads of a failure reads who found it, how healthy each was, and who had accused the node before")
    func account() throws {
        let book = try book([("n1", 0, ["n1", "n4"]), ("n2", 3, ["n1", "n3"])])
        let text = book.account(of: try witnesses(["n1", "n2"]), against: try NodeID("n9"))
        #expect(text == "2 witnesses found it dead: n1, n2 (itself 3 from healthy); accused by n3, n4 before")
        let alone = try self.book([("n1", 0, ["n1"]), ("n2", 0, ["n1"])])
        #expect(
            alone.account(of: try witnesses(["n1", "n2"]), against: try NodeID("n9")) == "2 witnesses found it dead: n1, n2")
        let gone = try self.book([("n1", 0, ["n9"]), ("n2", 0, ["n9"])])
        #expect(
            gone.account(of: try witnesses(["n1", "n2"]), against: try NodeID("n9"))
                == "2 witnesses heard it take its leave: n1, n2")
    }

    @Test("a death in a later life than the registered one counts, one in an earlier life does not")
    func laterLives() throws {
        let zones = [try NodeID("n1"): try ZoneName("a")]
        for (generation, count) in [(4, 0), (5, 1), (6, 1)] as [(UInt64, Int)] {
            var book = WitnessBook()
            let found = FoundDeath(node: try NodeID("n9"), session: .none, generation: Generation(generation))
            book.note(DeathReport([found], witness: try NodeID("n1")), at: .origin)
            let node = NodeDescriptor(
                id: try NodeID("n9"), store: StoreID(1), session: SessionID(4), generation: Generation(5),
                zone: try ZoneName("a"),
                addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"), status: .healthy)
            #expect(book.witnesses(against: node, zones: zones).count == count, "\(generation)")
        }
    }

    @Test("that a copy of the node has ended is nothing to the one that is registered")
    func copies() throws {
        typealias Process = FoundDeath.Process
        let zones = [try NodeID("n1"): try ZoneName("a")]
        let node = NodeDescriptor(
            id: try NodeID("n9"), store: StoreID(1), session: SessionID(4), generation: Generation(5), zone: try ZoneName("a"),
            addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"), status: .healthy)
        // A later start in its place shows that it is over, whatever its disk; one elsewhere shows nothing.
        let cases: [(process: Process?, session: UInt64, generation: UInt64, count: Int)] = [
            (nil, 0, 5, 1), (Process(store: StoreID(1), gossip: "a:1"), 0, 5, 1),
            (Process(store: StoreID(1), gossip: "a:1"), 4, 5, 1), (Process(store: StoreID(1), gossip: "b:1"), 0, 5, 0),
            (Process(store: StoreID(1), gossip: "b:1"), 4, 5, 0), (Process(store: StoreID(2), gossip: "a:1"), 0, 5, 0),
            (Process(store: StoreID(2), gossip: "a:1"), 4, 5, 0), (Process(store: StoreID(1), gossip: "b:1"), 0, 6, 0),
            (Process(store: StoreID(1), gossip: "a:1"), 0, 6, 1), (Process(store: StoreID(2), gossip: "a:1"), 0, 6, 1),
            // And whatever session that later start is believed to have.
            (Process(store: StoreID(1), gossip: "a:1"), 3, 6, 1), (Process(store: StoreID(1), gossip: "a:1"), 9, 6, 1),
            (Process(store: StoreID(2), gossip: "a:1"), 3, 6, 1), (Process(store: StoreID(1), gossip: "b:1"), 3, 6, 0),
            (Process(store: StoreID(1), gossip: "a:1"), 3, 5, 0),
        ]
        for (process, session, generation, count) in cases {
            var book = WitnessBook()
            let found = FoundDeath(
                node: node.id, session: SessionID(session), generation: Generation(generation), process: process)
            book.note(DeathReport([found], witness: try NodeID("n1")), at: .origin)
            #expect(book.witnesses(against: node, zones: zones).count == count, "\(found)")
        }
    }

    @Test("however many witnesses and accusers there are, a few are named")
    func bounded() throws {
        let names = (100..<130).map { "n\($0)" }
        let accusers = (200..<230).map { "n\($0)" }
        let text = try book(names.map { ($0, 1, accusers) }).account(of: try witnesses(names), against: try NodeID("n9"))
        #expect(text.hasPrefix("30 witnesses found it dead: n100 (itself 1 from healthy), ") && text.utf8.count < 500)
        #expect(text.contains(" and others; accused by n200, ") && !text.contains("n208") && !text.contains("n108"))
    }
}
