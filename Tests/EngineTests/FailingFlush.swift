import CSQLite
import Foundation
import LogStorage
import Synchronization

/// SQLite's own file layer, with flushes that fail on demand: below a folder, from now on or until they are mended. And it says that
/// parts of pages may be read past SQLite's memory, as that of newer versions does.
enum FailingFlush {
    static let readsParts: Int32 = 0x8000

    private struct OpenFile {
        let path: String
        let methods: sqlite3_io_methods
    }

    /// A flush of a write-ahead log: how long it was, and how many of its frames the index beside it said may be in the database.
    struct LogFlush: Hashable {
        let path: String
        let bytes: Int
        let noted: UInt32
    }

    private static let logFlushes = Mutex<[LogFlush]>([])
    private static let folders = Mutex<Set<String>>([])
    private static let files = Mutex<[UInt: OpenFile]>([:])
    nonisolated(unsafe) private static let original = sqlite3_vfs_find(nil)
    /// Once for the process, before the first file is opened that is to fail.
    private static let isInstalled: Bool = {
        guard let original else { return false }
        let layer = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        layer.initialize(to: original.pointee)
        layer.pointee.zName = UnsafePointer(strdup("failing-flush"))
        layer.pointee.xFullPathname = { _, name, size, out in FailingFlush.fullPath(name, size, out) }
        layer.pointee.xOpen = { _, name, file, flags, outFlags in FailingFlush.open(name, file, flags, outFlags) }
        return sqlite3_vfs_register(layer, 1) == SQLITE_OK
    }()

    static func install() -> Bool { isInstalled }
    static func begin(in folder: String) { folders.withLock { _ = $0.insert(folder) } }
    static func end(in folder: String) { folders.withLock { _ = $0.remove(folder) } }

    static func logFlushes(in folder: String) -> [LogFlush] { logFlushes.withLock { $0.filter { $0.path.hasPrefix(folder) } } }

    private static func note(_ path: String) {
        guard let index = FileManager.default.contents(atPath: path.dropLast(3) + "shm"), index.count >= 132,
            let bytes = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        else { return }
        let noted = index[128..<132].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        logFlushes.withLock { $0.append(LogFlush(path: path, bytes: bytes, noted: noted)) }
    }

    /// The root of another process's mounts is a link to be followed by the kernel, not to be read.
    private static func fullPath(
        _ name: UnsafePointer<CChar>?, _ size: Int32, _ out: UnsafeMutablePointer<CChar>?
    ) -> Int32 {
        guard let original, let name, let out else { return SQLITE_CANTOPEN }
        guard String(cString: name).hasPrefix("/proc/"), strlen(name) < Int(size) else {
            return original.pointee.xFullPathname?(original, name, size, out) ?? SQLITE_CANTOPEN
        }
        strcpy(out, name)
        return SQLITE_OK
    }

    private static func open(
        _ name: UnsafePointer<CChar>?, _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
        _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        guard let original, let file, let code = original.pointee.xOpen?(original, name, file, flags, outFlags) else {
            return SQLITE_CANTOPEN
        }
        guard code == SQLITE_OK, let name, let methods = file.pointee.pMethods else { return code }
        files.withLock { $0[UInt(bitPattern: file)] = OpenFile(path: String(cString: name), methods: methods.pointee) }
        let failing = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        failing.initialize(to: methods.pointee)
        failing.pointee.xSync = { file, flags in FailingFlush.sync(file, flags) }
        failing.pointee.xDeviceCharacteristics = { file in
            let open = FailingFlush.files.withLock { $0[UInt(bitPattern: file)] }
            return (open?.methods.xDeviceCharacteristics?(file) ?? 0) | FailingFlush.readsParts
        }
        // A few bytes for each file that the tests open; the process is short.
        file.pointee.pMethods = UnsafePointer(failing)
        return code
    }

    private static func sync(_ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32) -> Int32 {
        guard let open = files.withLock({ $0[UInt(bitPattern: file)] }) else { return SQLITE_IOERR }
        if folders.withLock({ $0.contains { open.path.hasPrefix($0) } }) {
            errno = EIO
            return SQLITE_IOERR | 4 << 8
        }
        if open.path.hasSuffix("-wal") { note(open.path) }
        return open.methods.xSync?(file, flags) ?? SQLITE_IOERR
    }
}

/// Keeps what a disk-failure response was told, in place of ending the process.
final class DiskFailures: Sendable {
    private let all = Mutex<[StorageError]>([])
    var seen: [StorageError] { all.withLock { $0 } }
    var response: DiskFailureResponse { DiskFailureResponse { error in self.all.withLock { $0.append(error) } } }
}
