import Catalog
import Consensus
import CoordinatorCore
import Model
import Testing

/// Two zones, `x` with a1 to a3 and two coordinators, the leader one of them, `y` with b1 to b3 and the third coordinator.
struct TwoZones {
    var group: CoordinatorGroup

    init() throws {
        group = try CoordinatorGroup()
        for name in Self.x + Self.y {
            let zone = Self.x.contains(name) ? "x" : "y"
            _ = try group.commit(
                .registerNode(try CoordinatorGroup.registration(name, zone: zone)), as: "r-\(name)", at: leader)
        }
        // The zones that the group's settings name are those of coordinators that were never declared.
        for member in group.names {
            let addresses = NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3")
            let zone = try ZoneName(member == far ? "y" : "x")
            let coordinator = CoordinatorDescriptor(node: member.node, zone: zone, addresses: addresses)
            _ = try group.commit(.declareCoordinator(coordinator), as: "d-\(member)", at: leader)
        }
    }

    static let x = ["a1", "a2", "a3"]
    static let y = ["b1", "b2", "b3"]

    var leader: MemberID { group.leader ?? group.names[0] }
    /// The last follower: the coordinator in zone y.
    var far: MemberID { group.names.last { $0 != leader } ?? group.names[2] }

    func status(_ name: String) throws -> NodeStatus? {
        group.members[leader]?.catalog.topology.nodes[try NodeID(name)]?.status
    }

    mutating func accuse(_ accused: [String], by accusers: [String]) throws {
        for name in accused {
            let node = try NodeID(name)
            let session = group.members[leader]?.catalog.topology.nodes[node]?.session ?? .none
            for accuser in accusers {
                let report = DeathReport(
                    [FoundDeath(node: node, session: session, generation: Generation(1))], witness: try NodeID(accuser))
                group.step(.deathsReported(report), at: leader)
            }
        }
    }

    /// So many seconds, in each of which the witnesses repeat themselves and these agents report their load.
    mutating func pass(seconds: Int, accused: [String], by accusers: [String], reporting: [String]) throws {
        for _ in 0..<seconds {
            try accuse(accused, by: accusers)
            for name in reporting { try report(name) }
            group.run(.seconds(1))
        }
    }

    mutating func report(_ name: String) throws {
        group.step(
            .loadReported(
                NodeReport(
                    node: try NodeID(name), session: .none, revision: .none, machine: MachineLoad(cpuPercent: 12),
                    operationsPerSecond: 3, replicationLag: .zero, engine: .healthy, partitions: [], operations: [])),
            at: leader)
    }
}

@Suite("the loss of one of two zones (F2, F4)") struct ZoneLossTests {
    @Test("a zone that is lost whole is declared failed on the word of the other, and nothing is copied then")
    func wholeZone() throws {
        var zones = try TwoZones()
        zones.group.down = [zones.far]
        try zones.pass(seconds: 4, accused: TwoZones.y, by: TwoZones.x, reporting: TwoZones.x)
        for name in TwoZones.y { #expect(try zones.status(name) == .failed) }
        for name in TwoZones.x { #expect(try zones.status(name) == .healthy) }
        #expect(zones.group.members[zones.leader]?.breakerHolds == true)
    }

    @Test("a node that a leader has only been told to expect is no sign of life of its zone")
    func onlyExpected() throws {
        var zones = try TwoZones()
        zones.group.down = [zones.far]
        for name in TwoZones.y {
            let node = try NodeID(name)
            let session = zones.group.members[zones.leader]?.catalog.topology.nodes[node]?.session ?? .none
            zones.group.step(
                .believed(node, generation: Generation(1), session: session, isAlive: true, isHeard: false), at: zones.leader)
        }
        try zones.pass(seconds: 4, accused: TwoZones.y, by: TwoZones.x, reporting: TwoZones.x)
        for name in TwoZones.y { #expect(try zones.status(name) == .failed) }
    }

    @Test(
        "no zone is silent of which anybody gives a sign of life: a coordinator, a load, an accusation, a belief, a node unaccused",
        arguments: ["coordinator", "load", "accusation", "belief", "unaccused"])
    func signOfLife(_ sign: String) throws {
        var zones = try TwoZones()
        if sign != "coordinator" { zones.group.down = [zones.far] }
        if sign == "belief" {
            let b3 = try NodeID("b3")
            let session = zones.group.members[zones.leader]?.catalog.topology.nodes[b3]?.session ?? .none
            zones.group.step(
                .believed(b3, generation: Generation(1), session: session, isAlive: true, isHeard: true), at: zones.leader)
        }
        let accused = sign == "unaccused" ? ["b1", "b2"] : TwoZones.y
        for _ in 0..<6 {
            if sign == "accusation" { try zones.accuse(["a1"], by: ["b2"]) }
            try zones.pass(
                seconds: 1, accused: accused, by: TwoZones.x, reporting: TwoZones.x + (sign == "load" ? ["b2"] : []))
        }
        for name in TwoZones.x + TwoZones.y { #expect(try zones.status(name) == .healthy) }
    }

    @Test("a node of which nobody says anything keeps no zone from being silent for longer than an accusation counts")
    func unaccused() throws {
        var zones = try TwoZones()
        zones.group.down = [zones.far]
        try zones.pass(seconds: 17, accused: ["b1", "b2"], by: TwoZones.x, reporting: TwoZones.x)
        #expect(try zones.status("b1") == .failed && zones.status("b2") == .failed && zones.status("b3") == .healthy)
    }

    @Test("a leader that has just been elected hears every zone out before it holds one silent")
    func newLeader() throws {
        var zones = try TwoZones()
        let (old, far) = (zones.leader, zones.far)
        let next = try #require(zones.group.names.first { $0 != old && $0 != far })
        zones.group.down = [far]
        zones.group.run(.seconds(3))
        zones.group.step(.transferLeadership(to: next, caller: 1_000_000), at: old)
        zones.group.run(.milliseconds(300))
        #expect(zones.leader == next)
        try zones.pass(seconds: 1, accused: TwoZones.y, by: TwoZones.x, reporting: TwoZones.x)
        for name in TwoZones.y { #expect(try zones.status(name) == .healthy) }
    }

    @Test("one witness is too few, however silent the other zone is")
    func oneWitness() throws {
        var zones = try TwoZones()
        zones.group.down = [zones.far]
        try zones.pass(seconds: 5, accused: TwoZones.y, by: ["a1"], reporting: TwoZones.x)
        for name in TwoZones.y { #expect(try zones.status(name) == .healthy) }
    }
}
