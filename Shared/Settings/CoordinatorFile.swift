/// A coordinator's settings file as it is written: `coxctl cluster init` makes it, people edit it, and the coordinator checks it.
/// Times are in the unit that their name ends with; paths are relative to the file.
package struct CoordinatorFile: Codable, Sendable {
    package struct Cluster: Codable, Sendable {
        package var name: String
        /// 32 hexadecimal digits.
        package var id: String

        package init(name: String, id: String) {
            self.name = name
            self.id = id
        }
    }

    /// Each `host:port`.
    package struct Listen: Codable, Sendable {
        package var api: String
        package var link: String
        package var gossip: String
        package var metrics: String

        package init(api: String, link: String, gossip: String, metrics: String) {
            self.api = api
            self.link = link
            self.gossip = gossip
            self.metrics = metrics
        }
    }

    /// Where the others reach a member of the group, its writer included.
    package struct Member: Codable, Sendable {
        package var nodeID: String
        package var zone: String
        package var api: String
        package var link: String
        package var gossip: String

        package init(nodeID: String, zone: String, api: String, link: String, gossip: String) {
            self.nodeID = nodeID
            self.zone = zone
            self.api = api
            self.link = link
            self.gossip = gossip
        }

        enum CodingKeys: String, CodingKey {
            case zone, api, link, gossip
            case nodeID = "node_id"
        }
    }

    package struct TLS: Codable, Sendable {
        package var authority: String
        package var certificate: String
        package var key: String
        package var authorityKey: String

        package init(authority: String, certificate: String, key: String, authorityKey: String) {
            self.authority = authority
            self.certificate = certificate
            self.key = key
            self.authorityKey = authorityKey
        }

        enum CodingKeys: String, CodingKey {
            case authority, certificate, key
            case authorityKey = "authority_key"
        }
    }

    /// What is absent has its default.
    package struct Tuning: Codable, Sendable {
        package var electionMilliseconds: Int64?
        package var heartbeatMilliseconds: Int64?
        package var repairDelaySeconds: Int64?
        package var leadershipDelaySeconds: Int64?
        package var gossipProfile: String?
        /// What should stay free on the disk; below it people's changes are refused.
        package var diskReserveMebibytes: Int64?
        /// What is reserved for one file of the log.
        package var logSegmentMebibytes: Int64?
        /// Added to every flush of the log, to measure with a slower disk.
        package var flushDelayMicroseconds: Int64?

        package init() {}

        enum CodingKeys: String, CodingKey {
            case electionMilliseconds = "election_ms"
            case heartbeatMilliseconds = "heartbeat_ms"
            case repairDelaySeconds = "repair_delay_seconds"
            case leadershipDelaySeconds = "leadership_delay_seconds"
            case gossipProfile = "gossip_profile"
            case diskReserveMebibytes = "disk_reserve_mib"
            case logSegmentMebibytes = "log_segment_mib"
            case flushDelayMicroseconds = "flush_delay_us"
        }
    }

    package var cluster: Cluster
    package var nodeID: String
    package var zone: String
    package var data: String
    package var listen: Listen
    package var members: [Member]
    package var tls: TLS
    package var gossipKeyring: String
    package var tuning: Tuning?
    package var logLevel: String?

    package init(
        cluster: Cluster, nodeID: String, zone: String, data: String, listen: Listen, members: [Member], tls: TLS,
        gossipKeyring: String, tuning: Tuning?
    ) {
        self.cluster = cluster
        self.nodeID = nodeID
        self.zone = zone
        self.data = data
        self.listen = listen
        self.members = members
        self.tls = tls
        self.gossipKeyring = gossipKeyring
        self.tuning = tuning
    }

    enum CodingKeys: String, CodingKey {
        case cluster, zone, data, listen, members, tls, tuning
        case nodeID = "node_id"
        case gossipKeyring = "gossip_keyring"
        case logLevel = "log_level"
    }
}
