import Glibc

/// A file that is read from a place on, piece by piece.
final class InputFile {
    let bytes: Int
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandFailure(status: .notFound, message: "cannot read \(path)") }
        bytes = Int(lseek(descriptor, 0, SEEK_END))
        lseek(descriptor, 0, SEEK_SET)
    }

    deinit { close(descriptor) }

    func read(at offset: Int, upTo count: Int) throws -> [UInt8] {
        var got = 0
        let piece = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            got = pread(descriptor, buffer.baseAddress, count, off_t(offset))
            initialized = max(0, got)
        }
        guard got >= 0 else { throw CommandFailure(status: .failure, message: "reading the input failed") }
        return piece
    }
}
