// Where failovers are noted as they go: suspicion, report, entry, and the reports of those who serve again.

import Catalog
import Consensus
import Model

extension Coordinator {
    /// The last failovers that this member knows of, in order.
    package var incidents: [Incident] { incidentBook.incidents }

    mutating func noteAccusations(in report: DeathReport, at now: LogicalInstant) {
        for found in report.found where found.node != report.witness {
            guard let node = catalog.topology.nodes[found.node], witnesses.saw(found, theEndOf: node) else { continue }
            guard let span = incidentBook.accused(found.node, in: catalog.topology, at: now), raft.isLeader else { continue }
            actions.append(.failover(.detected(found.node, span)))
        }
    }

    mutating func noteIncident(
        _ onset: IncidentOnset?, by entry: CatalogEntry, at id: EntryID, _ applied: AppliedEntry, now: LogicalInstant
    ) {
        guard let delta = applied.delta else { return }
        finish(incidentBook.follow(delta))
        guard let onset, case .accepted = applied.result else { return }
        // What another leader has left behind, this one commits, but knows no more of it than what it was told of the accusation.
        let isMeasured = raft.isLeader && (id.term == raft.term || incidentBook.isAccused(onset.node))
        let begun = incidentBook.begin(
            onset, by: entry, at: id.index, changes: delta.changes, leader: isMeasured ? self.id.node : nil, now: now)
        guard let begun, isMeasured else { return }
        actions.append(.failover(.decided(begun)))
        tellClocks(of: begun)
    }

    mutating func noteServing(_ report: NodeReport, at now: LogicalInstant) { finish(incidentBook.follow(report, at: now)) }

    private mutating func finish(_ over: [Incident]) {
        guard raft.isLeader else { return }
        // Of what this member has read from its log, nobody has said how long it took, nor when.
        for incident in over where incident.measuredBy != nil {
            actions.append(.failover(.recovered(incident)))
            tellClocks(of: incident)
        }
    }

    /// To all, so that each can answer for the cluster.
    private mutating func tellClocks(of incident: Incident) {
        guard incident.measuredBy == id.node else { return }
        for member in raft.configuration.members where member != id {
            actions.append(.send(.failoverClocks(incident.clocks, of: incident.id), to: member))
        }
    }
}
