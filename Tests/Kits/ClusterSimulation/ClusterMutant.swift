// Known ways to lose data, or its order: in the shell around an agent's core, as switches of the simulated one, and in the cores, in a build
// with MUTANTS. Each breaks one rule, and a seed must notice.

package import Model

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
    /// A new disk counts its starts anew, whatever the one before it has come to. (E4)
    case forgetsPredecessors
    /// What a node that is gone was to hold is put nowhere else. (F4)
    case neverRepairs
    /// The leader's word counts from when it came, not from when it was asked for. (R6)
    case countsQuorumFromAnswer
    /// A coordinator says that it has a quorum without asking anybody. (R6, M4)
    case confirmsUnasked
    /// Segments of the log go before the records that stand for them are on disk. (R9)
    case dropsBeforeCheckpoint
    /// Every segment but the last goes, whatever of it is in no engine. (R9)
    case dropsWhatIsNeeded
    /// What one partition keeps in memory keeps all segments behind it. (R9)
    case keepsLaggards
    /// A write that is sent again is ordered like any other. (R8)
    case ordersRepeats
    /// Halves know nothing of the writes that the whole remembered. (R8)
    case splitsForgetWrites
    /// A whole knows nothing of the writes that its halves remembered. (R8)
    case mergesForgetWrites
    /// Only a primary remembers writes: who is promoted knows of none. (R8)
    case followersForgetWrites
    /// A snapshot has the rows, and not what is remembered of writes. (R8)
    case copiesNoWrites
    /// A bounded read is answered however old the rows are. (M9)
    case answersAtAnyAge
    /// A read that need not be strong is answered with what was last in the log, which may be cut. (R2, M9)
    case readsLog
}

/// One planted bug, wherever it is planted.
package enum ClusterBug: Hashable, Sendable, CustomStringConvertible {
    case shell(ClusterMutant)
    /// Only in a build with the condition MUTANTS.
    case rule(RuleMutant)

    package static var all: [ClusterBug] {
        #if MUTANTS
            ClusterMutant.allCases.map(ClusterBug.shell) + RuleMutant.allCases.map(ClusterBug.rule)
        #else
            ClusterMutant.allCases.map(ClusterBug.shell)
        #endif
    }

    package var rule: RuleMutant? { if case .rule(let mutant) = self { mutant } else { nil } }

    package var description: String {
        switch self {
        case .shell(let mutant): "agent.\(mutant.rawValue)"
        case .rule(let mutant): "rule.\(mutant.rawValue)"
        }
    }
}
