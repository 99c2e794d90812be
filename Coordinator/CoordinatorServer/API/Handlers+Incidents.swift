import Catalog
import Consensus
import CoordinatorCore
import Hummingbird
import Model

/// The last failovers, and how long each took.
extension Handlers {
    /// The newest first. All that was decided before the question is among them; what is measured comes behind it.
    func incidents(_ call: Call) async throws(Problem) -> Response {
        _ = try await committedTopology(call)
        let found = await plane.incidents()
        return Response(json: .object(["incidents": .array(found.reversed().map(Documents.incident))]))
    }

    func incident(_ call: Call) async throws(Problem) -> Response {
        let id = LogIndex(try call.number("id"))
        _ = try await committedTopology(call)
        guard let incident = await plane.incidents().last(where: { $0.id == id }) else {
            throw Problem(
                .notFound, "INCIDENT_NOT_FOUND", "this coordinator knows of no incident \(id.number)",
                hint: "'coxctl incident list' shows those that are kept: the last 100 since this coordinator's start",
                field: "id")
        }
        return Response(json: Documents.incident(incident))
    }
}

extension Documents {
    /// So many of the partitions that are not served yet are named.
    private static let mostAwaited = 32

    static func incident(_ incident: Incident) -> JSONNode {
        let clocks = incident.clocks
        // By the clock of the leader whose stamp the entry has, and so as far from it as was measured.
        let accusedAt = clocks.decide.map { incident.decidedAt - $0 }
        let suspectedAt = accusedAt.flatMap { time in clocks.detect.map { time - $0 } }
        let recoveredAt = clocks.recover.map { incident.decidedAt + $0 }
        var members: [String: JSONNode] = [:]
        members["id"] = .number(incident.id.number)
        members["node"] = .string(incident.node.name)
        members["session"] = .number(incident.session.number)
        members["cause"] = .string(incident.cause.rawValue)
        members["state"] = .string(incident.state.rawValue)
        members["reason"] = .string(incident.account)
        members["accused_by"] = .array(
            incident.witnesses.map { .object(["node": .string($0.id.name), "zone": .string($0.zone.name)]) })
        members["silent_zones"] = .array(incident.silentZones.map { .string($0.name) })
        members["suspected_at"] = time(suspectedAt)
        members["accused_at"] = time(accusedAt)
        members["decided_at"] = time(incident.decidedAt)
        members["recovered_at"] = time(recoveredAt)
        members["partitions"] = .object([
            "changed_hands": .number(incident.changedHands), "without_primary": .number(incident.withoutPrimary),
            "not_serving": .number(incident.awaited.count),
        ])
        members["waits_for"] = .array(incident.awaited.keys.sorted().prefix(mostAwaited).map { .number($0.number) })
        members["clocks"] = .object([
            "measured_by": .string(incident.measuredBy?.name), "detect_ms": milliseconds(clocks.detect),
            "decide_ms": milliseconds(clocks.decide), "recover_ms": milliseconds(clocks.recover),
        ])
        return .object(members)
    }

    private static func milliseconds(_ span: Span?) -> JSONNode { .measure(span.map { Double($0.microseconds) / 1_000 }) }
}
