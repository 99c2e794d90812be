// What an agent needs before its first start: its settings, and the token with which it joins.

import FoundationEssentials
import Glibc
import Identity
package import Model
package import Settings

/// Where one agent will listen.
package struct AgentSpec: Hashable, Sendable {
    package let node: NodeID
    package let zone: ZoneName
    package let host: String
    package var gateway = 7_441
    package var link = 7_451
    package var gossip = 7_461
    /// On loopback, whatever the host.
    package var status = 7_471
    /// Where its data lie, relative to its folder.
    package var data = "data"
    package var tuning: AgentFile.Tuning?

    package init(node: NodeID, zone: ZoneName, host: String) {
        self.node = node
        self.zone = zone
        self.host = host
    }

    package func address(_ port: Int) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// One agent's folder, which is copied to its machine whole.
package struct AgentFiles {
    private let spec: AgentSpec
    private let coordinators: [String]
    private let token: String
    private let pin: String

    /// - Parameters:
    ///   - coordinators: base addresses of their API.
    ///   - token: with which it joins, once.
    ///   - pin: the digest of the authority's key, by which the agent knows whom it gives the token.
    package init(_ spec: AgentSpec, coordinators: [String], token: String, pin: String) {
        self.spec = spec
        self.coordinators = coordinators
        self.token = token
        self.pin = pin
    }

    /// - Throws: `IdentityError.file` when there is an agent in `folder` already, or it cannot be written.
    package func write(to folder: String) throws {
        try Folder.make(folder)
        guard access("\(folder)/agent.json", F_OK) != 0 else {
            throw IdentityError.file(path: folder, reason: "there is an agent here already; nothing was changed")
        }
        try SecretFile.write(Array((token + "\n").utf8), to: "\(folder)/join.token")
        var settings = AgentFile(
            nodeID: spec.node.name, zone: spec.zone.name, data: spec.data,
            listen: .init(
                gateway: spec.address(spec.gateway), link: spec.address(spec.link), gossip: spec.address(spec.gossip),
                status: "127.0.0.1:\(spec.status)"),
            coordinators: coordinators, join: .init(tokenFile: "join.token", authorityPin: pin))
        settings.tuning = spec.tuning
        try Folder.write(settings, to: "\(folder)/agent.json")
    }
}
