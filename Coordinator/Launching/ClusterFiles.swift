// The files of a new cluster, made in memory and then written.

import FoundationEssentials
import Glibc
package import Identity
import LogStorage
import Model
package import Settings

/// Authority, keys, and one folder for each coordinator.
package struct ClusterFiles {
    package let cluster: String
    /// 32 hexadecimal digits, random.
    package let id: String
    package let authority: Authority
    private let members: [CoordinatorSpec]
    private let operatorName: String
    private let keyring: GossipKeyring
    /// Of all members alike.
    private let tuning: CoordinatorFile.Tuning
    private let now: WallTime

    /// - Throws: `InvalidValue` for a name that is no name, or a group that is no group.
    package init(
        cluster: String, members: [CoordinatorSpec], operatorName: String, repairDelaySeconds: Int? = nil,
        tuning: CoordinatorFile.Tuning = CoordinatorFile.Tuning()
    ) throws {
        try NameRule.host.check(cluster, field: "--name")
        try NameRule.host.check(operatorName, field: "--operator")
        guard [1, 3, 5].contains(members.count) else {
            throw InvalidValue(field: "--coordinator", detail: "a group has 1, 3 or 5 members, not \(members.count)")
        }
        guard Set(members.map(\.node)).count == members.count else {
            throw InvalidValue(field: "--coordinator", detail: "a name is used twice")
        }
        self.cluster = cluster
        self.members = members
        self.operatorName = operatorName
        var tuning = tuning
        if let repairDelaySeconds { tuning.repairDelaySeconds = Int64(repairDelaySeconds) }
        self.tuning = tuning
        now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
        id = Hex.encode(try SecureRandom.bytes(16))
        authority = try Authority.create(cluster: cluster, at: now)
        keyring = try GossipKeyring.generate()
    }

    /// - Throws: `IdentityError.file` when there is a cluster in `folder` already, or it cannot be written.
    package func write(to folder: String) throws {
        try Folder.make(folder)
        guard access("\(folder)/authority.key", F_OK) != 0 else {
            throw IdentityError.file(
                path: "\(folder)/authority.key", reason: "there is a cluster here already; nothing was changed")
        }
        let certificate = Array(try authority.certificate.pem().utf8)
        let key = Array(try authority.keyPEM().utf8)
        let gossip = Array(try keyring.json())
        try member(.operator, operatorName, addresses: [], into: folder, as: "operator")
        try Folder.write(context, to: "\(folder)/context.json")
        for spec in members {
            let own = "\(folder)/\(spec.node)"
            try Folder.make(own)
            try member(.coordinator, spec.node.name, addresses: [spec.host], into: own, as: spec.node.name)
            // A folder is copied to its machine whole, so it holds what all of them share too.
            try SecretFile.write(certificate, to: "\(own)/authority.crt", mode: 0o644)
            try SecretFile.write(key, to: "\(own)/authority.key")
            try SecretFile.write(gossip, to: "\(own)/gossip.key")
            try Folder.write(settings(of: spec), to: "\(own)/coordinator.json")
            // Only a store that begins here counts from the start; one that is made in its place later has to be let in.
            try DataFolder.markFounding("\(own)/\(Self.dataFolder)")
        }
        try SecretFile.write(certificate, to: "\(folder)/authority.crt", mode: 0o644)
        try SecretFile.write(gossip, to: "\(folder)/gossip.key")
        // Last: with it the cluster counts as made.
        try SecretFile.write(key, to: "\(folder)/authority.key")
    }

    private func member(_ role: PeerIdentity.Role, _ name: String, addresses: [String], into folder: String, as file: String)
        throws
    {
        let key = try PrivateKey.generate()
        let identity = try PeerIdentity(cluster: cluster, role: role, name: name)
        let leaf = try authority.issue(identity, publicKey: try key.publicKey(), addresses: addresses, at: now)
        try SecretFile.write(Array(try key.pem().utf8), to: "\(folder)/\(file).key")
        try SecretFile.write(Array(try leaf.pem().utf8), to: "\(folder)/\(file).crt", mode: 0o644)
    }

    // MARK: - What the files say

    private static let dataFolder = "data"

    private struct Context: Encodable {
        let cluster: String
        let cluster_id: String
        let endpoints: [String]
        let authority: String
        let certificate: String
        let key: String
    }

    private var context: Context {
        Context(
            cluster: cluster, cluster_id: id, endpoints: members.map { "https://\($0.address($0.api))" },
            authority: "authority.crt", certificate: "operator.crt", key: "operator.key")
    }

    private func settings(of spec: CoordinatorSpec) -> CoordinatorFile {
        CoordinatorFile(
            cluster: .init(name: cluster, id: id), nodeID: spec.node.name, zone: spec.zone.name, data: Self.dataFolder,
            listen: .init(
                api: spec.address(spec.api), link: spec.address(spec.link), gossip: spec.address(spec.gossip),
                metrics: spec.address(spec.metrics)),
            members: members.map {
                .init(
                    nodeID: $0.node.name, zone: $0.zone.name, api: $0.address($0.api), link: $0.address($0.link),
                    gossip: $0.address($0.gossip))
            },
            tls: .init(
                authority: "authority.crt", certificate: "\(spec.node).crt", key: "\(spec.node).key",
                authorityKey: "authority.key"),
            gossipKeyring: "gossip.key", tuning: tuning)
    }
}
