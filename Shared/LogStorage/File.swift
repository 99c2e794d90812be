// An open file. It owns its descriptor, so that no path leaks one.

import Glibc

struct File: ~Copyable {
    let path: String
    private let descriptor: Int32

    enum Mode { case read, readWrite, create }

    init(_ path: String, _ mode: Mode) throws(StorageError) {
        let flags =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .create: O_RDWR | O_CREAT | O_TRUNC
            }
        let descriptor = SystemCall.retrying { open(path, flags | O_CLOEXEC, 0o600) }
        guard descriptor >= 0 else { throw SystemCall.failure("open", path) }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func size() throws(StorageError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemCall.failure("fstat", path) }
        return Int(status.st_size)
    }

    func read(_ range: Range<Int>) throws(StorageError) -> [UInt8] {
        var done = 0
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            while done < range.count, let base = buffer.baseAddress {
                let got = pread(descriptor, base + done, range.count - done, off_t(range.lowerBound + done))
                if got < 0, errno == EINTR { continue }
                if got < 0 { code = errno }
                if got <= 0 { break }
                done += got
            }
            count = done
        }
        guard code == 0 else { throw SystemCall.failure("read", path, code: code) }
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        var done = 0
        var code: Int32 = 0
        bytes.withUnsafeBytes { buffer in
            while done < buffer.count, let base = buffer.baseAddress {
                let put = pwrite(descriptor, base + done, buffer.count - done, off_t(offset + done))
                if put < 0, errno == EINTR { continue }
                if put <= 0 {
                    code = put < 0 ? errno : EIO
                    break
                }
                done += put
            }
        }
        guard code == 0 else { throw SystemCall.failure("write", path, code: code, bytes: bytes.count) }
    }

    /// Reserves `bytes` from the start, so that writing them later neither grows the file nor runs out of space.
    func reserve(_ bytes: Int) throws(StorageError) {
        while true {
            let code = posix_fallocate(descriptor, 0, off_t(bytes))
            if code == 0 { return }
            guard code == EINTR else { throw SystemCall.failure("fallocate", path, code: code, bytes: bytes) }
        }
    }

    /// Makes what was written durable, the file's size included. An error may not be followed by a second try (rule C3).
    func synchronizeData(_ flush: Flush = .standard) throws(StorageError) {
        guard SystemCall.retrying({ flush.run(descriptor) }) == 0 else { throw .syncFailed(path: path, code: errno) }
    }

    /// Holds the file for this process alone until it is closed.
    func lock() throws(StorageError) {
        guard SystemCall.retrying({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 else {
            throw errno == EWOULDBLOCK ? .locked(path: path) : SystemCall.failure("flock", path)
        }
    }
}
