import ArgumentParser
import Model
import Settings

@main struct Coxctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coxctl", abstract: "Steers a Coxswain cluster.", version: "coxctl \(Product.version)",
        subcommands: [
            Cluster.self, Node.self, Table.self, Partition.self, Op.self, Config.self, Policy.self, Token.self, User.self,
            Row.self, RaftGroup.self, KeyGroup.self, IncidentGroup.self,
            Import.self, Workload.self, Demo.self, Debug.self,
        ])

    /// As ArgumentParser does it, but a wrong usage ends with 2, as scripts expect, and so does a value that cannot be.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as InvalidValue {
            say("error: \(error)")
            exit(withError: ExitCode(ExitStatus.usage.rawValue))
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            say(fullMessage(for: error))
            exit(withError: ExitCode(ExitStatus.usage.rawValue))
        }
    }
}

struct Cluster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The cluster as a whole.", subcommands: [ClusterInit.self, ClusterStatus.self])
}
