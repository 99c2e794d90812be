import Glibc
import NIOCore

/// The sending end of a bound UDP socket, which SwiftNIO reads.
///
/// SwiftNIO closes a channel of which one write has failed, for nearly any reason: no route, an interface that is down, a firewall that
/// refuses, an address of another family, port 0. All of these are the end of one datagram, and some of them anybody can bring about;
/// none must be the end of a member. So what is sent goes past it.
final class DatagramSender: Sendable {
    private let descriptor: CInt

    private init(descriptor: CInt) { self.descriptor = descriptor }

    /// Nobody sends any more who still could.
    deinit { close(descriptor) }

    /// Makes a socket at this address, and nobody else's: two that shared it would take each other's datagrams.
    ///
    /// - Returns: what is to be read, whose owner closes it, and what sends from the same address.
    /// - Throws: `IOError`.
    static func bind(_ address: SocketAddress) throws -> (reading: NIOBSDSocket.Handle, sender: DatagramSender) {
        let kind = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let reading = socket(CInt(address.protocol.rawValue), kind, 0)
        guard reading >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        guard address.withSockAddr({ Glibc.bind(reading, $0, socklen_t($1)) }) == 0 else {
            defer { close(reading) }
            throw IOError(errnoCode: errno, reason: "bind \(address)")
        }
        let sending = fcntl(reading, F_DUPFD_CLOEXEC, 0)
        guard sending >= 0 else {
            defer { close(reading) }
            throw IOError(errnoCode: errno, reason: "fcntl")
        }
        return (reading, DatagramSender(descriptor: sending))
    }

    /// - Returns: whether the kernel has taken it; if not, it is as if the network had lost it.
    func send(_ bytes: [UInt8], to target: SocketAddress) -> Bool {
        let sent = target.withSockAddr { address, length in
            bytes.withUnsafeBytes {
                sendto(
                    descriptor, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL), address,
                    socklen_t(length))
            }
        }
        return sent == bytes.count
    }
}
