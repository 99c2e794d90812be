// The frame of a program that serves until it is told to stop: how it reads its command line, says what is wrong, and ends.

package import ArgumentParser
package import Logging
import LogStorage
package import Model

/// What is running, as `--version` says it and as a node tells the cluster.
package enum Product {
    package static let version = "0.1.0"
}

/// A command that runs a member. A wrong command line and wrong settings end with 2, a full disk as any disk that fails
/// (`DiskFailureResponse.exitStatus`), everything else that is wrong with 1, and the reason is one line on standard error.
package protocol MemberProgram: AsyncParsableCommand {}

extension MemberProgram {
    /// The whole life of the process: `main` calls it and nothing else.
    package static func live() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as InvalidValue {
            StandardError.write("\(_commandName): \(error)\n")
            exit(withError: ExitCode(2))
        } catch {
            switch exitCode(for: error) {
            case .success: exit(withError: error)
            case .validationFailure:
                StandardError.write(fullMessage(for: error) + "\n")
                exit(withError: ExitCode(2))
            default:
                StandardError.write("\(_commandName): \(error)\n")
                exit(withError: ExitCode(MemberExit.status(after: error)))
            }
        }
    }
}

package enum MemberExit {
    /// What a program ends with after an error of its work: whoever starts it again can tell what may pass from what does not.
    package static func status(after error: any Error) -> Int32 {
        (error as? any SpaceError)?.isForLackOfSpace == true ? DiskFailureResponse.exitStatus : 1
    }
}

/// How much is logged, from a flag or from a settings file.
package enum LogLevel {
    package static func parse(_ name: String, field: String) throws(InvalidValue) -> Logger.Level {
        guard let level = Logger.Level(rawValue: name) else {
            let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw InvalidValue(field: field, detail: "'\(name)' is none of: \(known)")
        }
        return level
    }
}
