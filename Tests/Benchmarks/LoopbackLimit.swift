import Dispatch
import Glibc

/// What one TCP connection of this machine with itself carries: no copy between two processes of ours is faster.
enum LoopbackLimit {
    private static let piece = 256 << 10

    /// - Returns: megabytes in a second.
    static func rate(megabytes: Int) throws -> Double {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        let sender = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0, sender >= 0 else { throw failure("socket") }
        defer {
            close(listener)
            close(sender)
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isConnected = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, $0, &length) == 0
                    && connect(sender, $0, length) == 0
            }
        }
        guard isConnected else { throw failure("connect") }
        let receiver = accept(listener, nil, nil)
        guard receiver >= 0 else { throw failure("accept") }
        defer { close(receiver) }
        let total = megabytes * 1_000_000
        let done = DispatchSemaphore(value: 0)
        let start = ContinuousClock.now
        DispatchQueue.global().async {
            var buffer = [UInt8](repeating: 0, count: piece)
            while read(receiver, &buffer, buffer.count) > 0 {}
            done.signal()
        }
        let bytes = [UInt8](repeating: 0x5A, count: piece)
        var sent = 0
        while sent < total {
            let count = write(sender, bytes, min(piece, total - sent))
            guard count > 0 || errno == EINTR else { break }
            sent += max(0, count)
        }
        shutdown(sender, Int32(SHUT_WR))
        done.wait()
        guard sent == total else { throw failure("write") }
        return Double(megabytes) / (ContinuousClock.now - start).inSeconds
    }

    private static func failure(_ call: String) -> BenchFailure { BenchFailure("\(call): \(String(cString: strerror(errno)))") }
}
