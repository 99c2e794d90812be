import FoundationEssentials
import Glibc
import Identity
import Model
package import Settings

/// The folder with which a coordinator starts that joins a group that is there already: all that `ClusterFiles` gives the first ones,
/// but the mark of a founding store. Whoever starts without it waits until the group lets it in.
package struct CoordinatorFiles {
    private let spec: CoordinatorSpec
    private let cluster: CoordinatorFile.Cluster
    private let others: [CoordinatorFile.Member]
    private let authority: Authority
    private let gossipKeys: [UInt8]

    /// - Parameters:
    ///   - others: the members that there are, any of which will do to be let in.
    ///   - folder: holds `authority.crt`, `authority.key` and `gossip.key`, as `cluster init` wrote them. Gossip keys that have been
    ///     exchanged since will do: whoever is let in has the cluster's from its record before it gossips.
    package init(
        _ spec: CoordinatorSpec, cluster: CoordinatorFile.Cluster, others: [CoordinatorFile.Member], authorityIn folder: String
    ) throws {
        self.spec = spec
        self.cluster = cluster
        self.others = others.filter { $0.nodeID != spec.node.name }
        func text(_ name: String) throws -> String { String(decoding: try SecretFile.read("\(folder)/\(name)"), as: UTF8.self) }
        authority = try Authority(
            certificate: try Certificate(pem: try text("authority.crt")), key: try PrivateKey(pem: try text("authority.key")))
        gossipKeys = try SecretFile.read("\(folder)/gossip.key")
    }

    /// How the others reach it.
    package var member: CoordinatorFile.Member {
        CoordinatorFile.Member(
            nodeID: spec.node.name, zone: spec.zone.name, api: spec.address(spec.api), link: spec.address(spec.link),
            gossip: spec.address(spec.gossip))
    }

    /// - Throws: `IdentityError.file` when there is a coordinator in `folder` already, or it cannot be written.
    package func write(to folder: String) throws {
        try Folder.make(folder)
        guard access("\(folder)/coordinator.json", F_OK) != 0 else {
            throw IdentityError.file(
                path: "\(folder)/coordinator.json", reason: "there is a coordinator here already; nothing was changed")
        }
        let key = try PrivateKey.generate()
        let identity = try PeerIdentity(cluster: cluster.name, role: .coordinator, name: spec.node.name)
        let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
        let leaf = try authority.issue(identity, publicKey: try key.publicKey(), addresses: [spec.host], at: now)
        try SecretFile.write(Array(try key.pem().utf8), to: "\(folder)/\(spec.node).key")
        try SecretFile.write(Array(try leaf.pem().utf8), to: "\(folder)/\(spec.node).crt", mode: 0o644)
        try SecretFile.write(Array(try authority.certificate.pem().utf8), to: "\(folder)/authority.crt", mode: 0o644)
        try SecretFile.write(Array(try authority.keyPEM().utf8), to: "\(folder)/authority.key")
        try SecretFile.write(gossipKeys, to: "\(folder)/gossip.key")
        // Last: with it the folder counts as made.
        try Folder.write(settings, to: "\(folder)/coordinator.json")
    }

    private var settings: CoordinatorFile {
        CoordinatorFile(
            cluster: cluster, nodeID: spec.node.name, zone: spec.zone.name, data: "data",
            listen: .init(
                api: spec.address(spec.api), link: spec.address(spec.link), gossip: spec.address(spec.gossip),
                metrics: spec.address(spec.metrics)),
            members: others + [member],
            tls: .init(
                authority: "authority.crt", certificate: "\(spec.node).crt", key: "\(spec.node).key",
                authorityKey: "authority.key"),
            gossipKeyring: "gossip.key", tuning: nil)
    }
}
