// Copies that nobody wants: found in the nodes' inventories, shown by every member, and ordered away by the leader, by a committed
// record like any other cleanup (rules M1, M3).
//
// Only what the catalog knows to be over is ordered away unasked. A partition of which nothing is known, or a disk that proves a later
// epoch than is known, may be what is left of something that the coordinators have lost: those are shown, and removed at an operator's
// word, the latter never.

import Catalog
package import Model

extension Coordinator {
    /// What is held for nobody, as this member knows it.
    package func orphans(at now: LogicalInstant) -> [Orphan] { orphanBook.orphans(grace: orphanGrace, at: now) }

    private var orphanGrace: Span {
        .seconds(
            Int64(
                catalog.topology.configured(ConfigurationRules.orphanGrace) ?? ConfigurationRules.orphanGrace.standard))
    }

    mutating func noteInventories(at now: LogicalInstant) {
        orphanBook.compare(reports, with: catalog.topology, at: now)
    }

    mutating func planOrphans(at now: LogicalInstant) {
        guard !orphanBook.isEmpty else { return }
        for orphan in orphans(at: now) where orphan.isConfirmed && orphan.standing == .over {
            guard let node = catalog.topology.nodes[orphan.node], let name = orphanBook.occasion(of: orphan) else { continue }
            proposeItself(
                .removeOrphan(OrphanRemoval(node: NodeSession(node: node.id, session: node.session), held: orphan.held)),
                named: name, because: "nothing places it there", at: now)
        }
    }
}
