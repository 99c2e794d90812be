/// An agent's settings file as it is written: a launcher makes it, people edit it, and the agent checks it. Paths are relative to the
/// file.
package struct AgentFile: Codable, Sendable {
    /// Each `host:port`.
    package struct Listen: Hashable, Codable, Sendable {
        /// Clients, over HTTPS.
        package var gateway: String
        /// Other agents, over mutual TLS.
        package var link: String
        package var gossip: String
        /// Plain HTTP on loopback.
        package var status: String
        /// Plain HTTP for metrics, where they are collected from another machine.
        package var metrics: String?

        package init(gateway: String, link: String, gossip: String, status: String, metrics: String? = nil) {
            self.gateway = gateway
            self.link = link
            self.gossip = gossip
            self.status = status
            self.metrics = metrics
        }
    }

    /// With what a new node joins, once.
    package struct Join: Hashable, Codable, Sendable {
        package var tokenFile: String
        /// The digest of the authority's key, by which the agent knows to whom it gives the token.
        package var authorityPin: String

        package init(tokenFile: String, authorityPin: String) {
            self.tokenFile = tokenFile
            self.authorityPin = authorityPin
        }

        enum CodingKeys: String, CodingKey {
            case tokenFile = "token_file"
            case authorityPin = "authority_pin"
        }
    }

    package struct Tuning: Hashable, Codable, Sendable {
        /// `fast` (one site, the default) or `lan`.
        package var gossipProfile: String?
        /// What should stay free on the disk; below it clients' writes are refused.
        package var diskReserveMebibytes: Int64?
        /// What is reserved for one file of the log.
        package var logSegmentMebibytes: Int64?
        /// Added to every flush of the log, to measure with a slower disk.
        package var flushDelayMicroseconds: Int64?
        /// In what time all storages are read through once to find what the disk has lost; a day, unless it is said.
        package var scrubSeconds: Int64?
        /// The most that is read for it in a second, however long it then takes; 16, unless it is said.
        package var scrubMebibytesPerSecond: Int64?

        package init() {}

        enum CodingKeys: String, CodingKey {
            case gossipProfile = "gossip_profile"
            case scrubSeconds = "scrub_seconds"
            case scrubMebibytesPerSecond = "scrub_mib_per_second"
            case diskReserveMebibytes = "disk_reserve_mib"
            case logSegmentMebibytes = "log_segment_mib"
            case flushDelayMicroseconds = "flush_delay_us"
        }
    }

    package var nodeID: String
    package var zone: String
    package var instanceType: String?
    package var data: String
    package var listen: Listen
    /// API addresses, for the join: `https://host:port`.
    package var coordinators: [String]
    package var join: Join?
    package var tuning: Tuning?
    package var logLevel: String?

    package init(nodeID: String, zone: String, data: String, listen: Listen, coordinators: [String], join: Join?) {
        self.nodeID = nodeID
        self.zone = zone
        self.data = data
        self.listen = listen
        self.coordinators = coordinators
        self.join = join
    }

    enum CodingKeys: String, CodingKey {
        case zone, data, listen, coordinators, join, tuning
        case nodeID = "node_id"
        case instanceType = "instance_type"
        case logLevel = "log_level"
    }
}
