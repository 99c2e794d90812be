import Foundation

/// Ports that nobody uses at the moment, for TCP and UDP alike.
package enum Ports {
    /// Below those that Linux gives to outgoing connections: one of these could sit on the port of a process that is down for a moment.
    private static let range: Range<UInt16> = 10_000..<32_000

    package static func free(_ count: Int) -> [Int] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        var ports: [Int] = []
        while ports.count < count {
            let port = UInt16.random(in: range)
            guard let stream = bound(SOCK_STREAM, port: port) else { continue }
            sockets.append(stream)
            guard let datagram = bound(SOCK_DGRAM, port: port) else { continue }
            sockets.append(datagram)
            ports.append(Int(port))
        }
        return ports
    }

    /// Whether nobody listens on any of them. What lingers of connections that were closed does not count.
    package static func areFree(_ ports: [Int]) -> Bool {
        ports.allSatisfy { port in
            [SOCK_STREAM, SOCK_DGRAM].allSatisfy { type in
                guard let number = UInt16(exactly: port), let socket = bound(type, port: number, sharing: type == SOCK_STREAM)
                else { return false }
                close(socket)
                return true
            }
        }
    }

    /// - Parameter sharing: with what lingers of connections that were closed, as servers do.
    private static func bound(_ type: __socket_type, port: UInt16, sharing: Bool = false) -> Int32? {
        let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var yes: Int32 = 1
        if sharing { setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size)) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}
