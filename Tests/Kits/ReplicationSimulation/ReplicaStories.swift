// What goes wrong without one rule of replication or of leases, told by itself: because several rare things must meet, or because what
// the rule prevents needs a third party, such as an operator, to become a loss. Each story ends well, or with the promise that broke.

package import Model
import Replication
package import SimulationKit

/// Stories of a whole in-sync set: three nodes, of which the first leads.
package enum ReplicaStories {
    private static func serving(_ mutant: RuleMutant?, minInSync: Int = 2) throws(Violation) -> ReplicaGroup {
        guard let group = try? ReplicaGroup(seed: 1, nodes: 3, minInSync: minInSync, fault: .none, mutant: mutant) else {
            throw Violation("three nodes are a group")
        }
        guard group.run(until: { $0.node(0).replica.isServing }) else { throw Violation("the first node never serves") }
        group.run(.milliseconds(500))
        return group
    }

    /// The third node has been left out, and is back as a learner that follows.
    private static func withLearner(_ mutant: RuleMutant?) throws(Violation) -> ReplicaGroup {
        let group = try serving(mutant)
        group.crash(group.order[2])
        group.nodeFailed(group.order[2])
        group.restart(group.order[2])
        group.run(.milliseconds(500))
        return group
    }

    private static func proposeJoin(_ group: ReplicaGroup) {
        group.give(group.order[0], [.ordered(.join(group.order[2], group.node(2).store))])
        group.run(.milliseconds(50))
    }

    private static func isolate(_ index: Int, in group: ReplicaGroup) {
        let id = group.order[index]
        group.cut = Set(group.order.filter { $0 != id }.map { [id, $0].sorted() })
    }

    /// Writes at the first node, and lets the third be deaf to it.
    private static func isAcknowledgedWithoutLearner(_ group: ReplicaGroup) -> Bool {
        isolate(2, in: group)
        let caller = group.write(at: group.order[0])
        group.run(.milliseconds(400))
        return group.acknowledged[caller] != nil
    }

    /// A member has a write in memory, and its disk stands still.
    package static func standingDisk(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        group.coordinatorsUp = false
        group.node(2).diskStands = true
        let caller = group.write(at: group.order[0])
        group.run(.milliseconds(400))
        if group.acknowledged[caller] != nil { throw Violation("a write is acknowledged that one member has not on its disk") }
    }

    /// A member is silent for long, and no coordinator is in reach that could leave it out.
    package static func silentMember(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        group.coordinatorsUp = false
        isolate(2, in: group)
        let caller = group.write(at: group.order[0])
        group.run(.seconds(2))
        if group.acknowledged[caller] != nil { throw Violation("a write is acknowledged without a member that is in sync") }
    }

    /// Two of three are learners: the table asks for two members.
    package static func tooFewCopies(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        for index in 1...2 {
            group.nodeFailed(group.order[index])
            group.run(.milliseconds(200))
        }
        let caller = group.write(at: group.order[0])
        group.run(.milliseconds(400))
        if group.acknowledged[caller] != nil { throw Violation("a write is acknowledged with one copy, and two are asked for") }
    }

    /// The primary's own disk takes no writes, and says nothing of it.
    package static func stalledPrimary(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        group.node(0).diskStands = true
        group.run(.seconds(1))
        let caller = CallerID(group.read(at: group.order[0]))
        group.run(.milliseconds(100))
        if group.refusals[caller] == nil { throw Violation("a primary whose disk stands still answers reads by its leases") }
    }

    /// A member's disk comes back as it once was, and its primary finds its log short.
    package static func shortLog(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        let node = group.node(2)
        func write() {
            for _ in 0..<10 {
                group.write(at: group.order[0])
                group.run(.milliseconds(10))
            }
            group.run(.milliseconds(100))
        }
        write()
        let image = (disk: Array(node.disk.prefix(node.persistedRecords)), rows: node.syncedRows, synced: node.synced)
        write()
        group.crash(node.id)
        node.disk = image.disk
        node.persistedRecords = image.disk.count
        (node.rows, node.syncedRows, node.applied, node.synced) = (image.rows, image.rows, image.synced, image.synced)
        group.restart(node.id)
        group.run(.milliseconds(400))
        if group.descriptor.inSync.contains(node.id) {
            throw Violation("a member that has lost what it acknowledged stays in sync")
        }
    }

    // MARK: - Joins

    /// A learner that has been proposed may be in sync already: nobody here can know, while no coordinator is in reach.
    package static func pendingJoin(_ mutant: RuleMutant?) throws(Violation) {
        let group = try withLearner(mutant)
        group.coordinatorsUp = false
        proposeJoin(group)
        if isAcknowledgedWithoutLearner(group) {
            throw Violation("a write is acknowledged without a learner that was proposed")
        }
    }

    /// A refusal says nothing of an earlier request that may still be on its way.
    package static func refusedJoin(_ mutant: RuleMutant?) throws(Violation) {
        let group = try withLearner(mutant)
        group.coordinatorsUp = false
        proposeJoin(group)
        let join = PartitionProposal.joinInSync(
            group.partition, node: group.order[2], store: group.node(2).store, expecting: group.descriptor.epoch)
        group.give(group.order[0], [.answered(join, .refused(code: "stale_session", detail: ""))])
        if isAcknowledgedWithoutLearner(group) {
            throw Violation("a write is acknowledged without a learner whose join is open")
        }
    }

    /// A learner that follows, and has not heard the last word yet.
    package static func earlyJoin(_ mutant: RuleMutant?) throws(Violation) {
        let group = try withLearner(mutant)
        isolate(2, in: group)
        let caller = group.write(at: group.order[0])
        group.run(.milliseconds(30))
        guard group.acknowledged[caller] != nil else { throw Violation("a learner holds a write up") }
        proposeJoin(group)
        group.run(.milliseconds(100))
        if let violation = group.violations.first { throw Violation(violation) }
    }

    /// A learner starts again without its copy, and the epoch has risen for that; its primary has not heard of it since.
    package static func unheardJoin(_ mutant: RuleMutant?) throws(Violation) {
        let group = try withLearner(mutant)
        let caller = group.write(at: group.order[0])
        group.run(.milliseconds(100))
        guard group.acknowledged[caller] != nil else { throw Violation("a learner holds a write up") }
        let learner = group.node(2)
        group.crash(learner.id)
        isolate(2, in: group)
        (learner.disk, learner.persistedRecords) = ([], 0)
        (learner.rows, learner.syncedRows, learner.applied, learner.synced) = ([], [], .zero, .zero)
        group.restart(learner.id)
        group.commit { _ in }
        group.run(.milliseconds(50))
        guard group.node(0).knownEpoch == group.descriptor.epoch else { throw Violation("the primary does not learn") }
        proposeJoin(group)
        group.run(.milliseconds(100))
        if let violation = group.violations.first { throw Violation(violation) }
    }

    // MARK: - Changes of the primary

    /// The first node is deposed, cut off, and does not hear of it; its lease has not run out.
    package static func deposedReader(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        let (old, new) = (group.order[0], group.order[1])
        group.commit { descriptor in
            descriptor.primary = new
            descriptor.replicas = descriptor.replicas.map { $0.node == old ? ReplicaGroup.with($0, .learner) : $0 }
        }
        group.queue.removeAll { if case .topology(_, let node) = $0.event { node == old } else { false } }
        group.coordinatorsUp = false
        isolate(0, in: group)
        for _ in 0..<100 {
            group.write(at: new)
            group.run(.milliseconds(20))
            group.read(at: old)
        }
        if let violation = group.violations.first { throw Violation(violation) }
        guard !group.acknowledged.isEmpty else { throw Violation("the new primary never serves") }
    }

    /// The role has gone to a node that the others do not hear, and they do not hear of it: one of them has its rows vouched for by the old
    /// primary.
    package static func deposedVoucher(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant, minInSync: 1)
        let new = group.order[1]
        group.commit { descriptor in
            descriptor.primary = new
            descriptor.replicas = descriptor.replicas.filter { $0.node == new }
        }
        group.queue.removeAll { if case .topology(_, let node) = $0.event { node != new } else { false } }
        group.coordinatorsUp = false
        isolate(1, in: group)
        for _ in 0..<100 {
            group.write(at: new)
            group.run(.milliseconds(20))
        }
        if let violation = group.violations.first { throw Violation(violation) }
        guard !group.acknowledged.isEmpty else { throw Violation("the new primary never serves") }
    }

    /// A write under a key is asked for again before any engine has it.
    package static func askedTwice(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        guard let key = IdempotencyKey(high: 1 << 16 | 7 << 12, low: 1 << 63) else { throw Violation("a key has a form") }
        let (applied, last) = (group.node(0).replica.applied, group.node(0).replica.log.lastSequence)
        let once = WriteOnce(key: key, horizon: WallTime(milliseconds: 0))
        for caller in [900, 901] as [UInt64] {
            let request = WriteOnceRequest(once: once, recalledAt: applied, earlier: nil)
            group.give(group.order[0], [.write(CallerID(caller), ReplicaGroup.payload(1), request)])
        }
        if group.node(0).replica.log.lastSequence > last + 1 { throw Violation("a write under a key is ordered twice") }
    }

    /// The primary's disk comes back as it once was, between two backups; no coordinator is in reach.
    package static func restoredDisk(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        let node = group.node(0)
        func write() {
            for _ in 0..<10 {
                group.write(at: node.id)
                group.run(.milliseconds(10))
            }
        }
        write()
        let image = (disk: Array(node.disk.prefix(node.persistedRecords)), rows: node.syncedRows, synced: node.synced)
        write()
        group.coordinatorsUp = false
        group.crash(node.id)
        node.disk = image.disk
        node.persistedRecords = image.disk.count
        (node.rows, node.syncedRows, node.applied, node.synced) = (image.rows, image.rows, image.synced, image.synced)
        group.restart(node.id)
        // Nobody shows it another log before the leases of its earlier life have run out.
        isolate(0, in: group)
        group.run(.seconds(2))
        group.cut = []
        group.run(.seconds(1))
        if let violation = group.settle().first { throw Violation(violation) }
    }

    /// Of three replicas one is left in sync, and hears neither the others nor the coordinators: an operator may have given its role
    /// away for good.
    package static func lastMember(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant, minInSync: 1)
        for index in 1...2 {
            group.nodeFailed(group.order[index])
            group.run(.milliseconds(100))
        }
        group.coordinatorsUp = false
        isolate(0, in: group)
        group.run(.seconds(1))
        let caller = group.write(at: group.order[0])
        group.run(.milliseconds(400))
        if group.acknowledged[caller] != nil { throw Violation("the last member acknowledges without anybody's leave") }
    }

    // MARK: - Fences

    private static func fenced(_ mutant: RuleMutant?) throws(Violation) -> ReplicaGroup {
        let group = try serving(mutant)
        group.commit { $0.operation = OperationID(40) }
        group.run(.milliseconds(50))
        group.coordinatorsUp = false
        group.give(group.order[0], [.ordered(.fence(OperationID(40)))])
        group.run(.milliseconds(50))
        return group
    }

    private static func takesNothing(_ group: ReplicaGroup) throws(Violation) {
        let caller = group.write(at: group.order[0])
        group.run(.milliseconds(400))
        if group.acknowledged[caller] != nil {
            throw Violation("a fenced primary acknowledges a write, while the switch may be committed already")
        }
    }

    /// The coordinators are there, and nothing comes of the operation: its target has died, say.
    package static func forgottenFence(_ mutant: RuleMutant?) throws(Violation) {
        let group = try serving(mutant)
        group.commit { $0.operation = OperationID(40) }
        group.run(.milliseconds(50))
        group.give(group.order[0], [.ordered(.fence(OperationID(40)))])
        group.run(.milliseconds(400))
        let caller = group.write(at: group.order[0])
        group.run(.milliseconds(100))
        if group.acknowledged[caller] == nil {
            throw Violation("a fence stands for longer than 400 ms under a leader")
        }
    }

    /// The coordinators have the switch and the holder of the fence hears nothing of it.
    package static func longFence(_ mutant: RuleMutant?) throws(Violation) {
        let group = try fenced(mutant)
        group.run(.seconds(2))
        try takesNothing(group)
    }

    /// The same, and the holder's process dies meanwhile.
    package static func fenceOverRestart(_ mutant: RuleMutant?) throws(Violation) {
        let group = try fenced(mutant)
        group.crash(group.order[0])
        group.restart(group.order[0])
        guard group.run(until: { $0.node(0).replica.isServing }, atMost: .seconds(3)) else {
            throw Violation("a fenced primary does not come back")
        }
        try takesNothing(group)
    }
}
