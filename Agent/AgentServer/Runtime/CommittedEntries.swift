import Engine
import Model
import Replication
import Wire

extension [Entry] {
    /// What entries mean to the rows. A payload that cannot be read was never ordered by us: the checksum chain vouches for it.
    func committed(in storage: StorageID) throws(EngineError) -> [CommittedEntry] {
        var committed: [CommittedEntry] = []
        committed.reserveCapacity(count)
        for entry in self {
            var mutations: [Mutation] = []
            var record: WriteRecord?
            if case .write(let payload, let once) = entry.body {
                guard let batch = try? WriteBatch(bytes: payload) else {
                    throw .failed(storage, detail: "the entry at \(entry.position) cannot be read")
                }
                mutations = batch.mutations
                if let once, let row = mutations.first?.key {
                    let write = AppliedWrite(
                        key: once.key, row: row, checksum: Checksum.crc32c(payload), position: entry.position)
                    record = WriteRecord([write], horizon: once.horizon)
                }
            }
            committed.append(
                CommittedEntry(position: entry.position, checksum: entry.checksum, mutations: mutations, record: record))
        }
        return committed
    }
}
