import Glibc

/// A file that is read from a place on, piece by piece.
final class InputFile {
    let bytes: Int
    /// Nanoseconds since 1970.
    let modified: Int64
    private let descriptor: Int32

    init(_ path: String) throws(CommandFailure) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandFailure(status: .notFound, message: "cannot read \(path)") }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw CommandFailure(status: .usage, message: "\(path) is no file")
        }
        bytes = Int(facts.st_size)
        modified = Int64(facts.st_mtim.tv_sec) * 1_000_000_000 + Int64(facts.st_mtim.tv_nsec)
    }

    deinit { close(descriptor) }

    func read(at offset: Int, upTo count: Int) throws(CommandFailure) -> [UInt8] {
        var got = 0
        let piece = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            got = pread(descriptor, buffer.baseAddress, count, off_t(offset))
            initialized = max(0, got)
        }
        guard got >= 0 else { throw CommandFailure(status: .failure, message: "reading the input failed") }
        return piece
    }
}
