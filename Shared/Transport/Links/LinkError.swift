/// Why a link ended, or did not come to be. Whatever was on its way may or may not have arrived.
package enum LinkError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The peer, the network or this side closed it.
    case closed
    /// The peer's machine answered that nobody listens there.
    case refused(String)
    /// Nobody was reached: no route, name not found.
    case unreachable(String)
    /// The certificates, or the TLS session, did not hold.
    case insecure(String)
    /// The peer's first frame did not fit: another cluster, another name than its certificate's, a role that may not have this
    /// conversation.
    case refusedHello(String)
    /// The peer announced a frame above the limit; it was not read.
    case oversizeFrame(bytes: Int, limit: Int)
    case timedOut
    /// The waiting task was cancelled; the link lives on.
    case cancelled

    package var description: String {
        switch self {
        case .closed: "the link was closed"
        case .refused(let detail): "connection refused: \(detail)"
        case .unreachable(let detail): "unreachable: \(detail)"
        case .insecure(let detail): "insecure: \(detail)"
        case .refusedHello(let detail): "hello refused: \(detail)"
        case .oversizeFrame(let bytes, let limit): "a frame of \(bytes) bytes is above the limit of \(limit)"
        case .timedOut: "timed out"
        case .cancelled: "cancelled"
        }
    }
}
