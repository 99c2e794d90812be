// What a leader proposes on its own account. Each proposal's request id names the state that calls for it, so that proposing twice,
// or by two leaders in turn, is one proposal.

import Catalog
import Consensus
import Model
import Planning

/// All that repairs and drains follow from: while it is the same, so are they.
struct MoveBasis: Hashable, Sendable {
    let revision: Revision
    let breakerHolds: Bool
    let gone: Set<NodeID>
    /// What splits and merges have just made.
    let settling: Set<PartitionID>
    /// Partitions of which transfers have come to nothing lately.
    let resting: Set<PartitionID>
}

struct MovePlans: Sendable {
    let basis: MoveBasis
    let repairs: [MovePlan]
    let cancellations: [OperationID]
    let handOvers: [TransferPlan]
    let drains: [MovePlan]
}

extension Coordinator {
    /// Whether so many nodes fell that nothing is copied until they return or an operator acts (rule F4).
    package var breakerHolds: Bool {
        Planning.breakerHolds(in: catalog.topology, failedAt: catalog.failedAt)
    }

    mutating func plan(at now: LogicalInstant) {
        planDue = now + settings.planInterval
        witnesses.forget(before: now)
        incidentBook.forgetAccusations { witnesses.isAccused($0) }
        settlingUntil = settlingUntil.filter { $0.value > now }
        transfers.look(at: catalog.topology, settings, at: now)
        noteInventories(at: now)
        askToBeLetIn(at: now)
        repeatGossipKeys(at: now)
        guard raft.hasCommittedInTerm else {
            absentSince = [:]
            unevenSince = nil
            leadingSince = nil
            underWay = []
            return
        }
        leadingSince = leadingSince ?? now
        planMembers(at: now)
        planFarewells(at: now)
        planFailures(at: now)
        planReturns(at: now)
        planRepairing(at: now)
        planSpreading(at: now)
        planOrphans(at: now)
        planGossipKeys(at: now)
    }

    /// Where a dismissed coordinator is reached must be known until it is out; the index of the configuration without it names the
    /// occasion, since the same node may come and go again.
    private mutating func planFarewells(at now: LogicalInstant) {
        guard !raft.isChangeUnderWay else { return }
        let members = Set(raft.configuration.members.map(\.node))
        let leaving = catalog.coordinators.values.filter { $0.isLeaving && !members.contains($0.node) }
        for node in leaving.map(\.node).sorted() {
            proposeItself(
                .forgetCoordinator(node), named: "forget-\(node)-\(raft.log.configurationIndex)",
                because: "it was removed", at: now)
        }
    }

    /// A node that was declared failed and answers in the same session was cut off, not dead.
    private mutating func planReturns(at now: LogicalInstant) {
        let failed = catalog.topology.nodes.values.filter { $0.status == .failed }.sorted { $0.id < $1.id }
        for node in failed {
            guard let life = alive[node.id], life.isHeard, life.generation == node.generation, life.session == node.session
            else {
                continue
            }
            proposeItself(
                .nodeReturned(node.id, session: node.session),
                named: "returned-\(node.id)-\(node.session)-\(catalog.topology.revision.index)",
                because: "it answers again in the same session", at: now)
        }
    }

    private mutating func planRepairing(at now: LogicalInstant) {
        let topology = catalog.topology
        for node in topology.nodes.values {
            if node.status == .failed {
                absentSince[node.id] = absentSince[node.id] ?? now
            } else {
                absentSince[node.id] = nil
            }
        }
        let basis = MoveBasis(
            revision: topology.revision, breakerHolds: breakerHolds,
            gone: nodesGone(in: topology, absentSince: absentSince, now: now, limits: settings.repairs),
            settling: Set(settlingUntil.keys), resting: transfers.resting(at: now))
        // Kept, and proposed again: the fate of the last proposal may not be known.
        let plans = movePlans.flatMap { $0.basis == basis ? $0 : nil } ?? planMoves(on: basis)
        movePlans = plans
        // A refusal is kept under its name, and much that refuses a move passes: the next revision asks anew. None begins twice, for its
        // partition's epoch has risen by then.
        let revision = topology.revision.index
        for plan in plans.repairs {
            proposeItself(
                .beginMove(plan), named: "repair-\(plan.partition)-\(plan.epoch)-\(plan.target.node)-\(revision)",
                because: "fewer copies than the table asks for", at: now)
        }
        for operation in plans.cancellations {
            let reason = "the nodes that were missed are back"
            proposeItself(
                .abortOperation(operation, reason: reason), named: "cancel-\(operation)-\(revision)",
                because: reason, at: now)
        }
        for plan in plans.handOvers {
            proposeItself(
                .beginTransfer(plan.partition, to: plan.target.node, session: plan.target.session, expecting: plan.epoch),
                named: "hand-over-\(plan.partition)-\(plan.epoch)-\(plan.target.node)-\(revision)",
                because: "its primary is being drained", at: now)
        }
        for plan in plans.drains {
            proposeItself(
                .beginMove(plan), named: "drain-\(plan.partition)-\(plan.epoch)-\(plan.target.node)-\(revision)",
                because: "its node is being drained", at: now)
        }
    }

    private func planMoves(on basis: MoveBasis) -> MovePlans {
        let topology = catalog.topology
        let repairs = planRepairs(
            in: topology, gone: basis.gone, breakerHolds: basis.breakerHolds, limits: settings.repairs)
        let still = basis.settling.union(repairs.map(\.partition))
        let handOvers = planHandOvers(in: topology, except: still.union(basis.resting), limits: settings.repairs)
        return MovePlans(
            basis: basis, repairs: repairs, cancellations: planCancellations(in: topology), handOvers: handOvers.transfers,
            drains: planDrains(
                in: topology, beside: repairs, except: still.union(handOvers.transfers.map(\.partition)),
                after: handOvers.givers, breakerHolds: basis.breakerHolds, limits: settings.repairs))
    }

    /// What a split or a merge has made stays where it is for a while, as far as the planners go: its replicas have yet to be
    /// made and opened, and moves at their heels are how splits come to storms. Each member counts by its own clock from when
    /// it applied the entry.
    mutating func noteSplits(in delta: TopologyDelta, at now: LogicalInstant) {
        for case .partitionRetired(_, _, let children) in delta.changes {
            for child in children { settlingUntil[child] = now + settings.restAfterSplit }
        }
    }

    /// Hands a command in under a name that follows from the state.
    /// - Returns: false where that name was answered already, or waits for its answer.
    @discardableResult
    mutating func proposeItself(
        _ command: Command, named name: String, because reason: String, at now: LogicalInstant
    ) -> Bool {
        guard let request = try? RequestID("coordinator-\(name)"), let actor = try? Principal("coordinator/\(id.node)"),
            catalog.answer(to: request) == nil, !underWay.contains(request)
        else { return false }
        underWay.append(request)
        waiting.append(
            Waiting(
                command: ProposedCommand(command: command, actor: actor, reason: reason, requestID: request),
                waiter: .itself(request), knownUpTo: raft.log.applied,
                until: now + settings.answerTime))
        return true
    }
}
