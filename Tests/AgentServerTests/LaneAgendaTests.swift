import Model
import Testing

@testable import AgentServer

/// The order in which a storage's lane does what it is asked.
@Suite struct LaneAgendaTests {
    private let left = PartitionID(1)
    private let right = PartitionID(2)
    private let merged = PartitionID(3)
    private let neighbour = PartitionID(4)
    private let now = LogicalInstant(microseconds: 0)

    private var merge: EngineJob {
        let parents = [left, right].map { MergedPartition(partition: $0, end: .zero) }
        let child = PartitionDescriptor(
            id: merged, table: TableID(1), range: .all, epoch: Epoch(2), primary: nil, replicas: [], status: .active,
            parents: parents)
        return .split(left, children: [child])
    }

    /// What is due while `held` waits for room, in order, if each succeeds.
    private func removed(_ jobs: [EngineJob], behind held: EngineJob? = nil) -> [PartitionID?] {
        var agenda = LaneAgenda()
        agenda.add(jobs)
        var done: [PartitionID?] = []
        while let index = agenda.dueChore(at: now, behind: held) {
            done.append(agenda.chores[index].job.partition)
            agenda.finish(index)
        }
        return done
    }

    @Test("no removal goes past a merge that waits of what is merged, or of what comes of it; a neighbour's does (M2)")
    func removalsBehindMerge() {
        for id in [left, right, merged] {
            #expect(removed([.remove(id), .remove(neighbour)], behind: merge) == [neighbour], "\(id)")
            #expect(removed([merge, .remove(id), .remove(neighbour)]) == [neighbour], "\(id), not begun")
        }
        #expect(removed([.remove(right)], behind: .apply(left, [])) == [right])
    }

    @Test("a merge comes behind the removal of any of those that it concerns which was asked for before (M2)")
    func mergeBehindRemovals() {
        for id in [left, right, merged] {
            #expect(removed([.remove(id), merge]) == [id, left])
        }
        var agenda = LaneAgenda()
        agenda.add([.remove(neighbour), merge])
        #expect(agenda.hasPrompt)
    }
}
