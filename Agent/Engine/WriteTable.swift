import Model

/// The record of applied writes in one storage's file (rule R8). Keys begin with their time, so they come in at the table's end and
/// leave at its start.
struct WriteTable {
    /// Forgotten keys that one entry takes away; more than it brings.
    private static let sweep: Int64 = 8

    static let declaration = """
        CREATE TABLE _coxswain_writes (
          key BLOB PRIMARY KEY NOT NULL, row BLOB NOT NULL, checksum INTEGER NOT NULL, epoch INTEGER NOT NULL,
          run INTEGER NOT NULL, sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID
        """

    let database: Database

    /// Keys made before this are forgotten.
    func horizon() throws(EngineError) -> WallTime {
        let select = try database.prepare("SELECT value FROM _coxswain_storage WHERE name = 'writes_forgotten'")
        defer { select.reset() }
        return WallTime(milliseconds: try select.step() ? select.integer(0) : 0)
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

    /// Remembers writes, and forgets those made before the horizon. Runs inside the transaction that changes their rows.
    ///
    /// - Parameter step: by less than this the horizon is not moved, so that not every write changes it. It says what is forgotten
    ///   here, so where others have forgotten it, as in a copy, it is zero.
    func add(_ record: WriteRecord, step: Span) throws(EngineError) {
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
        var horizon = try horizon()
        if record.horizon > horizon, record.horizon >= horizon + step {
            horizon = record.horizon
            let replace = try database.prepare("REPLACE INTO _coxswain_storage VALUES ('writes_forgotten', ?)")
            try replace.bind(horizon.milliseconds, at: 1)
            try replace.run()
        }
        let delete = try database.prepare(
            """
            DELETE FROM _coxswain_writes
            WHERE key IN (SELECT key FROM _coxswain_writes WHERE key < ?1 ORDER BY key LIMIT ?2)
            """)
        try delete.bind(IdempotencyKey.prefix(madeAt: horizon), at: 1)
        try delete.bind(Self.sweep, at: 2)
        try delete.run()
    }

    func remove(_ range: KeyRange) throws(EngineError) {
        let delete = try database.prepare("DELETE FROM _coxswain_writes WHERE row >= ?1 AND (?2 IS NULL OR row < ?2)")
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
