// A coordinator's settings, as `coxctl cluster init` writes them and people edit them (JSON5).

import Consensus
package import FoundationEssentials
package import Identity
package import LogStorage
package import Logging
package import Membership
package import Model
import Settings
package import Transport

/// Everything that one coordinator must know to start. Checked whole before anything is opened.
package struct CoordinatorConfiguration: Sendable {
    /// Whole segments are dropped, and a start reads all that there are: small ones leave little that a snapshot covers.
    private static let segmentMebibytes: Int64 = 16

    package struct Listen: Hashable, Sendable {
        /// REST over HTTPS.
        package let api: HostPort
        /// Links with agents and coordinators.
        package let link: HostPort
        package let gossip: HostPort
        /// `/metrics`, `/livez` and `/readyz`, plain HTTP.
        package let metrics: HostPort
    }

    /// A member of the group, ourselves included: where others reach it.
    package struct Member: Hashable, Sendable {
        package let node: NodeID
        package let zone: ZoneName
        package let api: HostPort
        package let link: HostPort
        package let gossip: HostPort
    }

    package let clusterName: String
    package let cluster: ClusterID
    package let node: NodeID
    package let zone: ZoneName
    /// The data folder.
    package let data: String
    package let listen: Listen
    /// Sorted by name. Founded with one, three or five, and told of whoever was there when the file was written: who is a member, the
    /// log says.
    package let members: [Member]
    package let electionTimeout: Span
    package let heartbeat: Span
    /// How long a partition stays short of a replica before another is made (rule F5), where no configuration entry says.
    package let repairDelay: Span
    /// How long the cluster must be calm before primary roles are evened out, one at a time, where no configuration entry says.
    package let leadershipDelay: Span
    package let gossip: SwimTuning
    package let log: LogOptions
    package let logLevel: Logger.Level
    package let authorityFile: String
    package let certificateFile: String
    package let keyFile: String
    package let authorityKeyFile: String
    package let keyringFile: String

    /// Reads and checks the file at `path`; paths in it are relative to its folder.
    /// - Throws: `InvalidValue` naming the field at fault.
    package init(file path: String) throws(InvalidValue) {
        let file = try SettingsFile(path)
        try self.init(json: file.json, folder: file.folder)
    }

    package init(json: Data, folder: String) throws(InvalidValue) {
        let file = try StrictJSON.decode(CoordinatorFile.self, from: json)
        func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }
        try NameRule.host.check(file.cluster.name, field: "cluster.name")
        clusterName = file.cluster.name
        cluster = try ClusterID(file.cluster.id)
        node = try NodeID(file.nodeID)
        zone = try ZoneName(file.zone)
        data = resolve(file.data)
        listen = Listen(
            api: try Self.address(file.listen.api, "listen.api"), link: try Self.address(file.listen.link, "listen.link"),
            gossip: try Self.address(file.listen.gossip, "listen.gossip"),
            metrics: try Self.address(file.listen.metrics, "listen.metrics"))
        members = try Self.members(file.members, ourselves: node)
        authorityFile = resolve(file.tls.authority)
        certificateFile = resolve(file.tls.certificate)
        keyFile = resolve(file.tls.key)
        authorityKeyFile = resolve(file.tls.authorityKey)
        keyringFile = resolve(file.gossipKeyring)
        let tuning = file.tuning
        electionTimeout = .milliseconds(
            try Self.number(tuning?.electionMilliseconds, or: 1_000, within: 100...60_000, "tuning.election_ms"))
        heartbeat = .milliseconds(
            try Self.number(tuning?.heartbeatMilliseconds, or: 100, within: 10...10_000, "tuning.heartbeat_ms"))
        repairDelay = try Self.seconds(tuning?.repairDelaySeconds, ConfigurationRules.repairDelay)
        leadershipDelay = try Self.seconds(tuning?.leadershipDelaySeconds, ConfigurationRules.leadershipDelay)
        gossip = try Self.profile(tuning?.gossipProfile)
        log = try LogTuning.options(
            reserveMebibytes: tuning?.diskReserveMebibytes,
            segmentMebibytes: tuning?.logSegmentMebibytes ?? Self.segmentMebibytes,
            flushDelayMicroseconds: tuning?.flushDelayMicroseconds)
        logLevel = try LogLevel.parse(file.logLevel ?? "info", field: "log_level")
        guard heartbeat * 3 <= electionTimeout else {
            throw InvalidValue(
                field: "tuning.election_ms",
                detail: "must be at least three heartbeats (\(heartbeat * 3)), so that one lost is no election")
        }
    }

    /// What we show on every connection: our certificate, checked to be a coordinator's of this cluster.
    package func identity() throws -> TLSIdentity {
        let identity = try TLSIdentity(
            certificate: try Certificate(pem: try Self.text(certificateFile)), key: try PrivateKey(pem: try Self.text(keyFile)),
            authority: try Certificate(pem: try Self.text(authorityFile)))
        let expected = try PeerIdentity(cluster: clusterName, role: .coordinator, name: node.name)
        guard identity.identity == expected else {
            throw InvalidValue(field: "tls.certificate", detail: "names \(identity.identity), not \(expected)")
        }
        return identity
    }

    /// The authority, which signs the certificates of those who join.
    package func authority() throws -> Authority {
        try Authority(
            certificate: try Certificate(pem: try Self.text(authorityFile)),
            key: try PrivateKey(pem: try Self.text(authorityKeyFile)))
    }

    package func keyring() throws -> GossipKeyring { try GossipKeyring(json: Data(try SecretFile.read(keyringFile))) }

    private static func text(_ path: String) throws -> String { String(decoding: try SecretFile.read(path), as: UTF8.self) }

    private static func address(_ text: String, _ field: String) throws(InvalidValue) -> HostPort {
        guard let address = HostPort(text) else { throw InvalidValue(field: field, detail: "'\(text)' is not host:port") }
        return address
    }

    private static func number(
        _ value: Int64?, or standard: Int64, within range: ClosedRange<Int64>, _ field: String
    ) throws(InvalidValue) -> Int64 {
        let value = value ?? standard
        guard range.contains(value) else {
            throw InvalidValue(field: field, detail: "\(value) is outside \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A setting that the cluster's configuration knows too, by the same name, in the same range.
    private static func seconds(_ value: Int64?, _ rule: IntegerRule) throws(InvalidValue) -> Span {
        let range = Int64(rule.range.lowerBound)...Int64(rule.range.upperBound)
        return .seconds(try number(value, or: Int64(rule.standard), within: range, "tuning.\(rule.name)"))
    }

    private static func profile(_ name: String?) throws(InvalidValue) -> SwimTuning {
        guard let tuning = SwimTuning.named(name ?? "fast") else {
            throw InvalidValue(field: "tuning.gossip_profile", detail: "'\(name ?? "")' is none of fast, lan and wan")
        }
        return tuning
    }

    private static func members(_ entries: [CoordinatorFile.Member], ourselves: NodeID) throws(InvalidValue) -> [Member] {
        var members: [Member] = []
        for (index, entry) in entries.enumerated() {
            let field = "members[\(index)]"
            members.append(
                Member(
                    node: try NodeID(entry.nodeID), zone: try ZoneName(entry.zone),
                    api: try address(entry.api, "\(field).api"), link: try address(entry.link, "\(field).link"),
                    gossip: try address(entry.gossip, "\(field).gossip")))
        }
        guard (1...MemberConfiguration.limit).contains(members.count) else {
            throw InvalidValue(
                field: "members", detail: "a group has 1 to \(MemberConfiguration.limit) members, not \(members.count)")
        }
        guard Set(members.map(\.node)).count == members.count else {
            throw InvalidValue(field: "members", detail: "a member is named twice")
        }
        guard members.contains(where: { $0.node == ourselves }) else {
            throw InvalidValue(field: "members", detail: "\(ourselves) is not among them")
        }
        return members.sorted { $0.node < $1.node }
    }
}
