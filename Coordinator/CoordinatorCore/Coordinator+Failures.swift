// When a node is declared failed: how many must have found it dead, and of which zones a witness may be demanded (rule F2).

import Catalog
import Consensus
import Model

extension Coordinator {
    /// One entry for each node that enough witnesses found dead.
    mutating func planFailures(at now: LogicalInstant) {
        let topology = catalog.topology
        let zones = zonesOfWitnesses
        // Found once for all who are accused, and only where it is asked for.
        var speakers: [ZoneName: Int]?
        var silent: Set<ZoneName>?
        for accused in witnesses.accused {
            guard let node = topology.nodes[accused], node.status != .failed, node.status != .decommissioned else {
                witnesses.clear(accused)
                continue
            }
            let found = witnesses.witnesses(against: node, zones: zones)
            guard found.count >= 2 else { continue }
            let standing = Set(found.map(\.zone))
            var excused: [ZoneName] = []
            if standing.count < 2 {
                let counted = speakers ?? speakersByZone
                speakers = counted
                let able = counted.filter { $0.value > ($0.key == node.zone ? 1 : 0) }.keys
                if able.count >= 2 {
                    let quiet = silent ?? silentZones(witnessesIn: zones, at: now)
                    silent = quiet
                    guard able.count(where: { !quiet.contains($0) }) < 2 else { continue }
                    excused = Array(quiet.subtracting(standing).sorted().prefix(Self.zonesOfEntry))
                }
            }
            proposeItself(
                .nodeFailed(accused, session: node.session, witnesses: found, silentZones: excused),
                named: "failed-\(accused)-\(node.session)-\(topology.revision.index)",
                because: witnesses.account(of: found, against: accused), at: now)
        }
    }

    /// More than an entry takes are not named; then it is refused, as it would be without them.
    private static let zonesOfEntry = 1_024

    /// How long a zone must have said nothing. Agents tell their load every two seconds, to any member, and coordinators answer several
    /// times a second.
    static let silence = Span.milliseconds(2_500)

    /// Where everybody stands whose word counts.
    private var zonesOfWitnesses: [NodeID: ZoneName] {
        var zones = memberZones
        for coordinator in catalog.coordinators.values { zones[coordinator.node] = coordinator.zone }
        for node in catalog.topology.nodes.values where node.status != .failed && node.status != .decommissioned {
            zones[node.id] = node.zone
        }
        return zones
    }

    /// How many there are in each zone: agents that have started and are not held failed, and members of the group.
    private var speakersByZone: [ZoneName: Int] {
        var count: [ZoneName: Int] = [:]
        for node in catalog.topology.nodes.values where isExpected(node) { count[node.zone, default: 0] += 1 }
        for member in raft.configuration.members {
            if let zone = zone(of: member) { count[zone, default: 0] += 1 }
        }
        return count
    }

    private func isExpected(_ node: NodeDescriptor) -> Bool {
        node.session != .none && node.status != .failed && node.status != .decommissioned
    }

    private func zone(of member: MemberID) -> ZoneName? {
        catalog.coordinators[member.node]?.zone ?? memberZones[member.node]
    }

    /// The zones of which no witness can be demanded, because nobody in them can speak: a zone that was lost as a whole, or is cut off
    /// from the quorum. Without this, each of its nodes would be kept from being declared failed by the others.
    ///
    /// Two witnesses of one zone may err together, where two zones lose each other; so a zone must give no sign of life at all before it
    /// is left out of account:
    /// - this member leads, with a quorum: in a minority no verdict is committed, whoever is silent there;
    /// - it has led for long enough to have heard every live member of that zone, had there been one;
    /// - its own failure detector holds nobody there alive;
    /// - no agent of the zone has told anything (its load, or whom it accuses) for longer than between two reports, by whichever member;
    ///   where gossip is cut and sessions are not, both zones speak, and neither is declared dead by the other;
    /// - each agent there is accused by two witnesses of other zones, or has said nothing for as long as an accusation counts (it
    ///   may have left in good order, and nobody lives who heard it);
    /// - no coordinator there has answered this one's heartbeats for as long.
    ///
    /// A verdict so found is no risk to data (rules R5, L1), and many of them at once hold the copying (rule F4).
    private func silentZones(witnessesIn zones: [NodeID: ZoneName], at now: LogicalInstant) -> Set<ZoneName> {
        guard let leadingSince, now - leadingSince >= Self.silence else { return [] }
        var silent = Set(speakersByZone.keys)
        for member in raft.configuration.members {
            guard let zone = zone(of: member) else { continue }
            let answers = raft.progress(of: member)?.hasAnswered(since: now - Self.silence) ?? false
            if member == id || answers { silent.remove(zone) }
        }
        for node in catalog.topology.nodes.values where silent.contains(node.zone) && isExpected(node) {
            let accusers = witnesses.witnesses(against: node, zones: zones).filter { $0.zone != node.zone }
            let patience = accusers.count >= 2 ? Self.silence : WitnessBook.validity
            let words = [reports[node.id]?.at, witnesses.lastWord(of: node.id), leadingSince].compactMap { $0 }
            let isHeard = alive[node.id]?.isHeard == true || words.contains { now - $0 < patience }
            if isHeard { silent.remove(node.zone) }
        }
        return silent
    }
}
