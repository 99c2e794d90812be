// What the runtime knows, for whoever asks.

package import Catalog
package import Consensus
package import CoordinatorCore
package import LogStorage
package import Model
import Transport

extension CoordinatorRuntime {
    package var catalogNow: CatalogState { core.catalog }
    package var raft: Raft { core.raft }
    package var reportsNow: [NodeID: LoadReading] {
        let now = BootClock.now()
        return core.reports.mapValues { LoadReading(report: $0.report, age: now - $0.at) }
    }
    package var incidentsNow: [Incident] { core.incidents }
    package var orphansNow: [Orphan] { core.orphans(at: BootClock.now()) }
    /// Messages that were not taken, or not sent, since the start.
    var drops: [MessageDrop: UInt64] {
        let sending = links.counters
        return counters.dropped.merging([.unconnected: sending.droppedUnconnected, .full: sending.droppedFull]) { $0 + $1 }
    }
    /// As this member sees it; nobody, where it does not lead.
    var membersBehindOnGossipKeys: [NodeID] {
        guard core.raft.isLeader, core.catalog.topology.gossipKeys?.rotation != nil else { return [] }
        return core.membersBehindOnGossipKeys(at: BootClock.now())
    }
    package var syncs: SyncStatistics { store.statistics }
    package nonisolated var space: DiskSpace { store.space }

    package var statusNow: CoordinatorStatus {
        let raft = core.raft
        let connected = Set(links.connected)
        return CoordinatorStatus(
            id: node, member: core.id, role: raft.roleName, leader: raft.leader?.node, term: raft.term.number,
            commit: raft.log.commit.number,
            applied: raft.log.applied.number, lastIndex: raft.log.last.index.number,
            members: raft.members(at: BootClock.now()).map { member in
                let place = places[member.id.node]
                return CoordinatorStatus.Peer(
                    id: member.id.node, member: member.id, part: member.part, zone: place?.zone, addresses: place?.addresses,
                    isConnected: member.id == core.id || connected.contains(member.id.node),
                    match: member.match?.number, mode: member.mode, isActive: member.isActive,
                    gossipKeys: core.gossipKeysHeld[member.id])
            },
            declared: core.catalog.coordinators, isChangeUnderWay: raft.isChangeUnderWay, isTransferring: raft.isTransferring,
            drops: drops, tolerance: raft.configuration.tolerance, breakerHolds: core.breakerHolds, startedAt: startedAt)
    }
}
