// The group's own affairs: members come and go, leadership is handed over, a disk fills up, the process stops. Who asked is answered
// when it has come to pass, not when it was begun.
//
// A member whose store is new (its disk was replaced, or its log was damaged and set aside) is taken in without anybody's doing: as a
// learner, then, when it has caught up, in the place of the store that its node had before. It is the same machine that the operator
// made a member; only what it remembers is new. A node that an operator has declared is taken in as a learner, and promoted by him.

import Catalog
package import Consensus
import Model

/// What became of a wish that concerns the group itself.
package enum GroupOutcome: Hashable, Sendable {
    case done
    /// Nothing has changed.
    case refused(Raft.Refusal)
    /// The member that was to lead did not take over in time; this one leads on.
    case givenUp
    /// Begun, and not heard of since.
    case unknown
}

struct GroupRequest: Sendable {
    enum Wish: Hashable, Sendable {
        /// Met when the entry is committed and a joint configuration that it carries is left.
        case change(EntryID, isCommitted: Bool)
        case leader(MemberID)
    }

    let caller: UInt64
    var wish: Wish
    let until: LogicalInstant
}

/// A leader's attempt to hand over on its own account; whoever did not take over is not asked again in the same round.
struct HandOver: Sendable {
    var asked: [MemberID] = []
    /// Until when the process waits for it, if it is to stop. Nil: tried once with each, then led on until the next round.
    let until: LogicalInstant?
    /// When the next round begins.
    var pausesUntil: LogicalInstant?
}

extension Coordinator {
    // MARK: - Wishes

    mutating func changeMembers(_ changes: [MemberChange], for caller: UInt64, at now: LogicalInstant) {
        do throws(Raft.Refusal) {
            let id = try raft.change(changes, at: now)
            let wish = GroupRequest.Wish.change(id, isCommitted: false)
            groupRequests.append(GroupRequest(caller: caller, wish: wish, until: now + settings.answerTime))
        } catch {
            actions.append(.groupAnswered(caller: caller, .refused(error)))
        }
    }

    /// - Parameter successor: nil leaves the choice to the leader.
    mutating func transferLeadership(to successor: MemberID?, for caller: UInt64, at now: LogicalInstant) {
        do throws(Raft.Refusal) {
            guard raft.isLeader else { throw .notLeader(raft.leader) }
            guard groupRequests.count < settings.groupRequests else { throw .transferring }
            guard let target = successor ?? raft.bestSuccessor(at: now) else { throw .noVoterLeft }
            try raft.transferLeadership(to: target, at: now)
            groupRequests.append(GroupRequest(caller: caller, wish: .leader(target), until: now + settings.answerTime))
        } catch {
            actions.append(.groupAnswered(caller: caller, .refused(error)))
        }
    }

    /// Every entry comes by here when it is applied.
    mutating func noteCommitted(_ entry: Entry) {
        guard !groupRequests.isEmpty else { return }
        answerGroup { request in
            guard case .change(let id, let isCommitted) = request.wish, entry.id.index >= id.index else { return nil }
            // Another leader's entry stands where the change should: it never was.
            if entry.id.index == id.index, entry.id != id { return .unknown }
            guard case .configuration(let configuration) = entry.content else { return nil }
            if configuration.isJoint { request.wish = .change(id, isCommitted: true) }
            return configuration.isJoint || (entry.id != id && !isCommitted) ? nil : .done
        }
    }

    mutating func answerTransfers(at now: LogicalInstant) {
        guard !groupRequests.isEmpty else { return }
        let (leader, leadsOn) = (raft.leader, raft.isLeader && !raft.isTransferring)
        answerGroup { request in
            if case .leader(let successor) = request.wish {
                if leader == successor { return .done }
                if leadsOn { return .givenUp }
            }
            return now >= request.until ? .unknown : nil
        }
    }

    private mutating func answerGroup(_ outcome: (inout GroupRequest) -> GroupOutcome?) {
        var left: [GroupRequest] = []
        for var request in groupRequests {
            if let outcome = outcome(&request) {
                actions.append(.groupAnswered(caller: request.caller, outcome))
            } else {
                left.append(request)
            }
        }
        groupRequests = left
    }

    // MARK: - A leader that had better not lead

    /// With the disk nearly full nothing is accepted here any more, and others had better lead.
    mutating func noteDiskSpace(isLow: Bool, at now: LogicalInstant) {
        guard isLow != isDiskLow else { return }
        isDiskLow = isLow
        raft.step(.reluctant(isLow || isStopping), at: now)
        if !isStopping { handOver = nil }
    }

    /// A leader without room hands over, however it came to lead. Who else has room it does not know: a member without any does not take
    /// over, so it asks all of them every so often. Proposals wait meanwhile, so not too often.
    mutating func handOverIfFull() {
        // Before that it has heard of nobody who could.
        guard handOver == nil, isDiskLow, !isStopping, raft.hasCommittedInTerm else { return }
        handOver = HandOver(until: nil)
    }

    /// Hands leadership over before the process goes, so that nobody has to wait for a time-out.
    mutating func prepareToStop(at now: LogicalInstant) {
        guard !isStopping else { return }
        isStopping = true
        raft.step(.reluctant(true), at: now)
        handOver = HandOver(until: now + raft.settings.electionTimeout * 3)
        continueHandOver(at: now)
    }

    /// Asks the next best successor, until one takes over or none is left.
    mutating func continueHandOver(at now: LogicalInstant) {
        guard var current = handOver else { return }
        if raft.isLeader {
            if let pause = current.pausesUntil, now < pause { return }
            guard !raft.isTransferring, !raft.isChangeUnderWay else { return stopIfOverdue(current, at: now) }
            guard let next = raft.bestSuccessor(at: now, except: current.asked) else {
                handOver = isStopping ? nil : HandOver(until: nil, pausesUntil: now + settings.handOverInterval)
                return tellThatMayStop()
            }
            // A refusal passes; it is tried again with the next tick.
            if (try? raft.transferLeadership(to: next, at: now)) != nil {
                current.asked.append(next)
                handOver = current
            }
            stopIfOverdue(current, at: now)
        } else if !isStopping {
            handOver = nil
        } else if waiting.isEmpty, handedIn.isEmpty, raft.leader != nil {
            handOver = nil
            tellThatMayStop()
        } else {
            stopIfOverdue(current, at: now)
        }
    }

    private mutating func stopIfOverdue(_ current: HandOver, at now: LogicalInstant) {
        guard let until = current.until, now >= until else { return }
        handOver = nil
        tellThatMayStop()
    }

    private mutating func tellThatMayStop() {
        if isStopping { actions.append(.mayStop) }
    }

    // MARK: - New stores

    /// How often a store asks to be let in.
    private static let askInterval = Span.milliseconds(500)

    /// After so long without a leader a store asks although it takes itself for a member's: who was removed while nobody reached it, hears
    /// that from nobody, and would not be found when its node is declared anew.
    private static let askPatience = Span.seconds(5)

    /// Whoever belongs to no member says so, until the leader lets it in.
    mutating func askToBeLetIn(at now: LogicalInstant) {
        leaderlessSince = raft.leader == nil ? leaderlessSince ?? now : nil
        let isForgotten = leaderlessSince.map { now - $0 >= Self.askPatience } ?? false
        guard !raft.isMember || isForgotten, now >= askDue else { return }
        askDue = now + Self.askInterval
        actions.append(.askToBeLetIn)
    }

    /// A newcomer may reach the leader by way of others only; what was passed on once is not passed on again.
    mutating func noteWaiting(_ store: MemberID, from sender: MemberID) {
        if raft.isLeader {
            noteAppeared(store)
        } else if sender == store, let leader = raft.leader {
            actions.append(.send(.waiting(store), to: leader))
        }
    }

    /// The member is there: its store is the one that its node has now.
    mutating func noteAppeared(_ member: MemberID) {
        guard member != id,
            isExpected(member.node) || raft.configuration.members.contains(where: { $0.node == member.node })
        else { return }
        present[member.node] = member
    }

    private func isExpected(_ node: NodeID) -> Bool {
        catalog.coordinators[node].map { !$0.isLeaving } ?? false
    }

    /// Its connection is lost. The node may be there with another store by now, which stays known.
    mutating func noteGone(_ member: MemberID) {
        if present[member.node] == member { present[member.node] = nil }
    }

    /// Takes in members that came back with a new store, and those that were declared; one change at a time.
    mutating func planMembers(at now: LogicalInstant) {
        for (_, fresh) in present.sorted(by: { $0.key < $1.key }) {
            guard !raft.isChangeUnderWay, !raft.isTransferring else { return }
            let changes = changesToAdopt(fresh, at: now)
            // Refused while it has not caught up: tried again with the next plan.
            if !changes.isEmpty { _ = try? raft.change(changes, at: now) }
        }
    }

    /// What is next on the way of `fresh` to the place of its node's former store; nothing when it has none to take.
    private func changesToAdopt(_ fresh: MemberID, at now: LogicalInstant) -> [MemberChange] {
        let members = raft.members(at: now).filter { $0.id.node == fresh.node }
        let former = members.filter { $0.id != fresh }
        // The founding store belongs to those who founded the group; and a store that still answers is not gone.
        guard !fresh.isFounding, !former.contains(where: { $0.isActive == true }) else { return [] }
        guard !former.isEmpty || isExpected(fresh.node) else { return [] }
        let removals = { (part: MemberStatus.Part) in former.filter { $0.part == part }.map { MemberChange.remove($0.id) } }
        guard members.contains(where: { $0.id == fresh }) else { return [.addLearner(fresh)] + removals(.learner) }
        let voters = removals(.voter)
        return (voters.isEmpty ? [] : [.promote(fresh)]) + voters + removals(.learner)
    }
}
