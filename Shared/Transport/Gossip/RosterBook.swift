package import Membership
import Synchronization

/// Who should be there, put together from two sources that change apart: the configured group, and the committed topology.
///
/// A roster is taken before the next one can be put together. Between the two, another thread could put a newer one together and have
/// it taken first; the older one would be taken last, and would stay until the topology changes again.
package final class RosterBook: Sendable {
    private struct Sources {
        var coordinators: [RosterEntry]
        /// Who is in the topology that was adopted last.
        var agents: [RosterEntry] = []
    }

    private let sources: Mutex<Sources>

    package init(coordinators: [RosterEntry]) { sources = Mutex(Sources(coordinators: coordinators)) }

    /// In force with the next roster that is named.
    package func setCoordinators(_ entries: [RosterEntry]) { sources.withLock { $0.coordinators = entries } }

    /// - Parameters:
    ///   - agents: those of another topology than before; nil where it is the same.
    ///   - take: given all who should be there, in the order in which rosters are named. It is called under the lock, so it must not
    ///     come back here; a lock that it takes itself is never to be held by who comes here.
    package func name<Outcome>(_ agents: [RosterEntry]? = nil, taking take: ([RosterEntry]) -> Outcome) -> Outcome {
        sources.withLock { sources in
            if let agents { sources.agents = agents }
            return take(sources.coordinators + sources.agents)
        }
    }
}
