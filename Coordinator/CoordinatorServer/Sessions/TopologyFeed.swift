// What the members of a coordinator group hand to those who watch: the newest topology, and the deltas that led to it lately. A
// watcher says where it stands and waits for what comes after; one that stands too far back gets the whole (rule T2).

package import Model
import Synchronization
import Transport

package final class TopologyFeed: Sendable {
    package enum Update: Hashable, Sendable {
        case deltas([TopologyDelta])
        case snapshot(Topology)
    }

    private struct State {
        var topology: Topology
        /// Each starts where the one before ended; the last one ends at the topology.
        var deltas: [TopologyDelta] = []
        /// Of those who watch, by the numbers under which they came.
        var bells: [UInt64: Doorbell] = [:]
        var lastBell: UInt64 = 0
    }

    private let retained: Int
    private let state: Mutex<State>

    /// - Parameter retained: deltas kept for watchers that come back.
    package init(_ topology: Topology, retained: Int = 4_096) {
        self.retained = retained
        state = Mutex(State(topology: topology))
    }

    package var topology: Topology { state.withLock { $0.topology } }

    /// Called after each commit that changed something, in commit order.
    package func publish(_ delta: TopologyDelta, leadingTo topology: Topology) {
        ringAfter { state in
            if state.topology.revision == delta.from { state.deltas.append(delta) } else { state.deltas = [] }
            // Half at a time, so that shifting the array costs nothing per delta.
            if state.deltas.count > 2 * retained { state.deltas.removeFirst(state.deltas.count - retained) }
            state.topology = topology
        }
    }

    /// Called when the state came from elsewhere than from deltas: a restart, or a snapshot from the leader.
    package func reset(_ topology: Topology) {
        ringAfter { state in
            guard state.topology.revision != topology.revision else { return }
            state.deltas = []
            state.topology = topology
        }
    }

    private func ringAfter(_ change: (inout sending State) -> Void) {
        let bells = state.withLock { state in
            change(&state)
            return state.bells
        }
        for bell in bells.values { bell.ring() }
    }

    /// Rings `bell` after each change, until it is removed.
    ///
    /// - Returns: what it is removed by.
    func add(_ bell: Doorbell) -> UInt64 {
        state.withLock { state in
            state.lastBell += 1
            state.bells[state.lastBell] = bell
            return state.lastBell
        }
    }

    func removeBell(_ number: UInt64) { state.withLock { _ = $0.bells.removeValue(forKey: number) } }

    /// What leads from `revision` to the newest; waits until there is something. A watcher that is ahead of this member waits too.
    ///
    /// - Returns: nil when the task was cancelled.
    package func updates(after revision: Revision) async -> Update? {
        if let update = update(after: revision) { return update }
        let bell = Doorbell()
        let number = add(bell)
        defer { removeBell(number) }
        return await withTaskCancellationHandler {
            while !Task.isCancelled {
                if let update = update(after: revision) { return update }
                await bell.wait()
            }
            return nil
        } onCancel: {
            bell.ring()
        }
    }

    /// What there is at once; nil when there is nothing.
    package func update(after revision: Revision) -> Update? {
        state.withLock { state in
            guard state.topology.revision > revision else { return nil }
            guard revision.history == state.topology.revision.history, let first = Self.place(of: revision, in: state.deltas)
            else { return .snapshot(state.topology) }
            return .deltas(Array(state.deltas[first...].prefix(256)))
        }
    }

    /// Where the delta stands that begins at `revision`. Halved again and again: every watcher asks after every commit.
    private static func place(of revision: Revision, in deltas: [TopologyDelta]) -> Int? {
        var (low, high) = (0, deltas.count)
        while low < high {
            let middle = (low + high) / 2
            if deltas[middle].from < revision { low = middle + 1 } else { high = middle }
        }
        return low < deltas.count && deltas[low].from == revision ? low : nil
    }
}
