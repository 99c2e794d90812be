// How much room the disk under a log has, as a state with a bound and a little inertia: a full disk is met while there is still
// something left to act with, and not in the middle of a write.

package enum DiskSpace: Hashable, Sendable, CustomStringConvertible {
    /// Can move to: nearlyFull, full.
    case ample(free: Int)
    /// Less than the bound is free, or the next segment could not be reserved. What is written still fits into what was reserved;
    /// nothing new is to be admitted. Can move to: ample, full.
    case nearlyFull(free: Int, bound: Int)
    /// A write waits until there is space. Nothing of it is on the disk, and nothing behind it is written before it.
    /// Can move to: nearlyFull, ample.
    case full(free: Int, bound: Int)

    /// Whether new work may be taken on.
    package var admits: Bool {
        if case .ample = self { true } else { false }
    }

    package var free: Int {
        switch self {
        case .ample(let free), .nearlyFull(let free, _), .full(let free, _): free
        }
    }

    /// What a look at the disk makes of the state.
    ///
    /// - Parameters:
    ///   - isReserved: whether the next segment is there, or could be made.
    ///   - isWaiting: whether a write waits for space.
    func seen(free: Int, bound: Int, isReserved: Bool, isWaiting: Bool) -> DiskSpace {
        if isWaiting { return .full(free: free, bound: bound) }
        // Once below, a quarter more than the bound must be free, or a disk at its edge would open and shut admission all the time.
        let wanted = admits ? bound : bound + bound / 4
        return isReserved && free >= wanted ? .ample(free: free) : .nearlyFull(free: free, bound: bound)
    }

    package var description: String {
        switch self {
        case .ample(let free): "\(free) bytes free"
        case .nearlyFull(let free, let bound): "nearly full: \(free) bytes free, \(bound) wanted"
        case .full(let free, let bound): "full: \(free) bytes free, \(bound) wanted, and a write waits"
        }
    }
}
