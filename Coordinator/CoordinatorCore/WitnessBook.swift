// Who says that which node is dead. Enough independent witnesses make a proposal; old testimony is forgotten (rules F2, F7).

import Catalog
import Model

struct WitnessBook: Sendable {
    private struct Testimony: Sendable {
        let generation: Generation
        let session: SessionID
        var heardAt: LogicalInstant
    }

    /// Witnesses repeat themselves every second or so.
    private static let validity = Span.seconds(15)
    private var testimonies: [NodeID: [NodeID: Testimony]] = [:]

    mutating func note(_ report: DeathReport, at now: LogicalInstant) {
        guard report.node != report.witness else { return }
        testimonies[report.node, default: [:]][report.witness] = Testimony(
            generation: report.generation, session: report.session, heardAt: now)
    }

    mutating func forget(before now: LogicalInstant) {
        for node in testimonies.keys {
            testimonies[node] = testimonies[node]?.filter { now - $0.value.heardAt < Self.validity }
            if testimonies[node]?.isEmpty == true { testimonies[node] = nil }
        }
    }

    mutating func clear(_ node: NodeID) { testimonies[node] = nil }

    var accused: [NodeID] { testimonies.keys.sorted() }

    /// Those who saw this life of the node end, sorted.
    func witnesses(against node: NodeDescriptor, zones: [NodeID: ZoneName]) -> [Witness] {
        (testimonies[node.id] ?? [:])
            .filter { testimony in
                testimony.value.session == node.session
                    || (testimony.value.session == .none && testimony.value.generation == node.generation)
            }
            .compactMap { testimony in zones[testimony.key].map { Witness(id: testimony.key, zone: $0) } }
            .sorted()
    }
}

/// Whether the witnesses are enough: two, and in two zones where there are others who could stand in a second zone.
func areIndependent(_ witnesses: [Witness], against node: NodeID, zones: [NodeID: ZoneName]) -> Bool {
    guard witnesses.count >= 2 else { return false }
    let possible = Set(zones.filter { $0.key != node }.map(\.value))
    return possible.count < 2 || Set(witnesses.map(\.zone)).count >= 2
}
