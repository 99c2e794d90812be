import Foundation
import Model
import Testing

@Suite struct ConfigurationRuleTests {
    private let node: NodeDescriptor

    init() throws {
        node = NodeDescriptor(
            id: try NodeID("n1"), store: StoreID(1), session: SessionID(1), generation: Generation(1), zone: try ZoneName("a"),
            addresses: NodeAddresses(gossip: "", link: "", service: ""), status: .healthy)
    }

    private func topology(_ entries: [(ConfigurationScope, String, String)]) -> Topology {
        Topology(
            revision: Revision(history: 1, index: 1),
            changes: entries.map { .configuration(ConfigurationEntry(scope: $0, key: $1, value: $2, version: 1)) })
    }

    @Test("names are unique and sorted, and every standard value is one that is taken")
    func table() {
        let names = ConfigurationRules.all.map(\.name)
        #expect(names == names.sorted() && Set(names).count == names.count)
        for rule in ConfigurationRules.all { #expect(rule.takes("\(rule.standard)") || rule.takes("\"\(rule.standard)\"")) }
    }

    @Test("the README shows each entry as the table has it")
    func readme() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let lines = try String(contentsOf: folder.appending(path: "README.md"), encoding: .utf8).split(separator: "\n")
        for rule in ConfigurationRules.all {
            let row = try #require(lines.first { $0.hasPrefix("| `\(rule.name)` |") }, "\(rule.name)")
            let cells = row.split(separator: "|").map { $0.filter { !" `".contains($0) } }
            let takes = rule.expectation.replacing("an integer from ", with: "").replacing("\"", with: "")
            #expect(cells[1] == takes.replacing(" or ", with: ",").filter { $0 != " " }, "\(rule.name)")
            #expect(cells[2] == "\(rule.standard)", "\(rule.name)")
            #expect(cells[3] == (rule.reach == .cluster ? "global" : "all"), "\(rule.name)")
        }
    }

    @Test("an entry for the node stands over its zone's, that over the cluster's; another node's and zone's say nothing")
    func narrowest() throws {
        let rule = ConfigurationRules.operationsPerNode
        let global = (ConfigurationScope.global, rule.name, "3")
        let zone = (ConfigurationScope.zone(try ZoneName("a")), rule.name, "4")
        let own = (ConfigurationScope.node(try NodeID("n1")), rule.name, "5")
        let others = [
            (ConfigurationScope.zone(try ZoneName("b")), rule.name, "6"), (.node(try NodeID("n2")), rule.name, "7"),
        ]
        #expect(topology(others).configured(rule, at: node) == nil)
        #expect(topology(others + [global]).configured(rule, at: node) == 3)
        #expect(topology(others + [global, zone]).configured(rule, at: node) == 4)
        #expect(topology(others + [global, zone, own]).configured(rule, at: node) == 5)
        #expect(topology(others + [global, zone, own]).configured(rule) == 3)
    }

    @Test("a value for the whole cluster is not looked for in narrower scopes, and one that is not taken is passed over")
    func unheeded() throws {
        let factor = ConfigurationRules.replicationFactor
        #expect(topology([(.zone(try ZoneName("a")), factor.name, "5")]).configured(factor, at: node) == nil)
        let rule = ConfigurationRules.operationsPerNode
        let broken = topology([(.node(try NodeID("n1")), rule.name, "\"many\""), (.global, rule.name, "9")])
        #expect(broken.configured(rule, at: node) == 9)
    }
}
