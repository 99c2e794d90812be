// Who this node is in which cluster: its own key, a certificate by the cluster's authority, the gossip keys, and where the
// coordinators are. Got once, with a join token (rule S2); afterwards a start needs no coordinator.

import AsyncHTTPClient
import FoundationEssentials
import Identity
import LogStorage
import Logging
import Model
import NIOCore
import NIOHTTP1
import Settings
import Transport

/// A member of the coordinator group, as the cluster names it to those who join.
struct CoordinatorMember: Hashable, Sendable, Codable {
    let nodeID: String
    let api: String
    let link: String
    let gossip: String
    let zone: String

    enum CodingKeys: String, CodingKey {
        case nodeID = "node_id"
        case api, link, gossip, zone
    }
}

struct ClusterCredentials: Sendable {
    let clusterName: String
    let cluster: ClusterID
    let tls: TLSIdentity
    let keyring: GossipKeyring
    /// Where the keyring is kept.
    let keyringPath: String
    let coordinators: [CoordinatorMember]

    private struct JoinRequest: Codable {
        let token: String
        let nodeID: String
        let zone: String
        let csr: String

        enum CodingKeys: String, CodingKey {
            case token, zone, csr
            case nodeID = "node_id"
        }
    }

    private struct Cluster: Codable {
        let name: String
        let id: String
    }

    private struct JoinResponse: Codable {
        let certificate: String
        let authority: String
        let keyring: Keyring
        let cluster: Cluster
        let coordinators: [CoordinatorMember]

        enum CodingKeys: String, CodingKey {
            case certificate, authority, cluster, coordinators
            case keyring = "gossip_keyring"
        }
    }

    /// The keyring's JSON, whichever way it is embedded.
    private struct Keyring: Codable {
        struct Key: Codable {
            let id: UInt8
            let key: String
        }
        let primary: UInt8
        let keys: [Key]
    }

    private struct Saved: Codable {
        let cluster: Cluster
        let coordinators: [CoordinatorMember]
    }

    struct JoinRefused: Error, CustomStringConvertible {
        let description: String
    }

    /// What an earlier start stored, or what the cluster gives for the join token.
    static func obtain(_ configuration: AgentConfiguration, in folder: DataFolder, logger: Logger) async throws
        -> ClusterCredentials
    {
        let path = try folder.folder("identity")
        if try DurableFile.read(path + "/cluster.json") == nil {
            try await join(configuration, into: path, logger: logger)
        }
        return try load(path)
    }

    private static func load(_ path: String) throws -> ClusterCredentials {
        let saved = try JSONDecoder().decode(Saved.self, from: Data(try DurableFile.read(path + "/cluster.json") ?? []))
        let certificate = try Certificate(pem: try text(path + "/node.crt"))
        let authority = try Certificate(pem: try text(path + "/authority.crt"))
        let key = try PrivateKey(pem: try text(path + "/node.key"))
        return ClusterCredentials(
            clusterName: saved.cluster.name, cluster: try ClusterID(saved.cluster.id),
            tls: try TLSIdentity(certificate: certificate, key: key, authority: authority),
            keyring: try GossipKeyring(json: Data(try SecretFile.read(path + "/gossip.key"))),
            keyringPath: path + "/gossip.key", coordinators: saved.coordinators)
    }

    private static func text(_ path: String) throws -> String { String(decoding: try SecretFile.read(path), as: UTF8.self) }

    /// Makes a key, has the authority sign it, and stores everything; `cluster.json` comes last and says that all is there.
    private static func join(_ configuration: AgentConfiguration, into path: String, logger: Logger) async throws {
        guard let join = configuration.join else {
            throw InvalidValue(field: "join", detail: "this node has no certificate yet and needs a join token")
        }
        let token = try text(join.tokenFile).split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        if try DurableFile.read(path + "/node.key") == nil {
            try SecretFile.write(Array(try PrivateKey.generate().pem().utf8), to: path + "/node.key")
        }
        let key = try PrivateKey(pem: try text(path + "/node.key"))
        var lastError: any Error = InvalidValue(field: "coordinators", detail: "none are given")
        // Coordinators may still be starting: every one is asked in turn, for a while.
        for attempt in 0..<60 {
            for coordinator in configuration.coordinators {
                do {
                    let response = try await ask(
                        coordinator, pin: join.authorityPin, token: token, key: key, configuration: configuration)
                    try store(response, in: path)
                    logger.info("joined", metadata: ["cluster": "\(response.cluster.name)", "coordinator": "\(coordinator)"])
                    return
                } catch let refusal as JoinRefused {
                    throw refusal
                } catch {
                    lastError = error
                }
            }
            logger.info("no coordinator lets this node join yet", metadata: ["attempt": "\(attempt)", "error": "\(lastError)"])
            try await Task.sleep(for: .milliseconds(500))
        }
        throw lastError
    }

    private static func ask(
        _ coordinator: String, pin: String, token: String, key: PrivateKey, configuration: AgentConfiguration
    ) async throws -> JoinResponse {
        let host = coordinator.hasPrefix("https://") ? String(coordinator.dropFirst(8)) : coordinator
        guard let target = HostPort(host) else {
            throw InvalidValue(field: "coordinators", detail: "'\(coordinator)' is not https://host:port")
        }
        let authority = try await PinnedAuthority.fetch(host: target.host, port: target.port, pin: pin)
        // The request names the node without its cluster: the authority knows its own name, the node does not yet.
        let clusterName = try clusterName(of: authority)
        let identity = try PeerIdentity(cluster: clusterName, role: .node, name: configuration.node.name)
        let hosts = [configuration.listen.gateway, configuration.listen.link].compactMap { HostPort($0)?.host }
        let request = try CertificateRequest(for: identity, addresses: Array(Set(hosts)).sorted(), key: key)
        let body = JoinRequest(
            token: token, nodeID: configuration.node.name, zone: configuration.zone.name, csr: request.pem)

        var settings = HTTPClient.Configuration(tlsConfiguration: try .trusting(authority))
        settings.httpVersion = .http1Only
        settings.timeout.connect = .seconds(3)
        // What is given with the request ends with the head of the answer.
        settings.timeout.read = .seconds(5)
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
        do {
            var post = HTTPClientRequest(url: "https://\(target)/api/v1/nodes/join")
            post.method = .POST
            post.headers.add(name: "content-type", value: "application/json")
            post.body = .bytes(ByteBuffer(bytes: Array(try JSONEncoder().encode(body))))
            let response = try await client.execute(post, timeout: .seconds(5))
            let bytes = Array((try await response.body.collect(upTo: 1 << 20)).readableBytesView)
            try await client.shutdown()
            guard (200..<300).contains(response.status.code) else {
                let text =
                    "\(coordinator) answers \(response.status.code): \(String(decoding: bytes.prefix(2_000), as: UTF8.self))"
                // Without a leader it is worth asking again; any other refusal stands.
                if response.status.code >= 500 || response.status.code == 429 {
                    throw InvalidValue(field: "join", detail: text)
                }
                throw JoinRefused(description: text)
            }
            return try JSONDecoder().decode(JoinResponse.self, from: Data(bytes))
        } catch {
            try? await client.shutdown()
            throw error
        }
    }

    /// The cluster that the authority signs for: it stands in its own subject.
    private static func clusterName(of authority: Certificate) throws -> String {
        try authority.authorityCluster()
    }

    private static func store(_ response: JoinResponse, in path: String) throws {
        try SecretFile.write(Array(response.certificate.utf8), to: path + "/node.crt", mode: 0o644)
        try SecretFile.write(Array(response.authority.utf8), to: path + "/authority.crt", mode: 0o644)
        try SecretFile.write(Array(try JSONEncoder().encode(response.keyring)), to: path + "/gossip.key")
        let saved = Saved(cluster: response.cluster, coordinators: response.coordinators)
        try DurableFile.replace(path + "/cluster.json", with: Array(try JSONEncoder().encode(saved)))
    }
}
