import LogStorage
import Model
import Wire

/// The mirror of the topology on disk: with it an agent starts and serves while no coordinator is in reach (rule T1).
struct TopologyFile: Sendable {
    let path: String
    var flush = Flush.standard

    /// The topology as it was last saved; an empty one at the first start.
    func load() throws -> Topology {
        guard let bytes = try DurableFile.read(path) else { return Topology() }
        return try Topology(bytes: bytes)
    }

    func save(_ topology: Topology) throws(StorageError) {
        try DurableFile.replace(path, with: topology.serialized(), flush: flush)
    }
}
