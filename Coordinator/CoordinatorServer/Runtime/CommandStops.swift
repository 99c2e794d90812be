import Catalog
import Consensus
import CoordinatorCore
import Model
import Telemetry

/// The commands at which a test may have a leader stopped: before they go to its log, and when they are committed and nobody has been
/// told. A release build looks at none.
struct CommandStops {
    private let point: StopPoint
    private let decode: @Sendable ([UInt8]) throws -> CatalogEntry
    private var names: [UInt64: String] = [:]

    init(point: StopPoint, codec: CoordinatorCodec) {
        self.point = point
        decode = { try codec.decode($0) }
    }

    /// - Parameter persist: of a leader.
    mutating func pass(before persist: Persist) {
        #if DEBUG
            for entry in persist.entries {
                guard case .command(let bytes) = entry.content, let name = try? decode(bytes).command.name else { continue }
                names[entry.id.index.number] = name
                point.pass(.before, name)
            }
        #endif
    }

    mutating func pass(after delta: TopologyDelta) {
        #if DEBUG
            guard let name = names.removeValue(forKey: delta.to.index) else { return }
            point.pass(.after, name)
        #endif
    }
}
