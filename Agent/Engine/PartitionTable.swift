import Model

/// The records of partitions and of an import in one storage's file.
struct PartitionTable {
    let database: Database

    func all() throws(EngineError) -> [PartitionState] {
        let select = try database.prepare(
            "SELECT partition, low, high, epoch, run, sequence, checksum FROM _coxswain_partitions ORDER BY partition")
        defer { select.reset() }
        var states: [PartitionState] = []
        while try select.step() { states.append(try state(of: select)) }
        return states
    }

    func state(of partition: PartitionID) throws(EngineError) -> PartitionState? {
        let select = try database.prepare(
            "SELECT partition, low, high, epoch, run, sequence, checksum FROM _coxswain_partitions WHERE partition = ?")
        defer { select.reset() }
        try select.bind(partition.number, at: 1)
        return try select.step() ? try state(of: select) : nil
    }

    /// Of a partition that is here, or is coming in.
    func range(of partition: PartitionID) throws(EngineError) -> KeyRange? {
        if let state = try state(of: partition) { return state.range }
        guard let start = try imported()?.start, start.partition == partition else { return nil }
        return start.range
    }

    func put(_ state: PartitionState) throws(EngineError) {
        let replace = try database.prepare("REPLACE INTO _coxswain_partitions VALUES (?, ?, ?, ?, ?, ?, ?)")
        try bind(state, to: replace)
        try replace.run()
    }

    func move(_ partition: PartitionID, to position: Position, checksum: UInt32) throws(EngineError) {
        let update = try database.prepare(
            "UPDATE _coxswain_partitions SET epoch = ?, run = ?, sequence = ?, checksum = ? WHERE partition = ?")
        try update.bind(position.epoch.number, at: 1)
        try update.bind(position.run, at: 2)
        try update.bind(position.sequence, at: 3)
        try update.bind(Int64(checksum), at: 4)
        try update.bind(partition.number, at: 5)
        try update.run()
    }

    func remove(_ partition: PartitionID) throws(EngineError) {
        for table in ["_coxswain_partitions", "_coxswain_import"] {
            let delete = try database.prepare("DELETE FROM \(table) WHERE partition = ?")
            try delete.bind(partition.number, at: 1)
            try delete.run()
        }
    }

    func imported() throws(EngineError) -> ImportState? {
        let select = try database.prepare(
            "SELECT partition, low, high, epoch, run, sequence, checksum, chunks, last FROM _coxswain_import")
        defer { select.reset() }
        guard try select.step() else { return nil }
        return ImportState(
            start: try state(of: select), chunks: select.unsigned(7), last: select.isNull(8) ? nil : Key(select.bytes(8)))
    }

    func put(_ imported: ImportState) throws(EngineError) {
        let replace = try database.prepare("REPLACE INTO _coxswain_import VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        try bind(imported.start, to: replace)
        try replace.bind(imported.chunks, at: 8)
        if let last = imported.last { try replace.bind(last, at: 9) }
        try replace.run()
    }

    private func bind(_ state: PartitionState, to statement: Statement) throws(EngineError) {
        try statement.bind(state.partition.number, at: 1)
        try statement.bind(state.range.low, at: 2)
        if let high = state.range.high { try statement.bind(high, at: 3) }
        try statement.bind(state.applied.epoch.number, at: 4)
        try statement.bind(state.applied.run, at: 5)
        try statement.bind(state.applied.sequence, at: 6)
        try statement.bind(Int64(state.checksum), at: 7)
    }

    private func state(of row: Statement) throws(EngineError) -> PartitionState {
        let low = Key(row.bytes(1))
        guard let range = KeyRange(checkingLow: low, high: row.isNull(2) ? nil : Key(row.bytes(2))),
            let checksum = UInt32(exactly: row.integer(6))
        else { throw .damaged(database.storage, detail: "the record of partition \(row.unsigned(0)) makes no sense") }
        return PartitionState(
            partition: PartitionID(row.unsigned(0)), range: range,
            applied: Position(epoch: Epoch(row.unsigned(3)), run: row.unsigned(4), sequence: row.unsigned(5)),
            checksum: checksum)
    }
}
