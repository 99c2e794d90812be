import Foundation

/// Ports that nobody uses at the moment, for TCP and UDP alike.
enum Ports {
    static func free(_ count: Int) throws -> [Int] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        var ports: [Int] = []
        while ports.count < count {
            let (stream, port) = try bound(SOCK_STREAM, port: 0)
            sockets.append(stream)
            // The same number must be free for datagrams.
            guard let (datagram, _) = try? bound(SOCK_DGRAM, port: port) else { continue }
            sockets.append(datagram)
            ports.append(Int(port))
        }
        return ports
    }

    private static func bound(_ type: __socket_type, port: UInt16) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
        guard descriptor >= 0 else { throw Failure("socket: \(errno)") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard status else {
            close(descriptor)
            throw Failure("bind to port \(port): \(errno)")
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }
}
