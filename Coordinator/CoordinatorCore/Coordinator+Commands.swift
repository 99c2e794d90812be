// The way of a command: it waits for a leader, is handed in or passed on, and is kept until it is committed or its time is up. A leader
// that leads no more, and an entry that another leader's displaced, only send it back to wait.

import Catalog
import Consensus
import Model

extension Coordinator {
    /// - Parameter known: the newest entry that was applied where the command first came from its caller; what it may have led to
    ///   stands behind that.
    mutating func enqueue(_ command: ProposedCommand, for waiter: Waiter, knownUpTo known: LogIndex, at now: LogicalInstant) {
        let held = held(beside: command.command)
        guard held < settings.waitingCommands else {
            return answer(waiter, .overloaded("\(held) commands wait already"))
        }
        // A command that was passed on once is not passed on again: the sender asks anew, or two members could play ball with it.
        if case .member = waiter, !raft.isLeader { return answer(waiter, .noLeader) }
        waiting.append(Waiting(command: command, waiter: waiter, knownUpTo: known, until: now + settings.answerTime))
    }

    /// How many commands wait here that count against the same bound. What may end a fence has one for itself, for no flood of others may keep
    /// a fence up (rule M4); nor do the ends of many fences, as after a change of leader, have the others refused.
    private func held(beside command: Command) -> Int {
        guard waiting.count >= settings.waitingCommands else { return waiting.count }
        return waiting.count(endingFences: command.mayEndFence)
    }

    mutating func handInWaiting(at now: LogicalInstant, wall: WallTime) {
        guard let leader = raft.leader else { return }
        recallFromEarlierTerms()
        guard !waiting.queue.isEmpty, !raft.isTransferring else { return }
        // What gathers while one write runs goes into the next, for the followers too: one message for many commands, and no later
        // on our own disk than if it had been handed in at once.
        if leader == id, raft.log.oldestWriteStartedAt != nil { return }
        for item in waiting.takeQueue() {
            if item.refusedIn == raft.term {
                waiting.append(item)
            } else if leader == id {
                handIn(item, wall: wall)
            } else {
                passOn(item, to: leader)
            }
        }
    }

    /// What was passed on to a leader that is none any more is handed to the new one: committed twice, it is still applied once,
    /// because its request id is known by then.
    private mutating func recallFromEarlierTerms() {
        guard !waiting.passedOn.isEmpty else { return }
        let lost = waiting.passedOn.filter { $0.value.term != raft.term }.keys.sorted()
        for number in lost {
            if let item = waiting.takeBack(number)?.item { handInAgain(item, mayBeApplied: true) }
        }
    }

    private mutating func handIn(_ item: Waiting, wall: WallTime) {
        if let known = catalog.answer(to: item.command.requestID), known.fingerprint == item.command.fingerprint {
            return answer(item, .done(known.result, catalog.topology.revision))
        }
        // It may have been applied on another way, so long ago that nobody remembers: a link that stalls can keep one copy for minutes.
        guard !catalog.mayHaveForgotten(since: item.knownUpTo.number) else { return answer(item.waiter, .unknown) }
        guard !isDiskLow || item.command.command.isEssential else {
            return answer(item, .diskFull("the leader's disk is nearly full"))
        }
        lastStamp = max(lastStamp, wall, catalog.time)
        guard let (bytes, entry) = written(item, at: lastStamp) else { return }
        do throws(Raft.Refusal) {
            let id = try raft.propose(bytes, isAwaitedElsewhere: item.waiter.isElsewhere)
            handedIn[id.index, default: []].append(HandedIn(id: id, entry: entry, item: item))
        } catch {
            switch error {
            case .notLeader: answer(item, .noLeader)
            case .tooMuchUncommitted(let bytes, let limit):
                answer(item, .overloaded("\(bytes) of \(limit) bytes wait to be committed"))
            case .commandTooLarge(let bytes, let limit):
                answer(item, .overloaded("a command of \(bytes) bytes is above the limit of \(limit)"))
            case .transferring:
                // Kept for the next leader, or for this one if it stays.
                waiting.append(item)
            case .changeUnderWay, .notCommittedInTerm, .notCaughtUp, .unknownMember, .alreadyMember, .notVoter, .noVoterLeft,
                .twoVotes, .tooManyMembers:
                preconditionFailure("\(error) is no refusal of a command")
            }
        }
    }

    /// - Returns: nil when no reader would accept it, and the caller was answered.
    private mutating func written(_ item: Waiting, at time: WallTime) -> (bytes: [UInt8], entry: CatalogEntry)? {
        do throws(MalformedEntry) { return try codec.written(item.command.stamped(time)) } catch {
            answer(item, .done(.refused(error.rejection), catalog.topology.revision))
            return nil
        }
    }

    private mutating func passOn(_ item: Waiting, to leader: MemberID) {
        if case .member = item.waiter { return answer(item, .noLeader) }
        // Asked here too, so that the leader is not even sent it.
        guard written(item, at: lastStamp) != nil else { return }
        lastNumber += 1
        waiting.passOn(item, as: lastNumber, in: raft.term)
        actions.append(.send(.command(item.command, number: lastNumber, knownUpTo: item.knownUpTo), to: leader))
    }

    /// What became of it, as far as that can be said.
    mutating func answer(_ item: Waiting, _ outcome: CommandOutcome) {
        if case .done = outcome { return answer(item.waiter, outcome) }
        answer(item.waiter, item.mayBeApplied ? .unknown : outcome)
    }

    mutating func answer(_ waiter: Waiter, _ outcome: CommandOutcome) {
        switch waiter {
        case .caller(let caller): actions.append(.answer(caller: caller, outcome))
        case .member(let node, let number): actions.append(.send(.outcome(outcome, number: number), to: node))
        case .itself(let request): if !settings.mutated(.keepsOwnProposals) { underWay.removeAll { $0 == request } }
        }
    }

    mutating func expire(at now: LogicalInstant) {
        for (read, _) in freshReads.filter({ $0.until <= now }) {
            actions.append(.readAnswered(caller: read.id, isFresh: false))
        }
        freshReads.removeAll { $0.until <= now }
        for item in waiting.takeOverdue(at: now) { answer(item, .noLeader) }
        for index in handedIn.keys.sorted() {
            let late = handedIn[index]?.filter { $0.item.until <= now } ?? []
            guard !late.isEmpty else { continue }
            handedIn[index]?.removeAll { $0.item.until <= now }
            if handedIn[index]?.isEmpty == true { handedIn[index] = nil }
            for handed in late { answer(handed.item, .unknown) }
        }
        for number in waiting.passedOn.keys.sorted() {
            guard let item = waiting.passedOn[number]?.item, item.until <= now else { continue }
            _ = waiting.takeBack(number)
            answer(item, .unknown)
        }
    }
}
