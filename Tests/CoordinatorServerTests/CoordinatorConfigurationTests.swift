import CoordinatorServer
import Foundation
import Model
import Testing
import Transport

@Suite struct CoordinatorConfigurationTests {
    /// A file with everything in it; `edit` replaces one text by another.
    private func read(_ old: String = "", _ new: String = "") throws -> CoordinatorConfiguration {
        let member = { (number: Int) in
            """
            {node_id: "c\(number)", zone: "a", api: "10.0.0.\(number):7401", link: "10.0.0.\(number):7411",
             gossip: "10.0.0.\(number):7421"}
            """
        }
        let text = """
            {   // JSON5: comments are welcome
                cluster: {name: "demo", id: "0123456789abcdef0123456789abcdef"},
                node_id: "c1", zone: "a", data: "data",
                listen: {api: "0.0.0.0:7401", link: "0.0.0.0:7411", gossip: "0.0.0.0:7421", metrics: "127.0.0.1:7431"},
                members: [\(member(1)), \(member(2)), \(member(3))],
                tls: {authority: "authority.crt", certificate: "c1.crt", key: "c1.key", authority_key: "/k/authority.key"},
                gossip_keyring: "gossip.key",
                tuning: {repair_delay_seconds: 20},
            }
            """
        let edited = old.isEmpty ? text : text.replacingOccurrences(of: old, with: new)
        return try CoordinatorConfiguration(json: Data(edited.utf8), folder: "/etc/coxswain")
    }

    @Test("a whole file is read, with paths from its folder and defaults for what it leaves out")
    func whole() throws {
        let configuration = try read()
        #expect(configuration.node.name == "c1")
        #expect(configuration.data == "/etc/coxswain/data")
        #expect(configuration.authorityKeyFile == "/k/authority.key")
        #expect(configuration.members.map(\.node.name) == ["c1", "c2", "c3"])
        #expect(configuration.members[2].link.description == "10.0.0.3:7411")
        #expect(configuration.repairDelay == .seconds(20))
        #expect(configuration.electionTimeout == .seconds(1))
    }

    @Test(
        "a mistake is refused, naming the field",
        arguments: [
            ("data: \"data\",", "", "data"), ("data: \"data\"", "data: 7", "data"),
            ("node_id: \"c1\", zone: \"a\", data", "node_id: \"C1\", zone: \"a\", data", "node_id"),
            ("0.0.0.0:7411", "0.0.0.0", "listen.link"), ("repair_delay_seconds", "repair_delay", "tuning.repair_delay"),
            ("repair_delay_seconds: 20", "repair_delay_seconds: 0", "tuning.repair_delay_seconds"),
            ("repair_delay_seconds: 20", "election_ms: 200, heartbeat_ms: 100", "tuning.election_ms"),
            ("repair_delay_seconds: 20", "gossip_profile: \"moon\"", "tuning.gossip_profile"),
            ("node_id: \"c3\"", "node_id: \"c2\"", "members"),
            ("node_id: \"c1\", zone: \"a\", data", "node_id: \"c9\", zone: \"a\", data", "members"),
            ("10.0.0.2:7421", "nowhere", "members[1].gossip"), ("name: \"demo\"", "name: \"De mo\"", "cluster.name"),
            ("tls: {", "tls: {extra: 1, ", "tls.extra"), ("cluster:", "cluster", "file"),
        ])
    func mistakes(old: String, new: String, field: String) throws {
        do {
            _ = try read(old, new)
            Issue.record("accepted \(new)")
        } catch let error as InvalidValue {
            #expect(error.field == field, "\(error)")
        }
    }
}
