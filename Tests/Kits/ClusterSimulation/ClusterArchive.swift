// Values that simulated disks hold by their number. What a write, a torn write or a lost one does to a file, it does to the number and
// its checksum; that no codec stands between, saves most of the time of a run.

import Catalog
import CoordinatorCore
import Model
import Synchronization

final class ClusterArchive: Sendable {
    private struct Shelves {
        var entries: [CatalogEntry] = []
        var states: [CatalogSnapshot] = []
        var engines: [[PartitionID: EnginePartition]] = []
        var topologies: [Topology] = []
    }

    private let shelves = Mutex(Shelves())

    func keep(_ engine: [PartitionID: EnginePartition]) -> UInt64 {
        shelves.withLock { shelves in
            shelves.engines.append(engine)
            return UInt64(shelves.engines.count - 1)
        }
    }
    func engine(_ number: UInt64) -> [PartitionID: EnginePartition]? {
        shelves.withLock { $0.engines.indices.contains(Int(number)) ? $0.engines[Int(number)] : nil }
    }

    func keep(_ topology: Topology) -> UInt64 {
        shelves.withLock { shelves in
            shelves.topologies.append(topology)
            return UInt64(shelves.topologies.count - 1)
        }
    }
    func topology(_ number: UInt64) -> Topology? {
        shelves.withLock { $0.topologies.indices.contains(Int(number)) ? $0.topologies[Int(number)] : nil }
    }

    /// How much it holds, for `rollBack`.
    var marks: [Int] {
        shelves.withLock { [$0.entries.count, $0.states.count, $0.engines.count, $0.topologies.count] }
    }

    /// Forgets what was kept since: whoever kept it is no more.
    func rollBack(to marks: [Int]) {
        shelves.withLock { shelves in
            shelves.entries.removeSubrange(marks[0]...)
            shelves.states.removeSubrange(marks[1]...)
            shelves.engines.removeSubrange(marks[2]...)
            shelves.topologies.removeSubrange(marks[3]...)
        }
    }

    /// How coordinators write their entries and states.
    var codec: CoordinatorCodec {
        CoordinatorCodec(
            encode: { entry in
                self.shelves.withLock { shelves in
                    shelves.entries.append(entry)
                    return Self.bytes(shelves.entries.count - 1)
                }
            },
            decode: { (bytes) throws(MalformedEntry) in
                let number = Self.number(bytes)
                let entry = self.shelves.withLock { $0.entries.indices.contains(number) ? $0.entries[number] : nil }
                guard let entry else { throw MalformedEntry(field: "number", detail: "nothing was written under \(number)") }
                return entry
            },
            encodeSnapshot: { state in
                self.shelves.withLock { shelves in
                    shelves.states.append(state)
                    return Self.bytes(shelves.states.count - 1)
                }
            },
            decodeSnapshot: { bytes in
                let number = Self.number(bytes)
                return self.shelves.withLock { $0.states.indices.contains(number) ? $0.states[number] : nil }
            }, digest: { _ in [1] })
    }

    private static func number(_ bytes: [UInt8]) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
    private static func bytes(_ number: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) } }
}
