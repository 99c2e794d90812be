// Known ways in which the shell around a core loses data, or its order, as switches of the simulated shells: each breaks one rule, and a
// seed must notice.

package enum ClusterMutant: String, CaseIterable, Sendable {
    /// An append counts as durable when it has been handed to the disk. (R1)
    case takesHandedOverForDurable
    /// The right to answer is not looked at again after the engine has read. (R2)
    case answersUnconfirmedReads
    /// What the engine was told to do is said to be done before it is on disk. (M3)
    case speaksForEngineEarly
    /// The mirror of the topology is said to be on disk before it is. (M3)
    case speaksForMirrorEarly
    /// A start does not count as one. (E4)
    case keepsGeneration
    /// The leader's word counts from when it came, not from when it was asked for. (R6)
    case countsQuorumFromAnswer
    /// A coordinator says that it has a quorum without asking anybody. (R6, M4)
    case confirmsUnasked
}

/// One planted bug.
package enum ClusterBug: Hashable, Sendable, CustomStringConvertible {
    case shell(ClusterMutant)

    package static var all: [ClusterBug] { ClusterMutant.allCases.map(ClusterBug.shell) }

    package var description: String {
        switch self {
        case .shell(let mutant): "agent.\(mutant.rawValue)"
        }
    }
}
