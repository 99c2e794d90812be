import Model

/// The one writer of a storage.
actor StorageWriter {
    nonisolated let executor: QueueExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Rows that one step of a removal takes away hold so much, but for the last of them: entries of others wait for it.
    private static let bytesOfStep: UInt64 = 4 << 20

    private let file: StorageFile
    private var opened: Database?
    private var schema: StorageSchema?
    /// Something was committed since the last `sync`.
    private var isDirty = true
    /// Of partitions that are being removed: up to which key of a write there are none of theirs. Forgotten with each new write
    /// of theirs.
    private var swept: [PartitionID: [UInt8]] = [:]

    init(_ file: StorageFile) {
        self.file = file
        executor = QueueExecutor(label: "storage-\(file.storage).writer")
    }

    func close() { opened = nil }

    // MARK: The file

    /// Makes the file with the given records, all of it on disk when it returns.
    func create(
        _ schema: StorageSchema, holding partition: PartitionState?, importing: ImportState?
    ) throws(EngineError) {
        let database = try Database(file, .create)
        try database.execute("PRAGMA page_size = \(StorageSchema.pageSize)")
        try database.reserveSums()
        try database.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        try database.transaction { () throws(EngineError) in
            try schema.install(in: database)
            if let partition { try PartitionTable(database: database).put(partition) }
            if let importing { try PartitionTable(database: database).put(importing) }
        }
        try database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        try file.syncFolder()
        try settle(database)
        opened = database
        self.schema = schema
    }

    /// Opens an existing file.
    /// - Returns: nil when its making was cut off; it holds nothing then.
    func load() throws(EngineError) -> StorageSchema? {
        if let header = try file.header(), header.isUnsummed {
            throw StorageSchema.unknownFormat(header.format, in: file.storage)
        }
        try file.checkLog()
        let database = try Database(file, .write)
        guard let schema = try StorageSchema(in: database) else { return nil }
        try settle(database)
        opened = database
        self.schema = schema
        return schema
    }

    private func settle(_ database: Database) throws(EngineError) {
        // NORMAL: a commit costs no fsync; after a power loss the file is consistent and a little older.
        try database.execute(
            "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -32768")
    }

    private func connection() throws(EngineError) -> (Database, StorageSchema) {
        guard let opened, let schema else { throw .unknownStorage(file.storage) }
        if let failure = opened.failure { throw failure }
        return (opened, schema)
    }

    func records() throws(EngineError) -> (partitions: [PartitionState], imported: ImportState?) {
        let table = PartitionTable(database: try connection().0)
        return (try table.all(), try table.imported())
    }

    /// Looks at a page while nobody brings one from the log into the file, for only this connection does.
    func inspect(_ page: UInt64, with inspector: FileInspector) throws(EngineError) -> Inspection {
        try inspector.inspect(from: page, limit: 1)
    }

    // MARK: Entries

    func apply(_ entries: [CommittedEntry], to partition: PartitionID) throws(EngineError) -> PartitionState {
        let (database, schema) = try connection()
        let table = PartitionTable(database: database)
        return try database.transaction { () throws(EngineError) in
            guard var state = try table.state(of: partition) else { throw .unknownPartition(partition, file.storage) }
            let before = state.applied
            for entry in entries {
                guard entry.position.sequence > state.applied.sequence else {
                    guard entry.position.sequence < state.applied.sequence || entry.position == state.applied else {
                        throw .diverged(partition, applied: state.applied, entry: entry.position)
                    }
                    continue
                }
                guard entry.position.sequence == state.applied.sequence + 1 else {
                    throw .gap(partition, applied: state.applied, next: entry.position)
                }
                try RowWriter(database, schema).apply(entry.mutations, within: state.range)
                if let record = entry.record {
                    swept[partition] = nil
                    try WriteTable(database: database).add(record)
                }
                state.applied = entry.position
                state.checksum = entry.checksum
            }
            if state.applied != before {
                try table.move(partition, to: state.applied, checksum: state.checksum)
                isDirty = true
            }
            return state
        }
    }

    func sync() throws(EngineError) -> [PartitionState] {
        let (database, _) = try connection()
        if isDirty {
            // One commit under FULL flushes the write-ahead log, and with it all that was committed before.
            try database.execute("PRAGMA synchronous = FULL")
            let outcome = Result { () throws(EngineError) in
                try database.execute(
                    """
                    INSERT INTO _coxswain_storage VALUES ('syncs', 1)
                    ON CONFLICT DO UPDATE SET value = value + 1
                    """)
            }
            try database.execute("PRAGMA synchronous = NORMAL")
            try outcome.get()
            isDirty = false
        }
        return try PartitionTable(database: database).all()
    }

    func split(_ parent: PartitionID, into children: [PartitionState], at position: Position) throws(EngineError) {
        let (database, _) = try connection()
        let table = PartitionTable(database: database)
        try database.transaction { () throws(EngineError) in
            guard let state = try table.state(of: parent) else {
                for child in children {
                    guard try table.state(of: child.partition) != nil else { throw .unknownPartition(parent, file.storage) }
                }
                return
            }
            // A primary that started again behind its fence may have opened a run since; such entries hold no rows.
            guard state.applied.sequence >= position.sequence else {
                throw .notAt(parent, applied: state.applied, expected: position)
            }
            try table.remove(parent)
            for child in children { try table.put(child) }
        }
        isDirty = true
        _ = try sync()
    }

    func merge(_ parents: [MergedPartition], into merged: PartitionState) throws(EngineError) {
        let (database, _) = try connection()
        let table = PartitionTable(database: database)
        try database.transaction { () throws(EngineError) in
            guard try table.state(of: merged.partition) == nil else { return }
            for parent in parents {
                guard let state = try table.state(of: parent.partition) else {
                    throw .unknownPartition(parent.partition, file.storage)
                }
                // As with a split: entries after it hold no rows.
                guard state.applied.sequence >= parent.end.sequence else {
                    throw .notAt(parent.partition, applied: state.applied, expected: parent.end)
                }
                guard merged.range.contains(state.range) else { throw .outOfRange(state.range.low, merged.range) }
                try table.remove(parent.partition)
            }
            try table.put(merged)
        }
        isDirty = true
        _ = try sync()
    }

    /// Holds one more partition, whose rows are all still to come, durably.
    func hold(_ partition: PartitionState) throws(EngineError) {
        let (database, _) = try connection()
        try database.transaction { () throws(EngineError) in try PartitionTable(database: database).put(partition) }
        isDirty = true
        _ = try sync()
    }

    /// Opens a snapshot on a log that is short, or about to be.
    ///
    /// All in one turn of this thread: a commit between the two would leave the snapshot reading from the log, and while anybody does
    /// SQLite only appends to it. A reader that finds all of it in the database reads there, and the next commit begins the log anew.
    func openSnapshot(of partition: PartitionID) throws(EngineError) -> SQLiteSnapshot {
        let (database, schema) = try connection()
        try database.settleLog()
        let (reader, state) = try StorageReader.snapshot(of: partition, in: file, schema)
        return SQLiteSnapshot(state: state, reader: reader)
    }

    /// Opens a snapshot of a partition that is alone in the file, of which nothing is in the log, so that the file is what it sees.
    /// - Returns: nil: somebody reads what keeps some of the log out of the file, now.
    /// - Throws: `imageGivenUp` where the file holds anything else, or is of another size.
    func openImage(of partition: PartitionID, sizes: ClosedRange<UInt64>) throws(EngineError) -> SQLiteSnapshot? {
        let (partitions, imported) = try records()
        let (database, schema) = try connection()
        guard partitions.allSatisfy({ $0.partition == partition }), imported == nil else {
            throw .imageGivenUp(file.storage, detail: "its file is shared")
        }
        let bytes = PageImage.bytes(of: try database.pageCount())
        guard sizes.contains(bytes) else {
            throw .imageGivenUp(
                file.storage, detail: "\(bytes) bytes, where \(sizes.lowerBound) to \(sizes.upperBound) are asked for")
        }
        guard try database.emptyLog() else { return nil }
        let (reader, state) = try StorageReader.snapshot(of: partition, in: file, schema)
        return SQLiteSnapshot(state: state, reader: reader)
    }

    // MARK: Imports

    /// Begins a copy beside the partitions that share the storage.
    func beginImport(at start: PartitionState) throws(EngineError) -> ImportState {
        let (partitions, begun) = try records()
        if let other = begun?.start ?? partitions.first(where: { $0.range.overlaps(start.range) }) {
            throw .rangeInUse(start.range, by: other.partition)
        }
        let imported = ImportState(start: start, chunks: 0, last: nil)
        let (database, _) = try connection()
        try database.transaction { () throws(EngineError) in try PartitionTable(database: database).put(imported) }
        isDirty = true
        _ = try sync()
        return imported
    }

    func ingest(
        _ rows: [Row], _ record: WriteRecord?, chunk: UInt64, of start: PartitionState
    ) throws(EngineError) -> ImportState {
        let (database, schema) = try connection()
        let table = PartitionTable(database: database)
        guard var imported = try table.imported(), imported.start == start else { throw .noImport(file.storage) }
        // The answer to the chunk before was lost. Another one of that number may end elsewhere.
        if imported.chunks > 0, chunk == imported.chunks - 1, rows.isEmpty || rows.last?.key == imported.last {
            return imported
        }
        guard chunk == imported.chunks else { throw .notNextChunk(expected: imported.chunks, found: chunk) }
        imported.chunks += 1
        imported.last = rows.last?.key ?? imported.last
        let updated = imported
        try database.transaction { () throws(EngineError) in
            try RowWriter(database, schema).apply(
                rows.map { .put(key: $0.key, values: $0.values) }, within: imported.start.range)
            if let record {
                swept[start.partition] = nil
                try WriteTable(database: database).add(record)
            }
            try table.put(updated)
        }
        isDirty = true
        return imported
    }

    func advanceImport(
        by entries: [CommittedEntry], chunk: UInt64, of start: PartitionState
    ) throws(EngineError) -> ImportState {
        let (database, schema) = try connection()
        let table = PartitionTable(database: database)
        guard let imported = try table.imported(), imported.start == start else { throw .noImport(file.storage) }
        guard chunk == imported.chunks else { throw .notNextChunk(expected: imported.chunks, found: chunk) }
        let updated = try database.transaction { () throws(EngineError) in
            let rows = try RowWriter(database, schema)
            var state = start
            for entry in entries {
                guard entry.position.sequence == state.applied.sequence + 1 else {
                    throw .gap(start.partition, applied: state.applied, next: entry.position)
                }
                // What is remembered of writes comes whole behind the rows.
                let stored = entry.mutations.filter { mutation in imported.last.map { mutation.key <= $0 } ?? false }
                try rows.apply(stored, within: start.range)
                state.applied = entry.position
                state.checksum = entry.checksum
            }
            let updated = ImportState(start: state, chunks: chunk + 1, last: imported.last)
            try table.put(updated)
            return updated
        }
        isDirty = true
        return updated
    }

    /// Removes what an unfinished copy has stored, in steps of at most `limit` rows, and begins it anew at `start`.
    /// - Returns: nil: it is to be called again.
    func restartImport(at start: PartitionState, limit: Int) throws(EngineError) -> ImportState? {
        guard try clear(start.partition, limit: limit) else { return nil }
        let (database, _) = try connection()
        let imported = ImportState(start: start, chunks: 0, last: nil)
        try database.transaction { () throws(EngineError) in try PartitionTable(database: database).put(imported) }
        isDirty = true
        _ = try sync()
        return imported
    }

    /// Makes a partition that is whole the beginning of a copy of it, of which all rows are still to be removed: whoever is cut off in the
    /// midst of that shall find no partition that counts (rule M5).
    func giveUp(_ partition: PartitionID) throws(EngineError) {
        let (database, _) = try connection()
        let table = PartitionTable(database: database)
        guard let state = try table.state(of: partition) else { return }
        let start = PartitionState(partition: partition, range: state.range, applied: .zero, checksum: 0)
        try database.transaction { () throws(EngineError) in
            try table.remove(partition)
            try table.put(ImportState(start: start, chunks: 0, last: nil))
        }
        isDirty = true
    }

    /// The cursor goes before the rows: whoever is cut off between would take them for stored.
    private func forgetCursor(of partition: PartitionID) throws(EngineError) {
        let (database, _) = try connection()
        let table = PartitionTable(database: database)
        guard let imported = try table.imported(), imported.start.partition == partition, imported.chunks > 0 else { return }
        try database.transaction { () throws(EngineError) in
            try table.put(ImportState(start: imported.start, chunks: 0, last: nil))
        }
        isDirty = true
    }

    func finishImport(of start: PartitionState) throws(EngineError) {
        let (database, _) = try connection()
        let table = PartitionTable(database: database)
        guard try table.imported()?.start == start else { throw .noImport(file.storage) }
        try database.transaction { () throws(EngineError) in
            try table.remove(start.partition)
            try table.put(start)
        }
        isDirty = true
        _ = try sync()
    }

    /// Puts the pages that came for this storage in the place of its file, in which there is nothing but the beginning of that copy, and
    /// which nobody else has open but `inspector`. A crash leaves the one or the other.
    /// - Throws: `strangePages` when they are not what this storage is to hold.
    func install(_ start: PartitionState, besides inspector: FileInspector) throws(EngineError) {
        try prepareInstallation(of: start)
        // The connection goes, and with the last one the log.
        opened = nil
        let outcome = Result { () throws(EngineError) in
            try inspector.whileClosed { () throws(EngineError) in try file.replace(by: file.arriving) }
        }
        // Whichever of the two is there now.
        let database = try Database(file, .write)
        try settle(database)
        opened = database
        isDirty = true
        try outcome.get()
    }

    private func prepareInstallation(of start: PartitionState) throws(EngineError) {
        let (database, _) = try connection()
        let table = PartitionTable(database: database)
        guard try table.all().isEmpty, let imported = try table.imported(), imported.start == start, imported.chunks == 0 else {
            throw .noImport(file.storage)
        }
        let definitions = try StorageSchema.definitions(in: database)
        do throws(EngineError) { try Self.adopt(file.arriving, as: start, declaring: definitions) } catch {
            // What has come is bad; nothing here is.
            throw error.isDamage ? .strangePages(file.storage, detail: "\(error)") : error
        }
        guard try database.emptyLog() else { throw .busy(file.storage, detail: "somebody reads it while pages take its place") }
    }

    /// Makes sure that a file is what was asked for, and makes it this node's own, durably, with nothing left in its log.
    private static func adopt(
        _ file: StorageFile, as start: PartitionState, declaring definitions: [String]
    ) throws(EngineError) {
        let database = try Database(file, .write)
        guard let schema = try StorageSchema(in: database), try StorageSchema.definitions(in: database) == definitions else {
            throw .strangePages(file.storage, detail: "they are another table's, or another version's")
        }
        let table = PartitionTable(database: database)
        guard try table.all() == [start], try table.imported() == nil, try schema.holdsOnly(start.range, in: database) else {
            throw .strangePages(file.storage, detail: "they do not hold partition \(start.partition) at \(start.applied) alone")
        }
        try database.transaction { () throws(EngineError) in
            try WriteTable(database: database).removeAll(outside: start.range)
            // How often the source's file was flushed is the source's own.
            try database.execute("DELETE FROM _coxswain_storage WHERE name = 'syncs'")
        }
        guard try database.emptyLog() else { throw .busy(file.storage, detail: "somebody reads the pages that came for it") }
    }

    // MARK: Removal

    /// Removes some rows of a partition that is to go; once there are none, some of what is remembered of its writes.
    /// - Returns: whether nothing of either is left.
    func clear(_ partition: PartitionID, limit: Int) throws(EngineError) -> Bool {
        guard let range = try PartitionTable(database: try connection().0).range(of: partition) else { return true }
        try forgetCursor(of: partition)
        guard try delete(range, limit: limit) else { return false }
        return try sweep(partition, range, limit: limit)
    }

    /// Passes the next so many remembered writes of the storage, and forgets those of a partition that is to go. They stand in
    /// the order of their times, not of their rows, and there may be millions.
    /// - Returns: whether all were passed.
    private func sweep(_ partition: PartitionID, _ range: KeyRange, limit: Int) throws(EngineError) -> Bool {
        let (database, _) = try connection()
        let start = swept[partition] ?? []
        let last = try database.transaction { () throws(EngineError) in
            try WriteTable(database: database).remove(range, after: start, limit: limit, byteLimit: Int(Self.bytesOfStep))
        }
        swept[partition] = last
        if last != nil { isDirty = true }
        return last == nil
    }

    /// Forgets a partition or its import, of which nothing else is left.
    /// - Returns: whether the storage holds anything still.
    func forget(_ partition: PartitionID) throws(EngineError) -> Bool {
        let (database, _) = try connection()
        let table = PartitionTable(database: database)
        try database.transaction { () throws(EngineError) in try table.remove(partition) }
        isDirty = true
        _ = try sync()
        let (partitions, imported) = try records()
        return !partitions.isEmpty || imported != nil
    }

    /// Removes some rows that lie in no partition.
    /// - Returns: whether no more are left.
    func trim(_ range: KeyRange, limit: Int) throws(EngineError) -> Bool {
        let (partitions, imported) = try records()
        for state in partitions + (imported.map { [$0.start] } ?? []) where state.range.overlaps(range) {
            throw .rangeInUse(range, by: state.partition)
        }
        return try delete(range, limit: limit)
    }

    /// Removes the first rows of a range: so many, or fewer that are as much work.
    /// - Returns: whether no more are left.
    private func delete(_ range: KeyRange, limit: Int) throws(EngineError) -> Bool {
        let (database, schema) = try connection()
        let end = try end(ofFirst: max(limit, 1), in: range)
        let step = end.map { KeyRange(low: range.low, high: $0) } ?? range
        let delete = try database.prepare(schema.remove(bounded: step.high != nil))
        // In a transaction as entries are, after which a long log is brought into the database.
        try database.transaction { () throws(EngineError) in
            try delete.bind(step)
            try delete.run()
        }
        isDirty = true
        return end == nil
    }

    /// The key of the first row that one step of a removal leaves; nil: it leaves none.
    private func end(ofFirst limit: Int, in range: KeyRange) throws(EngineError) -> Key? {
        let (database, schema) = try connection()
        let select = try database.prepare(schema.sizes(bounded: range.high != nil))
        defer { select.reset() }
        try select.bind(range)
        var (rows, bytes) = (0, UInt64(0))
        while try select.step() {
            guard rows < limit, bytes < Self.bytesOfStep else { return Key(select.bytes(0)) }
            rows += 1
            bytes += select.unsigned(1)
        }
        return nil
    }
}

/// Writes rows through one connection, inside its transaction.
struct RowWriter {
    private let database: Database
    private let schema: StorageSchema
    private let put: Statement
    private let delete: Statement

    init(_ database: Database, _ schema: StorageSchema) throws(EngineError) {
        self.database = database
        self.schema = schema
        put = try database.prepare(schema.put)
        delete = try database.prepare(schema.delete)
    }

    func apply(_ mutations: [Mutation], within range: KeyRange) throws(EngineError) {
        for mutation in mutations {
            guard range.contains(mutation.key) else { throw .outOfRange(mutation.key, range) }
            switch mutation {
            case .delete(let key):
                try delete.bind(key, at: 1)
                try delete.run()
            case .put(let key, let values):
                do { try schema.shape.checkTypes(values) } catch { throw .invalidRow(error) }
                try put.bind(key, at: 1)
                for (index, value) in values.enumerated() { try put.bind(value, at: Int32(index + 2)) }
                try put.run()
            }
        }
    }
}
