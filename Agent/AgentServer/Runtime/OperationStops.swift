import AgentCore
import Model
import Synchronization
import Telemetry

/// The steps of operations at which a test may have this process stopped; a release build looks at none.
final class OperationStops: Sendable {
    private let point: StopPoint
    /// What went to the log and is not known to be on disk, by ticket.
    private let appended = Mutex<[(ticket: UInt64, acts: [(PartitionID, AgentAct)])]>([])

    init(point: StopPoint) { self.point = point }

    func pass(before action: AgentAction) {
        #if DEBUG
            let acts = AgentAct.all(in: action)
            for (partition, act) in acts { point.pass(.before, "\(act)", of: "\(partition)") }
            if case .append(_, let ticket) = action, !acts.isEmpty { appended.withLock { $0.append((ticket, acts)) } }
        #endif
    }

    func pass(after inputs: [AgentInput]) {
        #if DEBUG
            for input in inputs {
                var ended = AgentAct.ended(by: input).map { [$0] } ?? []
                if case .persisted(let ticket) = input { ended += persisted(through: ticket) }
                for (partition, act) in ended { point.pass(.after, "\(act)", of: "\(partition)") }
            }
        #endif
    }

    private func persisted(through ticket: UInt64) -> [(PartitionID, AgentAct)] {
        appended.withLock { appended in
            let done = appended.prefix { $0.ticket <= ticket }.flatMap(\.acts)
            appended.removeAll { $0.ticket <= ticket }
            return done
        }
    }
}
