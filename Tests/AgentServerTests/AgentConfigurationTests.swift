import Engine
import Foundation
import LogStorage
import Logging
import Model
import Settings
import Testing

@testable import AgentServer

@Suite struct AgentConfigurationTests {
    /// A file with everything in it; `edit` replaces one text by another.
    private func read(_ old: String = "", _ new: String = "") throws(InvalidValue) -> AgentConfiguration {
        let text = """
            {   // JSON5: comments are welcome
                node_id: "n1", zone: "a", data: "data", log_level: "debug",
                listen: {gateway: "0.0.0.0:7441", link: "10.0.0.1:7451", gossip: "10.0.0.1:7461", status: "127.0.0.1:7471"},
                coordinators: ["https://10.0.0.1:7401", "https://10.0.0.2:7401"],
                join: {token_file: "join.token", authority_pin: "00"},
                tuning: {gossip_profile: "lan"},
            }
            """
        let edited = old.isEmpty ? text : text.replacingOccurrences(of: old, with: new)
        return try AgentConfiguration(json: Data(edited.utf8), folder: "/etc/coxswain")
    }

    @Test("an agent that cannot start for lack of space does not end as one whose store is damaged")
    func ends() {
        for full in [StorageError.noSpace(path: "/data", bytes: 1), EngineError.diskFull(StorageID(1))] as [any Error] {
            #expect(MemberExit.status(after: full) == DiskFailureResponse.exitStatus)
        }
        for other in [DamagedStore(folder: "/data", findings: []), StorageError.locked(path: "/data")] as [any Error] {
            #expect(MemberExit.status(after: other) == 1)
        }
    }

    @Test("a whole file is read, with paths from its folder")
    func whole() throws {
        let configuration = try read()
        #expect(configuration.node.name == "n1")
        #expect(configuration.data == "/etc/coxswain/data")
        #expect(configuration.join?.tokenFile == "/etc/coxswain/join.token")
        #expect(configuration.logLevel == .debug)
        #expect(try read("log_level: \"debug\",", "").logLevel == .info)
    }

    @Test(
        "a mistake is refused, naming the field",
        arguments: [
            ("data: \"data\",", "", "data"), ("zone: \"a\"", "zone: 7", "zone"), ("\"n1\"", "\"N1\"", "node_id"),
            ("10.0.0.1:7451", "10.0.0.1", "listen.link"), ("127.0.0.1:7471", "0.0.0.0:7471", "listen.status"),
            ("https://10.0.0.2:7401", "10.0.0.2:7401", "coordinators[1]"), ("\"lan\"", "\"moon\"", "tuning.gossip_profile"),
            ("tuning: {", "tuning: {extra: 1, ", "tuning.extra"), ("\"debug\"", "\"loud\"", "log_level"),
            ("node_id:", "node_id", "file"), ("token_file: \"join.token\", ", "", "join.token_file"),
        ])
    func mistakes(old: String, new: String, field: String) {
        #expect {
            try read(old, new)
        } throws: {
            ($0 as? InvalidValue)?.field == field
        }
    }

    @Test("a file that is not there is told by its flag")
    func missing() {
        #expect {
            try AgentConfiguration(file: "/etc/coxswain/none.json")
        } throws: {
            ($0 as? InvalidValue)?.field == "--config"
        }
    }
}
