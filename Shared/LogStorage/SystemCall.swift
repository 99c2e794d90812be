// The few system calls that durability is made of, with their errors as values.

import Glibc

enum SystemCall {
    static func message(of code: Int32) -> String {
        guard let text = strerror(code) else { return "error \(code)" }
        return String(cString: text)
    }

    /// The typed error of the call that has just failed.
    static func failure(_ call: String, _ path: String, code: Int32 = errno, bytes: Int = 0) -> StorageError {
        code == ENOSPC || code == EDQUOT
            ? .noSpace(path: path, bytes: bytes) : .system(call: call, path: path, code: code)
    }

    /// Repeats a call that a signal interrupted.
    static func retrying(_ call: () -> Int32) -> Int32 {
        while true {
            let answer = call()
            if answer != -1 || errno != EINTR { return answer }
        }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static let noEntry = ENOENT

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The bytes that a process without privileges could still write on the disk under `path`.
    static func freeBytes(at path: String) throws(StorageError) -> Int {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw failure("statvfs", path) }
        let (bytes, overflow) = Int(clamping: status.f_bavail).multipliedReportingOverflow(by: Int(clamping: status.f_frsize))
        return overflow ? .max : bytes
    }

    static func makeFolder(_ path: String) throws(StorageError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("mkdir", path) }
    }

    static func remove(_ path: String) throws(StorageError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("unlink", path) }
    }

    /// Removes a folder and all that is in it; a link in it goes, and what it leads to stays.
    static func removeTree(_ path: String) throws(StorageError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw failure("stat", path) }
        guard status.st_mode & S_IFMT == S_IFDIR else { return try remove(path) }
        for name in try names(in: path) { try removeTree(path + "/" + name) }
        guard rmdir(path) == 0 else { throw failure("rmdir", path) }
    }

    static func rename(_ from: String, to: String) throws(StorageError) {
        guard Glibc.rename(from, to) == 0 else { throw failure("rename", to) }
    }

    /// The names in a folder, sorted.
    static func names(in folder: String) throws(StorageError) -> [String] {
        guard let directory = opendir(folder) else { throw failure("opendir", folder) }
        defer { closedir(directory) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw failure("readdir", folder) }
        return names.sorted()
    }
}
