// What a simulated agent keeps on its disk: who it is, the log of all its partitions, the engine's rows and the mirror of the topology.
// The log is framed records in segments of a few kilobytes, of which the oldest go when nobody needs them any more (rule R9); the others
// are replaced whole, by a file that is written beside, synced and renamed.

import AgentCore
import DurableLog
import Model
import Replication
import SimulationKit

/// One partition's rows in a simulated engine.
struct EnginePartition: Hashable, Sendable {
    var storage: StorageID
    var range: KeyRange
    var values: [Int: UInt64] = [:]
    /// What was written under keys, as long as it is remembered (rule R8).
    var writes: [IdempotencyKey: RememberedWrite] = [:]
    /// A key that was made before this, and of which no write is remembered, may have been used.
    var forgottenBefore = WallTime(milliseconds: 0)
    var applied = Position.zero
    /// It is part of a snapshot, which counts for nothing.
    var importing: LogPoint?

    /// The same for equal rows, in every process.
    var checksum: UInt64 {
        values.reduce(0) { $0 ^ (($1.value &* 0x9E37_79B9_7F4A_7C15) ^ (UInt64($1.key) &* 0xBF58_476D_1CE4_E5B9)) }
    }
}

struct AgentStore: Sendable {
    /// One file of the log.
    fileprivate struct Segment {
        let number: UInt64
        /// Its first record.
        let first: RecordNumber
        var end = AgentStore.headerBytes

        var file: String { Self.name(number) }
        static func name(_ number: UInt64) -> String {
            "log-" + String(repeating: "0", count: max(0, 6 - "\(number)".count)) + "\(number)"
        }
    }

    private static let headerBytes = 16
    private let segmentBytes: Int
    /// Oldest first; the last one is written to.
    private var segments: [Segment]
    /// The number of the next record.
    private var end: RecordNumber

    var segmentCount: Int { segments.count }

    /// What a start finds.
    struct Found {
        var store: AgentStore
        let id: StoreID
        let generation: Generation
        let log: FoundLog
        let engine: [PartitionID: EnginePartition]
        let topology: Topology
        /// What must be done before anything is answered for.
        let opening: [DiskStep]
    }

    /// What the segments on a disk hold.
    struct FoundLog {
        fileprivate var segments: [Segment] = []
        fileprivate(set) var records: [(number: RecordNumber, record: PartitionRecord)] = []
        /// The number of the next record.
        fileprivate(set) var end = RecordNumber.first
        /// Files that are no part of it: dropped, but not removed, or begun, and no more than a name.
        fileprivate var remains: [String] = []

        /// What it says of each partition.
        var partitions: [PartitionID: RecoveredPartition] {
            records.reduce(into: [:]) { found, item in
                if let id = item.record.partition { found[id, default: RecoveredPartition()].add(item.record) }
            }
        }
    }

    // MARK: - Writing

    static func make(_ id: StoreID) -> [DiskStep] {
        beginning(Segment(number: 0, first: .first)) + replacing("identity", with: [id.number, 0])
    }

    private static func beginning(_ segment: Segment) -> [DiskStep] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(segment.first.value)
        bytes.appendLittleEndian(UInt64(CRC32C.of(bytes)))
        return [.write(file: segment.file, at: 0, bytes), .sync(file: segment.file), .syncFolder]
    }

    /// All of one append stands in one segment; one that is full is followed by another.
    mutating func appending(_ records: [PartitionRecord]) -> [DiskStep] {
        var bytes: [UInt8] = []
        for record in records {
            let payload = record.encoded()
            bytes.appendLittleEndian(UInt64(payload.count) << 32 | UInt64(CRC32C.of(payload)))
            bytes += payload
        }
        var steps: [DiskStep] = []
        if let last = segments.last, last.end > Self.headerBytes, last.end + bytes.count > segmentBytes {
            let next = Segment(number: last.number + 1, first: end)
            segments.append(next)
            steps = Self.beginning(next)
        }
        let last = segments.count - 1
        steps += [.write(file: segments[last].file, at: segments[last].end, bytes), .sync(file: segments[last].file)]
        segments[last].end += bytes.count
        end = end.advanced(by: records.count)
        return steps
    }

    /// The first record of the newest segments.
    func start(ofNewest count: Int) -> RecordNumber { segments.suffix(count).first?.first ?? .first }

    /// Removes the segments that hold nothing from `number` on; never the last one. That they are over is on disk before the first is gone.
    mutating func dropping(below number: RecordNumber) -> [DiskStep] {
        let gone = zip(segments, segments.dropFirst()).prefix { $1.first <= number }.map(\.0)
        guard let last = gone.last else { return [] }
        segments.removeFirst(gone.count)
        return Self.replacing("floor", with: [last.number + 1]) + gone.map { .remove($0.file) }
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
    static func find(
        on disk: SimulatedDisk, _ archive: ClusterArchive, _ mutant: ClusterMutant?, segmentBytes: Int
    ) -> Found? {
        guard let identity = words(of: "identity", on: disk), identity.count == 2, let log = log(on: disk) else { return nil }
        let generation = mutant == .keepsGeneration ? max(identity[1], 1) : identity[1] + 1
        guard let engine = engine(on: disk, archive), let topology = mirror(on: disk, archive) else { return nil }
        // A process that died between a write and its sync left what can be read and is not durable.
        var opening: [DiskStep] = log.remains.map { .remove($0) }
        if let last = log.segments.last, let bytes = disk.bytes(of: last.file), last.end < bytes.count {
            opening.append(.write(file: last.file, at: last.end, Array(repeating: 0, count: bytes.count - last.end)))
        }
        opening += disk.files.filter { !$0.hasSuffix(".tmp") && !log.remains.contains($0) }.map { .sync(file: $0) }
        opening += replacing("identity", with: [identity[0], generation])
        return Found(
            store: AgentStore(segmentBytes: segmentBytes, segments: log.segments, end: log.end), id: StoreID(identity[0]),
            generation: Generation(generation), log: log, engine: engine, topology: topology, opening: opening)
    }

    /// The log, from the oldest segment that counts to the last whole record; nil when one is missing between two others.
    static func log(on disk: SimulatedDisk) -> FoundLog? {
        var floor: UInt64 = 0
        if disk.bytes(of: "floor") != nil {
            guard let found = words(of: "floor", on: disk)?.first else { return nil }
            floor = found
        }
        var log = FoundLog()
        var number = floor
        while let bytes = disk.bytes(of: Segment.name(number)), let first = header(bytes) {
            guard log.segments.isEmpty || first == log.end else { return nil }
            var segment = Segment(number: number, first: first)
            log.end = first
            segment.end = parse(bytes, into: &log)
            log.segments.append(segment)
            number += 1
        }
        guard !log.segments.isEmpty else { return nil }
        let counted = Set(log.segments.map(\.file))
        log.remains = disk.files.filter { $0.hasPrefix("log-") && !counted.contains($0) }
        // Nothing was ever written behind a segment that was only begun.
        return log.remains.contains { $0 > Segment.name(number) } ? nil : log
    }

    private static func header(_ bytes: [UInt8]) -> RecordNumber? {
        guard let first = word(of: bytes, at: 0), word(of: bytes, at: 8) == UInt64(CRC32C.of(Array(bytes.prefix(8)))) else {
            return nil
        }
        return RecordNumber(first)
    }

    /// The engine's rows; nil when they cannot be read.
    static func engine(on disk: SimulatedDisk, _ archive: ClusterArchive) -> [PartitionID: EnginePartition]? {
        guard let number = words(of: "engine", on: disk) else { return [:] }
        return number.first.flatMap { archive.engine($0) }
    }

    /// What an engine with these rows says that it holds.
    static func replicas(of engine: [PartitionID: EnginePartition]) -> [EngineReplica] {
        engine.sorted { $0.key < $1.key }.map {
            EngineReplica(
                partition: $0.key, storage: $0.value.storage, range: $0.value.range, applied: $0.value.applied,
                isImporting: $0.value.importing != nil)
        }
    }

    /// The topology that a start would find; nil when it cannot be read.
    static func mirror(on disk: SimulatedDisk, _ archive: ClusterArchive) -> Topology? {
        guard let number = words(of: "topology", on: disk) else { return Topology() }
        return number.first.flatMap { archive.topology($0) }
    }

    /// The whole records of a segment, up to the first that is not: one batch at a time is on its way, so nothing whole stands behind a
    /// torn one.
    /// - Returns: where they end.
    private static func parse(_ bytes: [UInt8], into log: inout FoundLog) -> Int {
        var at = headerBytes
        while let head = word(of: bytes, at: at), head > 0 {
            let (start, count) = (at + 8, Int(head >> 32))
            guard count <= bytes.count - start else { break }
            let payload = Array(bytes[start..<start + count])
            guard UInt64(CRC32C.of(payload)) == head & 0xFFFF_FFFF, let record = PartitionRecord.decoding(payload[...]) else {
                break
            }
            log.records.append((log.end, record))
            log.end = log.end.advanced(by: 1)
            at = start + count
        }
        return at
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
