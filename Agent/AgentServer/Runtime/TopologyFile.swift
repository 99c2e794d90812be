import LogStorage
import Model
import Wire

/// The mirror of the topology on disk: with it an agent starts and serves while no coordinator is in reach (rule T1).
///
/// Before the message stand a mark and the message's checksum. No message begins like the mark, nor like one of which a bit turned
/// over, so a file that an older version left, a message alone, is known for what it is.
struct TopologyFile: Sendable {
    /// The file does not hold what was saved.
    struct Damage: Error, Hashable, CustomStringConvertible {
        let path: String
        let detail: String
        var description: String { "its mirror of the topology, '\(path)', is not what was written: \(detail)" }
    }

    private static let mark: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1]
    private static let header = mark.count + 4

    let path: String
    var flush = Flush.standard

    /// The topology as it was last saved; an empty one at the first start.
    /// - Throws: `Damage`, and what the disk does.
    func load() throws -> Topology {
        guard let bytes = try DurableFile.read(path) else { return Topology() }
        guard !bytes.isEmpty else { throw Damage(path: path, detail: "it is empty") }
        let isMarked = bytes.starts(with: Self.mark)
        let message = isMarked ? Array(bytes.dropFirst(Self.header)) : bytes
        guard !isMarked || bytes[..<min(Self.header, bytes.count)] == Self.header(of: message)[...] else {
            throw Damage(path: path, detail: "its checksum is another")
        }
        do { return try Topology(bytes: message) } catch { throw Damage(path: path, detail: "\(error)") }
    }

    func save(_ topology: Topology) throws(StorageError) {
        let message = topology.serialized()
        try DurableFile.replace(path, with: Self.header(of: message) + message, flush: flush)
    }

    private static func header(of message: [UInt8]) -> [UInt8] {
        let checksum = CRC32C.of(message)
        return mark + (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * UInt32($0))) }
    }
}
