import ArgumentParser
import Client
import Glibc

/// What the exit code tells a script.
enum ExitStatus: Int32, Error {
    case ok = 0
    case failure = 1
    case usage = 2
    case notFound = 3
    case notAllowed = 4
    case unhealthy = 5
    case preconditionFailed = 6
    case waitTimedOut = 7
    case partialSuccess = 8
    case noLeader = 9

    init(_ error: ClientError) {
        switch error {
        case .refused(let problem):
            switch (problem.status, problem.code) {
            case (_, "NO_LEADER"), (_, "NOT_LEADER"), (_, "RAFT_NO_QUORUM"): self = .noLeader
            case (404, _), (410, _): self = .notFound
            case (401, _), (403, _): self = .notAllowed
            case (409, _), (412, _), (428, _): self = .preconditionFailed
            case (400, _), (422, _): self = .usage
            default: self = .failure
            }
        case .invalid: self = .usage
        case .unreachable, .outcomeUnknown, .unexpectedAnswer: self = .failure
        }
    }
}

/// An end of a command that is not a success: what to say, and the exit code.
struct CommandFailure: Error {
    let status: ExitStatus
    let message: String
}

/// Messages go to standard error: standard output is data.
func say(_ message: String) {
    let line = Array((message + "\n").utf8)
    _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
}
