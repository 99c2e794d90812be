import CoordinatorServer
import Membership
import Model
import Testing

@Suite struct PredecessorTests {
    private func registration(_ generation: UInt64, canBeginLater: Bool = true) throws -> AgentRegistration {
        AgentRegistration(
            store: StoreID(2), generation: Generation(generation), zone: try ZoneName("a"),
            addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"), instanceType: "", version: "1",
            isLogIntact: true, canBeginLater: canBeginLater)
    }

    private func committed(
        _ generation: UInt64, store: UInt64 = 1, session: UInt64 = 4, status: NodeStatus = .healthy
    ) throws -> NodeDescriptor {
        NodeDescriptor(
            id: try NodeID("n1"), store: StoreID(store), session: SessionID(session), generation: Generation(generation),
            zone: try ZoneName("a"), addresses: NodeAddresses(gossip: "a:1", link: "a:2", service: "a:3"), status: status)
    }

    private func heard(_ generation: UInt64, store: UInt64 = 1, kind: MemberKind = .agent) throws -> MemberRecord {
        MemberRecord(
            node: try NodeID("n1"), life: Life(generation: Generation(generation), incarnation: 0), status: .dead,
            profile: MemberProfile(
                kind: kind, zone: try ZoneName("a"), gossip: "a:1", link: "a:2", store: StoreID(store), session: SessionID(4)))
    }

    @Test(
        "a store in the place of one that got as far, or further, is told how far: by the catalog or by gossip, whichever is more"
    )
    func another() throws {
        let first = try registration(1)
        #expect(first.predecessor(committed: try committed(7), heard: nil) == Generation(7))
        #expect(first.predecessor(committed: try committed(1), heard: nil) == Generation(1))
        #expect(first.predecessor(committed: nil, heard: try heard(5)) == Generation(5))
        #expect(first.predecessor(committed: try committed(7), heard: try heard(9)) == Generation(9))
        #expect(first.predecessor(committed: try committed(7), heard: try heard(2)) == Generation(7))
        #expect(try registration(8).predecessor(committed: try committed(7), heard: try heard(7)) == nil)
    }

    @Test("its own starts precede no store, nor do those of a coordinator, or of nobody")
    func itself() throws {
        let first = try registration(1)
        #expect(first.predecessor(committed: nil, heard: nil) == nil)
        #expect(first.predecessor(committed: try committed(7, store: 2), heard: try heard(7, store: 2)) == nil)
        #expect(first.predecessor(committed: nil, heard: try heard(7, kind: .coordinator)) == nil)
        // Declared, and never started.
        #expect(first.predecessor(committed: try committed(7, session: 0), heard: nil) == nil)
    }

    @Test("a disk whose count of starts went back is told how far it had got; no other, and none that cannot begin later")
    func wentBack() throws {
        #expect(try registration(3).wentBack(behind: try committed(7, store: 2)) == Generation(7))
        #expect(try registration(7).wentBack(behind: try committed(7, store: 2)) == Generation(7))
        #expect(try registration(8).wentBack(behind: try committed(7, store: 2)) == nil)
        #expect(try registration(3).wentBack(behind: try committed(7)) == nil)
        #expect(try registration(3).wentBack(behind: try committed(7, store: 2, session: 0)) == nil)
        #expect(try registration(3).wentBack(behind: try committed(7, store: 2, status: .decommissioned)) == nil)
        #expect(try registration(3, canBeginLater: false).wentBack(behind: try committed(7, store: 2)) == nil)
    }

    @Test("whoever cannot begin later, or was decommissioned, gets the answer that the catalog has")
    func others() throws {
        #expect(try registration(1, canBeginLater: false).predecessor(committed: try committed(7), heard: nil) == nil)
        #expect(
            try registration(1).predecessor(committed: try committed(7, status: .decommissioned), heard: try heard(8)) == nil)
    }
}
