import KeyEncoding
import Model

/// A read connection to one storage, opened at its first use.
actor StorageReader {
    nonisolated let executor: QueueExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let file: StorageFile
    private let schema: StorageSchema
    private var opened: Database?
    /// Nothing is opened any more: the file may be gone, or another one by now.
    private var isClosed = false

    /// - Parameter database: a connection that is open already.
    init(_ file: StorageFile, _ schema: StorageSchema, label: String, over database: sending Database? = nil) {
        self.file = file
        self.schema = schema
        opened = database
        executor = QueueExecutor(label: "storage-\(file.storage).\(label)")
    }

    func close() {
        opened = nil
        isClosed = true
    }

    /// Returns when all that was asked of it before is done.
    func wait() {}

    /// Closes the connection; the next use opens one to what is there then.
    func reset() { opened = nil }

    func get(_ key: Key) throws(EngineError) -> [Value]? {
        try RowReader(connection(), schema).get(key)
    }

    func scan(_ range: KeyRange, rowLimit: Int, byteLimit: Int) throws(EngineError) -> RowPage {
        let rows = RowReader(try connection(), schema)
        return try rows.page(range, rowLimit: rowLimit, byteLimit: byteLimit)
    }

    /// The position first: what is found then may be newer, never older. And the write before what is forgotten, or one that is forgotten
    /// between the two would be neither.
    func recall(_ key: IdempotencyKey, of partition: PartitionID) throws(EngineError) -> Recollection {
        let database = try connection()
        guard let state = try PartitionTable(database: database).state(of: partition) else {
            throw .unknownPartition(partition, file.storage)
        }
        let table = WriteTable(database: database)
        let write = try table.write(under: key)
        return Recollection(applied: state.applied, forgotten: try table.forgotten(), write: write)
    }

    func statistics(of range: KeyRange) throws(EngineError) -> RangeStatistics {
        let select = try connection().prepare(schema.statistics(bounded: range.high != nil))
        defer { select.reset() }
        try select.bind(range)
        guard try select.step() else { return RangeStatistics(rows: 0, bytes: 0) }
        return RangeStatistics(rows: select.unsigned(0), bytes: select.unsigned(1))
    }

    /// Two passes over the rows' sizes, row by row: in a large range whoever asked may have gone before the end of them.
    func middleKey(of range: KeyRange) throws(EngineError) -> Key? {
        var (rows, bytes) = (0, UInt64(0))
        try eachSize(of: range) { _, size in
            (rows, bytes) = (rows + 1, bytes + size)
            return true
        }
        guard rows > 1 else { return nil }
        var (passed, middle) = (UInt64(0), Key?.none)
        try eachSize(of: range) { key, size in
            // Never the first row's key: the lower half would be empty.
            if passed > 0 { middle = key() }
            if passed >= bytes / 2, middle != nil { return false }
            passed += max(1, size)
            return true
        }
        return middle
    }

    /// Hands over each row's key and size in key order, as long as `body` wants more.
    private func eachSize(of range: KeyRange, _ body: (() -> Key, UInt64) -> Bool) throws(EngineError) {
        let select = try connection().prepare(schema.sizes(bounded: range.high != nil))
        defer { select.reset() }
        try select.bind(range)
        var rows = 0
        while try select.step() {
            if rows % 1_024 == 0, Task.isCancelled { throw .busy(file.storage, detail: "given up") }
            rows += 1
            guard body({ Key(select.bytes(0)) }, select.unsigned(1)) else { return }
        }
    }

    func inspect(from page: UInt64, limit: Int, with inspector: FileInspector) throws(EngineError) -> Inspection {
        try inspector.inspect(from: page, limit: limit)
    }

    /// Reads all that is stored of a range.
    func readThrough(_ range: KeyRange) throws(EngineError) {
        _ = try checksum(of: range)
        var key: IdempotencyKey?
        repeat { key = try writes(of: range, after: key, byteLimit: 1 << 20).writes.last?.key } while key != nil
    }

    /// Reads our own records.
    func readRecords() throws(EngineError) {
        let database = try connection()
        _ = try StorageSchema(in: database)
        _ = try PartitionTable(database: database).all()
    }

    // MARK: A snapshot: one read transaction on a connection that nobody else uses

    /// Starts the transaction and fixes what it will see.
    func beginSnapshot(of partition: PartitionID) throws(EngineError) -> PartitionState {
        do throws(EngineError) { return try Self.begin(on: connection(), of: partition) } catch {
            opened = nil
            throw error
        }
    }

    /// A snapshot that has begun when this returns, on the caller's thread.
    static func snapshot(
        of partition: PartitionID, in file: StorageFile, _ schema: StorageSchema
    ) throws(EngineError) -> (StorageReader, PartitionState) {
        let database = try connect(to: file)
        let state = try begin(on: database, of: partition)
        return (StorageReader(file, schema, label: "snapshot", over: database), state)
    }

    /// What a snapshot sees that began when all of the log was in the file, as that file. It stays as it is until the snapshot ends:
    /// SQLite brings nothing from the log over what somebody reads in the file.
    /// - Throws: `imageGivenUp` where other rows lie in it too.
    func image(of state: PartitionState) throws(EngineError) -> PageImage {
        let database = try connection()
        guard try schema.holdsOnly(state.range, in: database) else {
            throw .imageGivenUp(file.storage, detail: "rows of other ranges are in its file")
        }
        return PageImage(number: .random(in: 1...UInt64.max), pages: try database.pageCount())
    }

    /// - Parameter logLimit: how large the write-ahead log may be: nothing of it goes into the file meanwhile.
    func pages(of image: PageImage, from first: UInt64, limit: Int, logLimit: UInt64) throws(EngineError) -> [UInt8] {
        guard first > 0, first <= image.pages else { return [] }
        guard try file.logBytes() <= logLimit else {
            throw .imageGivenUp(file.storage, detail: "its log has grown past \(logLimit) bytes meanwhile")
        }
        return try connection().pages(from: first, count: min(limit, Int(clamping: image.pages - first + 1)))
    }

    private static func begin(on database: Database, of partition: PartitionID) throws(EngineError) -> PartitionState {
        try database.execute("BEGIN")
        guard let state = try PartitionTable(database: database).state(of: partition) else {
            throw .unknownPartition(partition, database.storage)
        }
        return state
    }

    func rows(of range: KeyRange, after key: Key?, byteLimit: Int) throws(EngineError) -> [Row] {
        guard let rest = key.map({ KeyRange(checkingLow: max($0.next, range.low), high: range.high) }) ?? range else {
            return []
        }
        return try RowReader(connection(), schema).page(rest, rowLimit: .max, byteLimit: byteLimit).rows
    }

    func writes(of range: KeyRange, after key: IdempotencyKey?, byteLimit: Int) throws(EngineError) -> WriteRecord {
        let table = WriteTable(database: try connection())
        return WriteRecord(try table.page(of: range, after: key, byteLimit: byteLimit), forgotten: try table.forgotten())
    }

    func checksum(of range: KeyRange) throws(EngineError) -> RangeChecksum {
        try RowReader(connection(), schema).checksum(range)
    }

    private func connection() throws(EngineError) -> Database {
        if let opened { return opened }
        if isClosed { throw .unknownStorage(file.storage) }
        let database = try Self.connect(to: file)
        opened = database
        return database
    }

    private static func connect(to file: StorageFile) throws(EngineError) -> Database {
        let database = try Database(file, .read)
        try database.execute("PRAGMA cache_size = -8192")
        return database
    }
}

/// A snapshot and the connection that holds it.
struct SQLiteSnapshot: StorageSnapshot {
    let state: PartitionState
    let reader: StorageReader
    var image: PageImage?
    /// How large the file's log may become while pages are read.
    var logLimit: UInt64 = 0

    func pages(from first: UInt64, limit: Int) async throws(EngineError) -> [UInt8] {
        guard let image else { return [] }
        return try await reader.pages(of: image, from: first, limit: limit, logLimit: logLimit)
    }

    func rows(after key: Key?, byteLimit: Int) async throws(EngineError) -> [Row] {
        try await reader.rows(of: state.range, after: key, byteLimit: byteLimit)
    }

    func writes(after key: IdempotencyKey?, byteLimit: Int) async throws(EngineError) -> WriteRecord {
        try await reader.writes(of: state.range, after: key, byteLimit: byteLimit)
    }

    func checksum() async throws(EngineError) -> RangeChecksum { try await reader.checksum(of: state.range) }

    func close() async { await reader.close() }
}

/// Reads rows through one connection.
struct RowReader {
    let database: Database
    let schema: StorageSchema

    init(_ database: Database, _ schema: StorageSchema) {
        self.database = database
        self.schema = schema
    }

    func get(_ key: Key) throws(EngineError) -> [Value]? {
        let select = try database.prepare(schema.get)
        defer { select.reset() }
        try select.bind(key, at: 1)
        return try select.step() ? try values(of: select, from: 0) : nil
    }

    func page(_ range: KeyRange, rowLimit: Int, byteLimit: Int) throws(EngineError) -> RowPage {
        let select = try database.prepare(schema.scan(bounded: range.high != nil))
        defer { select.reset() }
        try select.bind(range)
        var rows: [Row] = []
        var bytes = 0
        while try select.step() {
            let key = Key(select.bytes(0))
            if rows.count >= rowLimit || (bytes >= byteLimit && !rows.isEmpty) { return RowPage(rows: rows, next: key) }
            let row = Row(key: key, values: try values(of: select, from: 1))
            // With what a value costs around itself, so that a page of many small ones is bounded as it is encoded.
            bytes += row.byteCount + 8 * (row.values.count + 1)
            rows.append(row)
        }
        return RowPage(rows: rows, next: nil)
    }

    func checksum(_ range: KeyRange) throws(EngineError) -> RangeChecksum {
        let select = try database.prepare(schema.scan(bounded: range.high != nil))
        defer { select.reset() }
        try select.bind(range)
        var hash = RangeHash()
        while try select.step() {
            if hash.checksum.rows % 1_024 == 0, Task.isCancelled { throw .busy(database.storage, detail: "given up") }
            hash.add(Row(key: Key(select.bytes(0)), values: try values(of: select, from: 1)))
        }
        return hash.checksum
    }

    private func values(of row: Statement, from first: Int32) throws(EngineError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(schema.shape.columns.count)
        for (offset, column) in schema.shape.columns.enumerated() {
            values.append(try row.value(first + Int32(offset), as: column.type))
        }
        return values
    }
}

extension Statement {
    /// Binds the bounds of a range as the first and second parameter.
    func bind(_ range: KeyRange) throws(EngineError) {
        try bind(range.low, at: 1)
        if let high = range.high { try bind(high, at: 2) }
    }
}
