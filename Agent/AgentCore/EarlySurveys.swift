import Model
import Replication

/// What primaries to be have asked about partitions of which there is no replica here yet: the others may be done with a split or merge
/// before this node is. Whoever asks repeats it, but writers wait meanwhile.
struct EarlySurveys: Sendable {
    struct Survey: Sendable {
        let message: ReplicationMessage
        let peer: NodeID
        let at: LogicalInstant
    }

    /// There are no more splits and merges at one time than that; what does not fit is asked again.
    private static let most = 256

    private var surveys: [PartitionID: Survey] = [:]

    mutating func add(_ message: ReplicationMessage, from peer: NodeID, at now: LogicalInstant) {
        guard surveys.count < Self.most || surveys[message.partition] != nil else { return }
        surveys[message.partition] = Survey(message: message, peer: peer, at: now)
    }

    mutating func take(_ id: PartitionID) -> Survey? { surveys.removeValue(forKey: id) }

    mutating func forget(before instant: LogicalInstant) {
        if !surveys.isEmpty { surveys = surveys.filter { $0.value.at >= instant } }
    }
}
