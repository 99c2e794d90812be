// Files that hold keys: readable by their owner only, and whole or absent after a crash.

package import Glibc

package enum SecretFile {
    /// Writes `bytes` under a temporary name, syncs, renames, and syncs the folder.
    /// - Parameter mode: `0o600` for keys and secrets, `0o644` for what may be read by all.
    package static func write(_ bytes: some Collection<UInt8>, to path: String, mode: mode_t = 0o600) throws(IdentityError) {
        let temporary = "\(path).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw failure(temporary) }
        do throws(IdentityError) {
            // A file left over from a crash keeps its old mode unless it is set again.
            guard fchmod(descriptor, mode) == 0 else { throw failure(temporary) }
            try writeAll(Array(bytes), to: descriptor, path: temporary)
            guard fsync(descriptor) == 0 else { throw failure(temporary) }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else { throw failure(path) }
        let end = path.lastIndex(of: "/")
        let folder = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw failure(folder) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure(folder) }
    }

    /// The whole of a file of at most 1 MiB.
    package static func read(_ path: String) throws(IdentityError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &block, block.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw failure(path)
            }
            if count == 0 { return bytes }
            bytes += block[0..<count]
            guard bytes.count <= 1 << 20 else { throw .file(path: path, reason: "larger than 1 MiB") }
        }
    }

    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws(IdentityError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure(path)
            }
            written += count
        }
    }

    private static func failure(_ path: String) -> IdentityError {
        .file(path: path, reason: String(cString: strerror(errno)))
    }
}
