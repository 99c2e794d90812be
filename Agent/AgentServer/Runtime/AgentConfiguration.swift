package import FoundationEssentials
package import Logging
package import Model
import Settings
import Transport

/// An agent's settings, as its file says them (JSON5). Paths are relative to the file.
package struct AgentConfiguration: Sendable {
    package struct Listen: Hashable, Sendable, Codable {
        /// Clients, over HTTPS.
        package let gateway: String
        /// Other agents, over mutual TLS.
        package let link: String
        package let gossip: String
        /// Plain HTTP on loopback.
        package let status: String
        /// Plain HTTP for metrics, where they are collected from another machine.
        package let metrics: String?

        package init(gateway: String, link: String, gossip: String, status: String, metrics: String? = nil) {
            self.gateway = gateway
            self.link = link
            self.gossip = gossip
            self.status = status
            self.metrics = metrics
        }
    }

    package struct Join: Hashable, Sendable, Codable {
        package let tokenFile: String
        package let authorityPin: String

        enum CodingKeys: String, CodingKey {
            case tokenFile = "token_file"
            case authorityPin = "authority_pin"
        }
    }

    package struct Tuning: Hashable, Sendable, Codable {
        /// `fast` (one site, the default) or `lan`.
        package var gossipProfile: String?

        package init() {}

        enum CodingKeys: String, CodingKey {
            case gossipProfile = "gossip_profile"
        }
    }

    private struct File: Codable {
        let nodeID: String
        let zone: String
        let instanceType: String?
        let data: String
        let listen: Listen
        let coordinators: [String]
        let join: Join?
        let tuning: Tuning?
        let logLevel: String?

        enum CodingKeys: String, CodingKey {
            case zone, data, listen, coordinators, join, tuning
            case nodeID = "node_id"
            case instanceType = "instance_type"
            case logLevel = "log_level"
        }
    }

    package let node: NodeID
    package let zone: ZoneName
    package let instanceType: String
    package let data: String
    package let listen: Listen
    /// API addresses, for the join: `https://host:port`.
    package let coordinators: [String]
    package let join: Join?
    package let tuning: Tuning
    package let logLevel: Logger.Level

    /// Reads and checks the file at `path`; paths in it are relative to its folder.
    /// - Throws: what is wrong with the file, naming the field.
    package init(file path: String) throws(InvalidValue) {
        let file = try SettingsFile(path)
        try self.init(json: file.json, folder: file.folder)
    }

    package init(json: Data, folder: String) throws(InvalidValue) {
        let file = try StrictJSON.decode(File.self, from: json)
        func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : folder + "/" + path }
        node = try NodeID(file.nodeID)
        zone = try ZoneName(file.zone)
        instanceType = file.instanceType ?? ""
        data = resolve(file.data)
        listen = file.listen
        coordinators = file.coordinators
        join = file.join.map { Join(tokenFile: resolve($0.tokenFile), authorityPin: $0.authorityPin) }
        tuning = file.tuning ?? Tuning()
        logLevel = try LogLevel.parse(file.logLevel ?? "info", field: "log_level")
        try check()
    }

    /// What can be known to be wrong before anything is opened.
    private func check() throws(InvalidValue) {
        try Self.check(listen.gateway, "listen.gateway")
        try Self.check(listen.link, "listen.link")
        try Self.check(listen.gossip, "listen.gossip")
        try Self.check(listen.status, "listen.status")
        if let metrics = listen.metrics { try Self.check(metrics, "listen.metrics") }
        if let status = HostPort(listen.status), !StatusServer.isLoopback(status.host) {
            throw InvalidValue(field: "listen.status", detail: "\(StatusServer.Refusal.notLoopback(status.host))")
        }
        for (index, address) in coordinators.enumerated() {
            guard let host = address.split(separator: "https://", maxSplits: 1).last, address.hasPrefix("https://"),
                HostPort(String(host)) != nil
            else { throw InvalidValue(field: "coordinators[\(index)]", detail: "'\(address)' is not https://host:port") }
        }
        if let profile = tuning.gossipProfile, !["fast", "lan"].contains(profile) {
            throw InvalidValue(field: "tuning.gossip_profile", detail: "'\(profile)' is neither fast nor lan")
        }
    }

    private static func check(_ address: String, _ field: String) throws(InvalidValue) {
        guard HostPort(address) != nil else { throw InvalidValue(field: field, detail: "'\(address)' is not host:port") }
    }

    package init(
        node: NodeID, zone: ZoneName, data: String, listen: Listen, coordinators: [String] = [], join: Join? = nil,
        instanceType: String = "", tuning: Tuning = Tuning(), logLevel: Logger.Level = .info
    ) {
        self.node = node
        self.zone = zone
        self.instanceType = instanceType
        self.data = data
        self.listen = listen
        self.coordinators = coordinators
        self.join = join
        self.tuning = tuning
        self.logLevel = logLevel
    }

    package var addresses: NodeAddresses {
        NodeAddresses(gossip: listen.gossip, link: listen.link, service: listen.gateway)
    }
}
