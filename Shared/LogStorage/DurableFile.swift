// Small files that are replaced as a whole: after a crash at any moment either the old or the new content is there, never a mix.

import Glibc

package enum DurableFile {
    /// Writes beside, syncs, renames over, syncs the folder.
    ///
    /// - Throws: `.noSpace`, `.system` or `.syncFailed`; the old content is still there (unless the folder's own sync failed, after
    ///   which either may be).
    package static func replace(
        _ path: String, with bytes: [UInt8], flush: Flush = .standard
    ) throws(StorageError) {
        let beside = path + ".tmp"
        do {
            let file = try File(beside, .create)
            try file.write(bytes, at: 0)
            try file.synchronizeData(flush)
        } catch {
            try? SystemCall.remove(beside)
            throw error
        }
        try SystemCall.rename(beside, to: path)
        try synchronizeFolder(of: path)
    }

    /// The whole content, or nil when there is no such file.
    package static func read(_ path: String) throws(StorageError) -> [UInt8]? {
        guard SystemCall.exists(path) else { return nil }
        let file = try File(path, .read)
        return try file.read(0..<file.size())
    }

    /// Removes a file durably; a missing one is no error.
    package static func remove(_ path: String) throws(StorageError) {
        try SystemCall.remove(path)
        try synchronizeFolder(of: path)
    }

    /// Makes the names in a folder durable: creations, renames and removals.
    package static func synchronizeFolder(_ folder: String) throws(StorageError) {
        let descriptor = SystemCall.retrying { open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw SystemCall.failure("open", folder) }
        defer { close(descriptor) }
        guard SystemCall.retrying({ fsync(descriptor) }) == 0 else { throw .syncFailed(path: folder, code: errno) }
    }

    static func synchronizeFolder(of path: String) throws(StorageError) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        try synchronizeFolder(folder.isEmpty ? "/" : folder)
    }
}
