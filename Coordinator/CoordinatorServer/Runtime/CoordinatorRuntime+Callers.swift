// The runtime and those who wait for its answers: each waits under a number, which the core gives back with the answer.

import Catalog
import Consensus
package import CoordinatorCore
package import Model
import Metrics
import Transport

extension CoordinatorRuntime {
    /// Commits a command, here or through the leader; always answers, in time.
    package func commit(_ command: ProposedCommand) async -> CommandOutcome {
        guard !hasEnded else { return .noLeader }
        lastCaller += 1
        let caller = lastCaller
        counters.proposals += 1
        let start = ContinuousClock.now
        defer { commitTimer.recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1))) }
        return await withCheckedContinuation { continuation in
            callers[caller] = continuation
            step(.propose(command, caller: caller))
        }
    }

    /// Waits until this member's state is as new as everything answered before.
    package func refresh() async -> Bool {
        guard !hasEnded else { return false }
        lastCaller += 1
        let caller = lastCaller
        counters.linearizableReads += 1
        return await withCheckedContinuation { continuation in
            readers[caller] = continuation
            step(.read(caller: caller))
        }
    }

    /// Puts a wish that concerns the group itself; the leader alone grants it.
    package func steer(_ order: GroupOrder) async -> GroupOutcome {
        guard !hasEnded else { return .refused(.notLeader(nil)) }
        lastCaller += 1
        let caller = lastCaller
        return await withCheckedContinuation { continuation in
            steerers[caller] = continuation
            switch order {
            case .change(let changes): step(.changeMembers(changes, caller: caller))
            case .transfer(let successor): step(.transferLeadership(to: successor, caller: caller))
            }
        }
    }

    /// Before this process stops: lets another member lead.
    package func handOver() async {
        step(.stopRequested)
        while !mayStop {
            do { try await Task.sleep(for: .milliseconds(5)) } catch { return }
        }
    }

    package func take(_ report: NodeReport) { step(.loadReported(report)) }
    package func noteDeaths(_ report: DeathReport) { step(.deathsReported(report)) }
}
