// What every user of libcrypto needs: owners that free, memory streams, and errors in words.

import COpenSSL

/// Owns one object of libcrypto and frees it at the end of its scope.
struct Owned: ~Copyable {
    let pointer: OpaquePointer
    private let release: (OpaquePointer) -> Void

    /// - Throws: `library` when libcrypto returned no object.
    init(
        _ pointer: OpaquePointer?, _ operation: @autoclosure () -> String, release: @escaping (OpaquePointer) -> Void
    ) throws(IdentityError) {
        guard let pointer else { throw Libcrypto.failure(operation()) }
        self.pointer = pointer
        self.release = release
    }

    deinit { release(pointer) }
}

enum Libcrypto {
    /// Empties libcrypto's error queue of this thread into one error.
    static func failure(_ operation: String) -> IdentityError {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            if let text = ERR_reason_error_string(code) { reasons.append(String(cString: text)) }
        }
        return .library(operation: operation, reason: reasons.isEmpty ? "no reason given" : reasons.joined(separator: "; "))
    }

    /// Throws unless `result` is 1, libcrypto's word for success.
    static func require(_ result: Int32, _ operation: String) throws(IdentityError) {
        guard result == 1 else { throw failure(operation) }
    }

    /// The bytes that `write` leaves in a memory stream.
    static func written(_ operation: String, _ write: (OpaquePointer) -> Int32) throws(IdentityError) -> [UInt8] {
        let stream = try Owned(BIO_new(BIO_s_mem()), operation) { BIO_free_all($0) }
        try require(write(stream.pointer), operation)
        var bytes = [UInt8](repeating: 0, count: BIO_ctrl_pending(stream.pointer))
        let read = bytes.withUnsafeMutableBytes { BIO_read(stream.pointer, $0.baseAddress, Int32($0.count)) }
        guard Int(read) == bytes.count else { throw failure(operation) }
        return bytes
    }

    /// What `parse` makes of `bytes`.
    static func parsed(_ bytes: [UInt8], as what: String, _ parse: (OpaquePointer) -> OpaquePointer?) throws(IdentityError)
        -> OpaquePointer
    {
        guard bytes.count <= 1 << 20 else { throw .malformed("\(what): larger than 1 MiB") }
        let object = bytes.withUnsafeBytes { buffer -> OpaquePointer? in
            guard let stream = BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) else { return nil }
            defer { BIO_free_all(stream) }
            return parse(stream)
        }
        guard let object else {
            ERR_clear_error()
            throw .malformed(what)
        }
        return object
    }
}
