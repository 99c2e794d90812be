package import DurableLog
import Model

/// Why a file, folder or log could not be used. After each of these nothing was half-written, except where a case says otherwise.
package enum StorageError: SpaceError, Hashable, Sendable, CustomStringConvertible {
    /// The disk is full. Nothing of the request was written; it may be repeated once there is space.
    case noSpace(path: String, bytes: Int)
    /// A system call failed. `code` is its `errno`.
    case system(call: String, path: String, code: Int32)
    /// What was written may or may not be on the disk, and asking again would tell nothing: the process must end (rule C3).
    case syncFailed(path: String, code: Int32)
    /// Another process holds the data folder.
    case locked(path: String)
    /// The folder holds data but not the identity under which it was written (rule E4).
    case identityMissing(path: String)
    /// No start may be counted as this one: hardly another could follow it. Nothing is changed; only under another name can the process run
    /// in an empty folder.
    case startsUsedUp(path: String, start: UInt64)
    /// A small file does not match its checksum.
    case unreadable(path: String)
    /// The log cannot be read back whole (rule C2): which file, where in it, and why.
    case damaged(path: String, LogDamage)
    /// Written by another version of this program, whole as far as anybody knows. Nothing may be cut or set aside for it.
    case otherFormat(path: String, found: UInt32, known: UInt32)
    /// The disk failed while something was being made durable: whether it is, is unknown until the log is read back (rule C3).
    case stopped
    /// More waits to be written than may wait. Nothing was taken; try again later.
    case overloaded(pendingBytes: Int)
    /// The records were dropped, or never written.
    case noSuchRecord(RecordNumber)

    /// What a log's recovery found, with the file's path.
    init(_ damage: LogDamage, in path: String) {
        if case .unknownVersion(let version) = damage.cause {
            self = .otherFormat(path: path, found: version, known: SegmentHeader.version)
        } else {
            self = .damaged(path: path, damage)
        }
    }

    package var isForLackOfSpace: Bool {
        if case .noSpace = self { true } else { false }
    }

    package var description: String {
        switch self {
        case .noSpace(let path, let bytes): "no space for \(bytes) bytes at \(path)"
        case .system(let call, let path, let code): "\(call) of \(path): \(SystemCall.message(of: code))"
        case .syncFailed(let path, let code):
            "\(path) could not be made durable: \(SystemCall.message(of: code)); what was being written may be lost"
        case .locked(let path): "\(path) is in use by another process"
        case .identityMissing(let path): "\(path) holds data but no store identity"
        case .startsUsedUp(let path, let start):
            "\(path) cannot count start \(start): starts end at \(Limits.latestStart). Take this node out of the cluster, and let the machine "
                + "join under another name, with an empty data folder"
        case .unreadable(let path): "\(path) does not match its checksum"
        case .damaged(let path, let damage): "\(path), byte \(damage.offset): \(damage.cause) (record \(damage.record))"
        case .otherFormat(let path, let found, let known):
            "\(path) has format \(found) and this program reads format \(known): start the version that wrote it, or begin with "
                + "an empty data folder"
        case .stopped: "the log has stopped after a disk failure"
        case .overloaded(let bytes): "\(bytes) bytes wait to be written already"
        case .noSuchRecord(let number): "record \(number) is not in the log"
        }
    }
}
