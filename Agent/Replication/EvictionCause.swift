// Why a member is asked to leave an in-sync set, told where it is asked: the catalog says only that it left.

/// Why a member is to leave an in-sync set (rules R3, E4, F6).
package enum EvictionCause: Hashable, Sendable {
    /// It has not taken in for too long what is on the primary's disk (rule R3).
    case owes
    /// It answers nothing, so that there is no lease of its (rules R3, L1).
    case isMute
    /// Its log ends below what it acknowledged (rule E4).
    case hasLost
    /// It does not show its log to a primary that opens its term (rule E4).
    case isHidden
    /// The node's own engine does not take in what is committed, as on a full disk (rule F6).
    case engineIsStuck
    /// Nothing reaches the disk of the node's own log (rules L3, F6).
    case logIsStuck
    /// The node's own copy is damaged (rules E4, F6).
    case isDamaged
    /// The node's own engine has not made what a split or a merge has left it (rule F6).
    case isNotInstalled
}

extension EvictionCause: CustomStringConvertible {
    package var description: String {
        switch self {
        case .owes: "it does not take in what is written"
        case .isMute: "it does not answer"
        case .hasLost: "it has lost what it acknowledged"
        case .isHidden: "it does not show its log"
        case .engineIsStuck: "its engine does not take in what is committed"
        case .logIsStuck: "nothing reaches the disk of its log"
        case .isDamaged: "its copy is damaged"
        case .isNotInstalled: "its engine has not made what a split or a merge has left"
        }
    }
}
