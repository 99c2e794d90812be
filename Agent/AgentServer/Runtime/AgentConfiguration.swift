package import FoundationEssentials
package import LogStorage
package import Logging
package import Model
package import Settings
import Transport

/// An agent's settings, as its file says them (JSON5). Paths are relative to the file.
package struct AgentConfiguration: Sendable {
    package let node: NodeID
    package let zone: ZoneName
    package let instanceType: String
    package let data: String
    package let listen: AgentFile.Listen
    /// API addresses, for the join: `https://host:port`.
    package let coordinators: [String]
    package let join: AgentFile.Join?
    package let tuning: AgentFile.Tuning
    package let log: LogOptions
    package let logLevel: Logger.Level

    /// Reads and checks the file at `path`; paths in it are relative to its folder.
    /// - Throws: what is wrong with the file, naming the field.
    package init(file path: String) throws(InvalidValue) {
        let file = try SettingsFile(path)
        try self.init(json: file.json, folder: file.folder)
    }

    package init(json: Data, folder: String) throws(InvalidValue) {
        let file = try StrictJSON.decode(AgentFile.self, from: json)
        func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : folder + "/" + path }
        node = try NodeID(file.nodeID)
        zone = try ZoneName(file.zone)
        instanceType = file.instanceType ?? ""
        data = resolve(file.data)
        listen = file.listen
        coordinators = file.coordinators
        join = file.join.map { AgentFile.Join(tokenFile: resolve($0.tokenFile), authorityPin: $0.authorityPin) }
        tuning = file.tuning ?? AgentFile.Tuning()
        log = try LogTuning.options(
            reserveMebibytes: tuning.diskReserveMebibytes, segmentMebibytes: tuning.logSegmentMebibytes,
            flushDelayMicroseconds: tuning.flushDelayMicroseconds)
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
        if let profile = tuning.gossipProfile, !["fast", "lan", "wan"].contains(profile) {
            throw InvalidValue(field: "tuning.gossip_profile", detail: "'\(profile)' is none of fast, lan and wan")
        }
        if let seconds = tuning.scrubSeconds, !(1...31_536_000).contains(seconds) {
            throw InvalidValue(field: "tuning.scrub_seconds", detail: "\(seconds) is not from 1 to 31536000, which is a year")
        }
        if let rate = tuning.scrubMebibytesPerSecond, !(1...10_000).contains(rate) {
            throw InvalidValue(field: "tuning.scrub_mib_per_second", detail: "\(rate) is not from 1 to 10000")
        }
    }

    private static func check(_ address: String, _ field: String) throws(InvalidValue) {
        guard HostPort(address) != nil else { throw InvalidValue(field: field, detail: "'\(address)' is not host:port") }
    }

    package init(
        node: NodeID, zone: ZoneName, data: String, listen: AgentFile.Listen, coordinators: [String] = [],
        join: AgentFile.Join? = nil,
        instanceType: String = "", tuning: AgentFile.Tuning = AgentFile.Tuning(), log: LogOptions = LogOptions(),
        logLevel: Logger.Level = .info
    ) {
        self.node = node
        self.zone = zone
        self.instanceType = instanceType
        self.data = data
        self.listen = listen
        self.coordinators = coordinators
        self.join = join
        self.tuning = tuning
        self.log = log
        self.logLevel = logLevel
    }

    package var addresses: NodeAddresses {
        NodeAddresses(gossip: listen.gossip, link: listen.link, service: listen.gateway)
    }
}
