// Copies that nobody wants: found in the nodes' inventories, shown by every member, and ordered away by the leader, by a committed
// record like any other cleanup (rules M1, M3).
//
// Only what the catalog knows to be over is ordered away unasked. A partition of which nothing is known, or a disk that proves a later
// epoch than is known, may be what is left of something that the coordinators have lost: those are shown, and removed at an operator's
// word, the latter never.

import Catalog
package import Model

extension Coordinator {
    /// Removals that one round hands in, of all nodes together: each is an entry of the log and an operation, and what a disk that came
    /// back from a backup holds for nobody may be thousands.
    private static let removalsPerRound = 16

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
        var room = Self.removalsPerRound
        for orphan in orphans(at: now) where orphan.isConfirmed && orphan.standing == .over {
            guard room > 0 else { return }
            guard let name = orphanBook.occasion(of: orphan) else { continue }
            // What was refused under its name, or is not answered yet, takes no room from those behind it.
            let isHandedIn = proposeItself(
                .removeOrphan(orphan.removal), named: name, because: "nothing places it there", at: now)
            if isHandedIn { room -= 1 }
        }
    }
}
