import Model

/// The record of applied writes in one storage's file (rule R8). Keys begin with their time, so they come in at the table's end and
/// leave at its start.
struct WriteTable {
    /// Forgotten keys that one entry takes away; more than it brings.
    private static let sweep: Int64 = 8
    /// With a key that is forgotten all count as forgotten that were made so soon after it, or not every write would change the record.
    private static let step = Span.seconds(1)

    static let declaration = """
        CREATE TABLE _coxswain_writes (
          key BLOB PRIMARY KEY NOT NULL, row BLOB NOT NULL, checksum INTEGER NOT NULL, epoch INTEGER NOT NULL,
          run INTEGER NOT NULL, sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID
        """

    let database: Database

    func forgotten() throws(EngineError) -> ForgottenKeys {
        let select = try database.prepare(
            "SELECT name, value FROM _coxswain_storage WHERE name IN ('writes_forgotten', 'writes_forgotten_spans')")
        defer { select.reset() }
        var (end, spans) = (WallTime(milliseconds: 0), ForgottenKeys())
        while try select.step() {
            if select.text(0) == "writes_forgotten" {
                end = WallTime(milliseconds: select.integer(1))
            } else {
                spans = try Self.spans(select.text(1), in: database.storage)
            }
        }
        // An older version wrote the file last, and knows of no spans.
        return spans.end == end ? spans : ForgottenKeys(before: end)
    }

    /// The end for older versions, which take it for all that was made before.
    private func keep(_ forgotten: ForgottenKeys) throws(EngineError) {
        let text = forgotten.spans.map { "\($0.lowerBound.milliseconds)-\($0.upperBound.milliseconds)" }.joined(separator: " ")
        let replace = try database.prepare("REPLACE INTO _coxswain_storage VALUES (?, ?)")
        try replace.bind(Value.text("writes_forgotten"), at: 1)
        try replace.bind(forgotten.end.milliseconds, at: 2)
        try replace.run()
        try replace.bind(Value.text("writes_forgotten_spans"), at: 1)
        try replace.bind(Value.text(text), at: 2)
        try replace.run()
    }

    private static func spans(_ text: String, in storage: StorageID) throws(EngineError) -> ForgottenKeys {
        var spans: [Range<WallTime>] = []
        for span in text.split(separator: " ") {
            let ends = span.split(separator: "-").compactMap { Int64($0) }
            guard ends.count == 2, ends[0] < ends[1] else {
                throw .damaged(storage, detail: "the record of forgotten writes makes no sense")
            }
            spans.append(WallTime(milliseconds: ends[0])..<WallTime(milliseconds: ends[1]))
        }
        return ForgottenKeys(spans)
    }

    func write(under key: IdempotencyKey) throws(EngineError) -> AppliedWrite? {
        let select = try database.prepare(
            "SELECT key, row, checksum, epoch, run, sequence FROM _coxswain_writes WHERE key = ?")
        defer { select.reset() }
        try select.bind(key.bytes, at: 1)
        return try select.step() ? try write(of: select) : nil
    }

    /// Those of one range of rows, in the order of their keys.
    func page(of range: KeyRange, after key: IdempotencyKey?, byteLimit: Int) throws(EngineError) -> [AppliedWrite] {
        let select = try database.prepare(
            """
            SELECT key, row, checksum, epoch, run, sequence FROM _coxswain_writes
            WHERE key > ?1 AND row >= ?2 AND (?3 IS NULL OR row < ?3) ORDER BY key
            """)
        defer { select.reset() }
        try select.bind(key?.bytes ?? [], at: 1)
        try select.bind(range.low, at: 2)
        if let high = range.high { try select.bind(high, at: 3) }
        var (writes, bytes) = ([AppliedWrite](), 0)
        while bytes < byteLimit, try select.step() {
            let write = try write(of: select)
            bytes += write.byteCount
            writes.append(write)
        }
        return writes
    }

    /// Remembers writes, and forgets some of those that are older than the record's horizon, and that they were. Runs inside the
    /// transaction that changes their rows.
    func add(_ record: WriteRecord) throws(EngineError) {
        for write in record.writes {
            let replace = try database.prepare("REPLACE INTO _coxswain_writes VALUES (?, ?, ?, ?, ?, ?)")
            try replace.bind(write.key.bytes, at: 1)
            try replace.bind(write.row, at: 2)
            try replace.bind(Int64(write.checksum), at: 3)
            try replace.bind(write.position.epoch.number, at: 4)
            try replace.bind(write.position.run, at: 5)
            try replace.bind(write.position.sequence, at: 6)
            try replace.run()
        }
        let old = try keys(before: record.horizon)
        guard !old.isEmpty || !record.forgotten.spans.isEmpty else { return }
        if let last = old.last {
            let delete = try database.prepare("DELETE FROM _coxswain_writes WHERE key <= ?")
            try delete.bind(last.bytes, at: 1)
            try delete.run()
        }
        let known = try forgotten()
        var all = known
        record.forgotten.spans.forEach { all.insert($0) }
        for key in old where !all.contains(key.madeAt) {
            all.insert(key.madeAt..<min(key.madeAt + Self.step, record.horizon))
        }
        if all != known { try keep(all) }
    }

    /// The oldest.
    private func keys(before horizon: WallTime) throws(EngineError) -> [IdempotencyKey] {
        let select = try database.prepare("SELECT key FROM _coxswain_writes WHERE key < ?1 ORDER BY key LIMIT ?2")
        defer { select.reset() }
        try select.bind(IdempotencyKey.prefix(madeAt: horizon), at: 1)
        try select.bind(Self.sweep, at: 2)
        var keys: [IdempotencyKey] = []
        while try select.step() {
            guard let key = IdempotencyKey(bytes: select.bytes(0)) else {
                throw .damaged(database.storage, detail: "the key of an applied write makes no sense")
            }
            keys.append(key)
        }
        return keys
    }

    /// Forgets those of one range of rows among the next so many, or fewer that are as much work, behind `start` in the order
    /// of their keys. Those of others lie between them, and are passed.
    /// - Returns: the last that it came to; nil: there are no more.
    func remove(
        _ range: KeyRange, after start: [UInt8], limit: Int, byteLimit: Int
    ) throws(EngineError) -> [UInt8]? {
        guard let last = try lastKey(ofNext: limit, byteLimit: byteLimit, after: start) else { return nil }
        let delete = try database.prepare(
            "DELETE FROM _coxswain_writes WHERE key > ?1 AND key <= ?2 AND row >= ?3 AND (?4 IS NULL OR row < ?4)")
        try delete.bind(start, at: 1)
        try delete.bind(last, at: 2)
        try delete.bind(range.low, at: 3)
        if let high = range.high { try delete.bind(high, at: 4) }
        try delete.run()
        return last
    }

    private func lastKey(ofNext limit: Int, byteLimit: Int, after start: [UInt8]) throws(EngineError) -> [UInt8]? {
        let select = try database.prepare("SELECT key, length(row) FROM _coxswain_writes WHERE key > ?1 ORDER BY key LIMIT ?2")
        defer { select.reset() }
        try select.bind(start, at: 1)
        try select.bind(Int64(max(limit, 1)), at: 2)
        var (last, bytes) = ([UInt8]?.none, 0)
        while bytes < byteLimit, try select.step() {
            last = select.bytes(0)
            bytes += Int(clamping: select.integer(1)) + 64
        }
        return last
    }

    func removeAll(outside range: KeyRange) throws(EngineError) {
        let delete = try database.prepare("DELETE FROM _coxswain_writes WHERE row < ?1 OR ?2 IS NOT NULL AND row >= ?2")
        try delete.bind(range)
        try delete.run()
    }

    private func write(of row: Statement) throws(EngineError) -> AppliedWrite {
        guard let key = IdempotencyKey(bytes: row.bytes(0)), let checksum = UInt32(exactly: row.integer(2)) else {
            throw .damaged(database.storage, detail: "the record of an applied write makes no sense")
        }
        return AppliedWrite(
            key: key, row: Key(row.bytes(1)), checksum: checksum,
            position: Position(epoch: Epoch(row.unsigned(3)), run: row.unsigned(4), sequence: row.unsigned(5)))
    }
}
