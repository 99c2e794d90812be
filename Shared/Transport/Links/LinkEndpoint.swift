package import Identity
package import Model
package import NIOSSL
import Wire

/// The two TLS contexts of a process: both present its certificate and demand one of the same authority from the peer.
package struct LinkContexts: Sendable {
    package let server: NIOSSLContext
    package let client: NIOSSLContext

    package init(server: NIOSSLContext, client: NIOSSLContext) {
        self.server = server
        self.client = client
    }

    /// The contexts of whoever holds this certificate and its key.
    package init(_ identity: TLSIdentity) throws {
        server = try NIOSSLContext(configuration: identity.linkServer())
        client = try NIOSSLContext(configuration: identity.linkClient())
    }
}

/// Who this process is on its links.
package struct LinkEndpoint: Sendable {
    package let cluster: ClusterID
    package let clusterName: String
    package let node: NodeID
    package let store: StoreID
    package let generation: Generation
    /// Asked for each new link, so that a renewed certificate is used without a restart (rule S4).
    package let contexts: @Sendable () -> LinkContexts

    package init(
        cluster: ClusterID, clusterName: String, node: NodeID, store: StoreID, generation: Generation,
        contexts: @escaping @Sendable () -> LinkContexts
    ) {
        self.cluster = cluster
        self.clusterName = clusterName
        self.node = node
        self.store = store
        self.generation = generation
        self.contexts = contexts
    }

    func hello(_ conversation: Conversation) -> Hello {
        Hello(cluster: cluster, node: node, store: store, generation: generation, conversation: conversation)
    }

    /// Checks a peer's first frame against its certificate and against this cluster (rule S1).
    func check(_ hello: Hello, from certificate: NIOSSLCertificate?) throws(LinkError) -> PeerIdentity {
        guard let certificate else { throw .refusedHello("no certificate") }
        let identity: PeerIdentity
        do { identity = try PeerIdentity(of: certificate) } catch { throw .refusedHello(error.description) }
        guard identity.cluster == clusterName else {
            throw .refusedHello("the certificate is of cluster '\(identity.cluster)'")
        }
        guard hello.version == Hello.protocolVersion else { throw .refusedHello("protocol version \(hello.version)") }
        guard hello.cluster == cluster else { throw .refusedHello("the peer is of cluster \(hello.cluster)") }
        guard hello.node.name == identity.name else {
            throw .refusedHello("the peer says it is \(hello.node), its certificate says \(identity.name)")
        }
        guard identity.role != .operator else { throw .refusedHello("operators have no links") }
        return identity
    }
}

extension Conversation {
    /// Whether somebody in that role may open this conversation; everything else is refused (rule S5).
    func mayBeOpened(by role: PeerIdentity.Role) -> Bool {
        switch self {
        case .raft: role == .coordinator
        case .session, .replication, .copy, .topology: role == .node
        case .probe: role == .node || role == .coordinator
        }
    }
}
