import Foundation
import Glibc

/// Bytes that no honest peer sends, and sockets to send them by.
enum Noise {
    static func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255) } }
    static func zeros(_ count: Int) -> [UInt8] { Array(repeating: 0, count: count) }
    static let largeHeaders =
        Array("GET / HTTP/1.1\r\nHost: localhost\r\n".utf8)
        + Array((0..<500).map { "X-Filler-\($0): \(String(repeating: "a", count: 1_000))\r\n" }.joined().utf8)
    /// HTTP that is none: a version from the future, lengths that cannot be, chunks without a size, a smuggled second request.
    static let requests: [[UInt8]] = [
        "GET / HTTP/9.9\r\n\r\n", "GET\r\n\r\n", "POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET /v1/route?table=%&key=%ff%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ].map { Array($0.utf8) }
    /// A TLS record header that promises more than follows.
    static let truncatedHello: [UInt8] = [0x16, 0x03, 0x01, 0xFF, 0xFF, 0x01]

    static func send(_ bytes: [UInt8], toStream port: Int) {
        withSocket(SOCK_STREAM, port) { descriptor in
            // The other side may close before it has read everything.
            _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
    }

    static func send(_ bytes: [UInt8], toDatagram port: Int) {
        withSocket(SOCK_DGRAM, port) { descriptor in
            _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
    }

    private static func withSocket(_ type: __socket_type, _ port: Int, _ body: (Int32) -> Void) {
        let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var timeout = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if connected { body(descriptor) }
    }
}
