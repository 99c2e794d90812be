// How a node that knows nothing but the pin in its join token learns whom to trust.

import NIOCore
import NIOPosix
import NIOSSL

package enum PinnedAuthority {
    /// Asks the server at `host:port` for its certificate chain and returns the authority in it whose pin is `pin`.
    ///
    /// Nothing is sent over this connection. The caller trusts the returned certificate, and only it, in the connection over
    /// which it sends its token: a server that merely repeats our authority's public certificate fails there.
    /// - Throws: `untrusted` when no certificate of the chain has that pin; `library` when there is no answer in 5 s.
    package static func fetch(host: String, port: Int, pin: String) async throws(IdentityError) -> Certificate {
        do {
            return try await chain(host: host, port: port, pin: pin)
        } catch let error as IdentityError {
            throw error
        } catch {
            throw .library(operation: "asking \(host):\(port) for its certificates", reason: "\(error)")
        }
    }

    private static func chain(host: String, port: Int, pin: String) async throws -> Certificate {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        let context = try NIOSSLContext(configuration: configuration)
        let group = MultiThreadedEventLoopGroup.singleton
        let answer = group.next().makePromise(of: Certificate.self)
        let timer = group.next().scheduleTask(in: .seconds(5)) { answer.fail(ChannelError.connectTimeout(.seconds(5))) }
        defer { timer.cancel() }
        let connected = ClientBootstrap(group: group).connectTimeout(.seconds(5)).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                let handler = try NIOSSLClientHandler(
                    context: context, serverHostname: nil,
                    customVerificationCallback: { presented, verdict in
                        answer.completeWith(Result { try authority(in: presented, pin: pin) })
                        // The chain is all that we wanted.
                        verdict.succeed(.failed)
                    })
                try channel.pipeline.syncOperations.addHandler(handler)
            }
        }.connect(host: host, port: port)
        connected.whenFailure { answer.fail($0) }
        connected.whenSuccess { $0.closeFuture.whenComplete { _ in answer.fail(ChannelError.eof) } }
        defer { connected.whenSuccess { $0.close(promise: nil) } }
        return try await answer.futureResult.get()
    }

    private static func authority(in chain: [NIOSSLCertificate], pin: String) throws -> Certificate {
        for presented in chain {
            let certificate = try Certificate(der: try presented.toDERBytes())
            if equalInConstantTime(Array(try certificate.pin().utf8), Array(pin.lowercased().utf8)) { return certificate }
        }
        throw IdentityError.untrusted("no certificate of the server's chain has the pin \(pin)")
    }
}
