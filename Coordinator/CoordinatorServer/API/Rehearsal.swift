import Catalog
import Consensus
import CoordinatorCore
import Hummingbird
import Membership
import Model
import Synchronization
import Transport

/// A control plane on which nothing happens: commands are applied to a copy of the catalog, by the same rules with the same
/// refusals, and forgotten. What `?dry_run=true` asks.
final class Rehearsal: ControlPlane {
    private let real: any ControlPlane
    private let copy = Mutex<CatalogState?>(nil)

    init(of real: any ControlPlane) { self.real = real }

    var feed: TopologyFeed { real.feed }

    func propose(
        _ command: Command, by actor: Principal, reason: String, requestID: Model.RequestID, fingerprint: [UInt8],
        traceID: String
    ) async throws(ControlPlaneError) -> CommandResult {
        let start = try await catalog(.linearizable)
        let proposed = ProposedCommand(
            command: command, actor: actor, reason: reason, requestID: requestID, fingerprint: fingerprint, traceID: traceID)
        let entry: CatalogEntry
        do throws(MalformedEntry) {
            entry = try CoordinatorCodec.standard.written(proposed.stamped(BootClock.wallTime())).entry
        } catch { return .refused(error.rejection) }
        return copy.withLock { copy in
            var state = copy ?? start
            let applied = state.apply(entry, at: state.index + 1)
            copy = state
            return applied.result
        }
    }

    func catalog(_ consistency: ReadConsistency) async throws(ControlPlaneError) -> CatalogState {
        if let state = copy.withLock({ $0 }) { return state }
        let state = try await real.catalog(consistency)
        return copy.withLock { copy in
            let kept = copy ?? state
            copy = kept
            return kept
        }
    }

    func topology(_ consistency: ReadConsistency) async throws(ControlPlaneError) -> Topology {
        try await catalog(consistency).topology
    }

    func status() async -> CoordinatorStatus { await real.status() }
    /// Whether consensus would take it, only asking it would tell.
    func steer(_ order: GroupOrder) async -> GroupOutcome { .done }
    func reports() async -> [NodeID: LoadReading] { await real.reports() }
    func orphans() async -> [Orphan] { await real.orphans() }
    func incidents() async -> [Incident] { await real.incidents() }
    func beliefs() async -> [NodeID: MemberBelief] { await real.beliefs() }
}

extension Response {
    /// What would have been done, with the plan where there is one. Says of itself that nothing was.
    static func rehearsed(_ members: [String: JSONNode]) -> Response {
        var members = members
        members["dry_run"] = .boolean(true)
        return Response(json: .object(members), headers: [.dryRun: "true"])
    }
}
