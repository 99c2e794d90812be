// What a simulated agent keeps on its disk: who it is, the log of all its partitions, the engine's rows and the mirror of the topology.
// The log is framed records in one file; the others are replaced whole, by a file that is written beside, synced and renamed.

import DurableLog
import Model
import Replication
import SimulationKit

/// One partition's rows in a simulated engine.
struct EnginePartition: Hashable, Sendable {
    var storage: StorageID
    var range: KeyRange
    var values: [Int: UInt64] = [:]
    var applied = Position.zero
    /// It is part of a snapshot, which counts for nothing.
    var importing: LogPoint?

    /// The same for equal rows, in every process.
    var checksum: UInt64 {
        values.reduce(0) { $0 ^ (($1.value &* 0x9E37_79B9_7F4A_7C15) ^ (UInt64($1.key) &* 0xBF58_476D_1CE4_E5B9)) }
    }
}

struct AgentStore: Sendable {
    private static let logFile = "log"
    private(set) var logEnd = 0

    /// What a start finds.
    struct Found {
        var store: AgentStore
        let id: StoreID
        let generation: Generation
        let records: [PartitionRecord]
        let engine: [PartitionID: EnginePartition]
        let topology: Topology
        /// What must be done before anything is answered for.
        let opening: [DiskStep]
    }

    // MARK: - Writing

    static func make(_ id: StoreID) -> [DiskStep] {
        [.write(file: logFile, at: 0, []), .sync(file: logFile)] + replacing("identity", with: [id.number, 0])
    }

    mutating func appending(_ records: [PartitionRecord]) -> [DiskStep] {
        var bytes: [UInt8] = []
        for record in records {
            let payload = record.encoded()
            bytes.appendLittleEndian(UInt64(payload.count) << 32 | UInt64(CRC32C.of(payload)))
            bytes += payload
        }
        defer { logEnd += bytes.count }
        return [.write(file: Self.logFile, at: logEnd, bytes), .sync(file: Self.logFile)]
    }

    /// A file of a few words and their checksum.
    static func replacing(_ file: String, with words: [UInt64]) -> [DiskStep] {
        var bytes: [UInt8] = []
        for word in words { bytes.appendLittleEndian(word) }
        bytes.appendLittleEndian(UInt64(CRC32C.of(bytes)))
        let beside = file + ".tmp"
        return [.write(file: beside, at: 0, bytes), .sync(file: beside), .rename(beside, to: file), .syncFolder]
    }

    // MARK: - Reading back

    /// Nil when the disk cannot be read back whole.
    static func find(on disk: SimulatedDisk, _ archive: ClusterArchive, _ mutant: ClusterMutant?) -> Found? {
        guard let identity = words(of: "identity", on: disk), identity.count == 2 else { return nil }
        let generation = mutant == .keepsGeneration ? max(identity[1], 1) : identity[1] + 1
        let bytes = disk.bytes(of: logFile) ?? []
        let (records, end) = parse(bytes)
        guard let engine = engine(on: disk, archive), let topology = mirror(on: disk, archive) else { return nil }
        // A process that died between a write and its sync left what can be read and is not durable.
        var opening: [DiskStep] = []
        if end < bytes.count {
            opening.append(.write(file: logFile, at: end, Array(repeating: 0, count: bytes.count - end)))
        }
        opening += disk.files.filter { !$0.hasSuffix(".tmp") }.map { .sync(file: $0) }
        opening += replacing("identity", with: [identity[0], generation])
        return Found(
            store: AgentStore(logEnd: end), id: StoreID(identity[0]), generation: Generation(generation), records: records,
            engine: engine, topology: topology, opening: opening)
    }

    /// The engine's rows; nil when they cannot be read.
    static func engine(on disk: SimulatedDisk, _ archive: ClusterArchive) -> [PartitionID: EnginePartition]? {
        guard let number = words(of: "engine", on: disk) else { return [:] }
        return number.first.flatMap { archive.engine($0) }
    }

    /// The topology that a start would find; nil when it cannot be read.
    static func mirror(on disk: SimulatedDisk, _ archive: ClusterArchive) -> Topology? {
        guard let number = words(of: "topology", on: disk) else { return Topology() }
        return number.first.flatMap { archive.topology($0) }
    }

    /// The whole records, up to the first that is not: one batch at a time is on its way, so nothing whole stands behind a torn one.
    private static func parse(_ bytes: [UInt8]) -> (records: [PartitionRecord], end: Int) {
        var records: [PartitionRecord] = []
        var at = 0
        while let head = word(of: bytes, at: at), head > 0 {
            let (start, count) = (at + 8, Int(head >> 32))
            guard count <= bytes.count - start else { break }
            let payload = Array(bytes[start..<start + count])
            guard UInt64(CRC32C.of(payload)) == head & 0xFFFF_FFFF, let record = PartitionRecord.decoding(payload[...]) else {
                break
            }
            records.append(record)
            at = start + count
        }
        return (records, at)
    }

    private static func words(of file: String, on disk: SimulatedDisk) -> [UInt64]? {
        guard let bytes = disk.bytes(of: file), bytes.count >= 16, bytes.count % 8 == 0 else { return nil }
        let words = stride(from: 0, to: bytes.count, by: 8).compactMap { word(of: bytes, at: $0) }
        guard words.last == UInt64(CRC32C.of(Array(bytes.dropLast(8)))) else { return nil }
        return Array(words.dropLast())
    }

    private static func word(of bytes: [UInt8], at offset: Int) -> UInt64? {
        guard bytes.count - offset >= 8 else { return nil }
        return (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
    }
}
