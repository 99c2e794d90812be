import Identity
import Model
import NIOCore
import NIOPosix
import NIOSSL
import Wire

extension LinkWiring {
    /// Waits for the peer's first frame and checks it.
    func receiveHello(endpoint: LinkEndpoint) async throws(LinkError) -> (Hello, PeerIdentity) {
        guard let frame = try await receive() else { throw .closed }
        let hello: Hello
        do { hello = try Hello(bytes: frame) } catch { throw .refusedHello(error.description) }
        return (hello, try endpoint.check(hello, from: inbox.certificate))
    }
}

/// Runs `body` on `wiring` with a deadline, at which the wiring is aborted, so that `body` ends.
func withDeadline<T: Sendable>(
    _ span: Span, on wiring: LinkWiring, _ body: @escaping @Sendable () async throws(LinkError) -> T
) async throws(LinkError) -> T {
    let result: Result<T, LinkError> = await withTaskGroup(of: Result<T, LinkError>?.self) { group in
        group.addTask {
            do throws(LinkError) { return .success(try await body()) } catch { return .failure(error) }
        }
        group.addTask {
            do { try await Task.sleep(for: .microseconds(span.microseconds)) } catch { return nil }
            wiring.abort()
            return .failure(.timedOut)
        }
        // The sleeper answers nil only when it was cancelled with the whole; then the body's answer comes next.
        var first: Result<T, LinkError>?
        while first == nil, let next = await group.next() { first = next }
        group.cancelAll()
        return first ?? .failure(.cancelled)
    }
    return try result.get()
}

/// A `host:port` text in its parts. IPv6 addresses stand in brackets.
package struct HostPort: Hashable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Nil unless `text` is `host:port` with a port of 0 to 65535. Whoever holds a key of the cluster can have gossip bring any text:
    /// a host has only the letters of names and addresses, so that nothing that looks it up or logs it finds another end of it.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, host.utf8.count <= 253, host.utf8.allSatisfy(Self.isOfHost) else { return nil }
        self.host = String(host)
        self.port = Int(port)
    }

    /// `%` stands before the interface of a link-local address.
    private static func isOfHost(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: ".:-_%".utf8.contains(byte)
        }
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension LinkLimits {
    /// Options of every link's socket.
    func socketOptions(_ set: (ChannelOptions.Types.SocketOption, SocketOptionValue) -> Void) {
        set(ChannelOptions.socketOption(.so_keepalive), 1)
        set(ChannelOptions.tcpOption(.tcp_nodelay), 1)
    }
}
