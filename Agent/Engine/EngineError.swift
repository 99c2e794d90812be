import LogStorage
package import Model

/// Why the engine did not do what it was asked. Unless the case says otherwise, nothing was changed.
package enum EngineError: SpaceError, Hashable, Sendable, CustomStringConvertible {
    /// This node has no such storage.
    case unknownStorage(StorageID)
    /// A storage of that number holds another table.
    case storageInUse(StorageID, by: TableID)
    /// The storage does not hold that partition.
    case unknownPartition(PartitionID, StorageID)
    /// An entry does not follow the last applied one.
    case gap(PartitionID, applied: Position, next: Position)
    /// An entry stands at an applied sequence, but is another one: the replica went its own way.
    case diverged(PartitionID, applied: Position, entry: Position)
    /// The partition stands elsewhere than the caller supposes.
    case notAt(PartitionID, applied: Position, expected: Position)
    /// A row or key lies outside the partition's range.
    case outOfRange(Key, KeyRange)
    /// A row is not one of this table.
    case invalidRow(RowError)
    /// Rows of a partition that the storage still holds would go.
    case rangeInUse(KeyRange, by: PartitionID)
    /// No copy is coming into that storage.
    case noImport(StorageID)
    /// What came for a storage page by page is not what was read at its source, or not for that storage.
    case strangePages(StorageID, detail: String)
    /// A storage's pages cannot be copied, or not any more: its file holds more than the one partition, is of a size that nobody asked for,
    /// somebody always reads what is not in it yet, or its log grows too long meanwhile.
    case imageGivenUp(StorageID, detail: String)
    /// A chunk of an import comes out of turn; ask for the cursor.
    case notNextChunk(expected: UInt64, found: UInt64)
    /// The file does not hold what was written to it. Its replicas must be rebuilt from others (rule F6).
    case damaged(StorageID, detail: String)
    /// The disk does not give back what is in the file (`EIO`): it may pass, and by then nothing was lost.
    case unreadable(StorageID, detail: String)
    /// The disk is full.
    case diskFull(StorageID)
    /// The disk failed while something was being made durable: whether it is, nobody knows, and asking again would tell nothing. The
    /// process ends (rule C3).
    case syncFailed(StorageID, detail: String)
    /// Another process holds the file, or the machine lacks memory: it may pass.
    case busy(StorageID, detail: String)
    /// The disk or the file system failed, or this process may not do what it must.
    case inputOutput(StorageID, detail: String)
    /// SQLite refused for another reason.
    case failed(StorageID, detail: String)

    package var isForLackOfSpace: Bool {
        if case .diskFull = self { true } else { false }
    }

    package var description: String {
        switch self {
        case .unknownStorage(let storage): "storage \(storage) is not on this node"
        case .storageInUse(let storage, let table): "storage \(storage) already holds table \(table)"
        case .unknownPartition(let partition, let storage): "storage \(storage) does not hold partition \(partition)"
        case .gap(let partition, let applied, let next): "partition \(partition) stands at \(applied); \(next) does not follow"
        case .diverged(let partition, let applied, let entry):
            "partition \(partition) applied \(applied) where \(entry) is committed"
        case .notAt(let partition, let applied, let expected):
            "partition \(partition) stands at \(applied), not at \(expected)"
        case .outOfRange(let key, let range): "key \(key) is outside \(range)"
        case .invalidRow(let error): "\(error)"
        case .rangeInUse(let range, let partition): "\(range) overlaps partition \(partition)"
        case .noImport(let storage): "no copy is coming into storage \(storage)"
        case .strangePages(let storage, let detail): "the pages that came for storage \(storage) are not taken: \(detail)"
        case .imageGivenUp(let storage, let detail): "the pages of storage \(storage) cannot be copied: \(detail)"
        case .notNextChunk(let expected, let found): "chunk \(found) came where \(expected) was due"
        case .damaged(let storage, let detail): "storage \(storage) (\(StorageFile.name(of: storage))) is damaged: \(detail)"
        case .unreadable(let storage, let detail):
            "storage \(storage) (\(StorageFile.name(of: storage))) cannot be read: \(detail)"
        case .diskFull(let storage): "no room left on the disk of storage \(storage)"
        case .syncFailed(let storage, let detail): "storage \(storage) could not be made durable: \(detail)"
        case .busy(let storage, let detail): "storage \(storage) is busy: \(detail)"
        case .inputOutput(let storage, let detail): "storage \(storage): input/output error: \(detail)"
        case .failed(let storage, let detail): "storage \(storage): \(detail)"
        }
    }
}

extension EngineError {
    /// What an error asks of whoever wanted something done (rule F6).
    package enum Remedy: Hashable, Sendable {
        /// Nothing is wrong but that there is no room: it may be tried again for as long as it takes.
        case room
        /// It may pass, and may be tried again for a while.
        case patience
        /// Trying again changes nothing: what is there is damaged, or stands elsewhere than the caller believes.
        case rebuild
    }

    package var remedy: Remedy {
        switch self {
        case .diskFull: .room
        case .busy, .inputOutput, .unreadable: .patience
        default: .rebuild
        }
    }

    /// Whether the storage does not hold what was written to it.
    package var isDamage: Bool {
        if case .damaged = self { true } else { false }
    }

    /// Whether a start can go on beside a storage that this was said of: it is lost for now, and it alone. What else keeps one from being
    /// opened (no room, no descriptors, no permission, another version) is not its file's, and may strike all of them.
    package var losesStorage: Bool {
        switch self {
        case .damaged, .unreadable: true
        default: false
        }
    }
}
