import Foundation
import Model
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import Identity

/// Says hello with TLS over a real socket and tells what each side learned of the other.
private func handshake(server: TLSConfiguration, client: TLSConfiguration, name: String?) async throws -> PeerIdentity? {
    let group = MultiThreadedEventLoopGroup.singleton
    let serverContext = try NIOSSLContext(configuration: server)
    let clientContext = try NIOSSLContext(configuration: client)
    let seen = group.next().makePromise(of: PeerIdentity?.self)
    let listener = try await ServerBootstrap(group: group)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: serverContext))
                try channel.pipeline.syncOperations.addHandler(Hello(seen: seen))
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    defer { listener.close(promise: nil) }
    let channel = try await ClientBootstrap(group: group)
        .channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    NIOSSLClientHandler(context: clientContext, serverHostname: name))
            }
        }
        .connect(host: "127.0.0.1", port: listener.localAddress?.port ?? 0).get()
    // A server that refuses closes before or after this is written: what it saw is told by `seen`.
    try? await channel.writeAndFlush(ByteBuffer(string: "hello"))
    let result = try await seen.futureResult.get()
    try? await channel.close()
    return result
}

private final class Hello: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let seen: EventLoopPromise<PeerIdentity?>
    private var told = false

    init(seen: EventLoopPromise<PeerIdentity?>) { self.seen = seen }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        tell(Result { try context.pipeline.syncOperations.nioSSL_peerCertificate().map { try PeerIdentity(of: $0) } })
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        tell(.failure(error))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { tell(.failure(ChannelError.eof)) }

    private func tell(_ result: Result<PeerIdentity?, any Error>) {
        if !told { seen.completeWith(result) }
        told = true
    }
}

@Suite struct TLSIdentityTests {
    let authority: Authority
    let server: TLSIdentity
    let client: TLSIdentity
    let stranger: TLSIdentity

    init() throws {
        let present = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
        func member(_ authority: Authority, _ role: PeerIdentity.Role, _ name: String) throws -> TLSIdentity {
            let key = try PrivateKey.generate()
            let identity = try PeerIdentity(cluster: "demo", role: role, name: name)
            let leaf = try authority.issue(
                identity, publicKey: try key.publicKey(), addresses: ["127.0.0.1"], at: present)
            return try TLSIdentity(certificate: leaf, key: key, authority: authority.certificate)
        }
        authority = try Authority.create(cluster: "demo", at: present)
        server = try member(authority, .coordinator, "c1")
        client = try member(authority, .node, "n1")
        stranger = try member(try Authority.create(cluster: "demo", at: present), .node, "n1")
    }

    @Test("two members meet on a link, and the server learns who the client is")
    func link() async throws {
        let seen = try await handshake(server: server.linkServer(), client: client.linkClient(), name: nil)
        #expect(seen == client.identity)
    }

    @Test("a link refuses a client without a certificate, and a member of another authority on either side")
    func linkRefusals() async throws {
        await #expect(throws: (any Error).self) {
            try await handshake(
                server: server.linkServer(), client: try TLSConfiguration.trusting(authority.certificate), name: nil)
        }
        await #expect(throws: (any Error).self) {
            try await handshake(server: server.linkServer(), client: stranger.linkClient(), name: nil)
        }
        await #expect(throws: (any Error).self) {
            try await handshake(server: stranger.linkServer(), client: client.linkClient(), name: nil)
        }
    }

    @Test("HTTPS serves with and without a client certificate, but not with a stranger's")
    func https() async throws {
        let anonymous = try TLSConfiguration.trusting(authority.certificate)
        #expect(try await handshake(server: server.httpsServer(), client: anonymous, name: "localhost") == nil)
        let known = try await handshake(server: server.httpsServer(), client: client.httpsClient(), name: "localhost")
        #expect(known == client.identity)
        var stranger = stranger.httpsClient()
        stranger.trustRoots = .certificates([try authority.certificate.forTLS()])
        await #expect(throws: (any Error).self) {
            try await handshake(server: server.httpsServer(), client: stranger, name: "localhost")
        }
    }

    @Test("a joining node learns the authority by its pin, and by no other")
    func pinned() async throws {
        let context = try NIOSSLContext(configuration: server.httpsServer())
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { listener.close(promise: nil) }
        let port = try #require(listener.localAddress?.port)
        let learned = try await PinnedAuthority.fetch(host: "127.0.0.1", port: port, pin: try authority.certificate.pin())
        #expect(learned == authority.certificate)
        await #expect(throws: IdentityError.self) {
            try await PinnedAuthority.fetch(host: "127.0.0.1", port: port, pin: String(repeating: "0", count: 64))
        }
    }
}
