import FoundationEssentials
import LogStorage
package import Model

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

        enum CodingKeys: String, CodingKey {
            case zone, data, listen, coordinators, join, tuning
            case nodeID = "node_id"
            case instanceType = "instance_type"
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

    /// - Throws: what is wrong with the file, naming the field.
    package init(file path: String) throws {
        guard let bytes = try DurableFile.read(path) else {
            throw InvalidValue(field: "--config", detail: "there is no file '\(path)'")
        }
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        let file: File
        do {
            file = try decoder.decode(File.self, from: Data(bytes))
        } catch {
            throw InvalidValue(field: path, detail: "\(error)")
        }
        func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : folder + "/" + path }
        node = try NodeID(file.nodeID)
        zone = try ZoneName(file.zone)
        instanceType = file.instanceType ?? ""
        data = resolve(file.data)
        listen = file.listen
        coordinators = file.coordinators
        join = file.join.map { Join(tokenFile: resolve($0.tokenFile), authorityPin: $0.authorityPin) }
        tuning = file.tuning ?? Tuning()
    }

    package init(
        node: NodeID, zone: ZoneName, data: String, listen: Listen, coordinators: [String] = [], join: Join? = nil,
        instanceType: String = "", tuning: Tuning = Tuning()
    ) {
        self.node = node
        self.zone = zone
        self.instanceType = instanceType
        self.data = data
        self.listen = listen
        self.coordinators = coordinators
        self.join = join
        self.tuning = tuning
    }

    package var addresses: NodeAddresses {
        NodeAddresses(gossip: listen.gossip, link: listen.link, service: listen.gateway)
    }
}
