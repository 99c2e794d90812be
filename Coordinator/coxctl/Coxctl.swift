import ArgumentParser

@main struct Coxctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coxctl", abstract: "Steers a Coxswain cluster.", subcommands: [Cluster.self, Demo.self])
}

struct Cluster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The cluster as a whole.", subcommands: [ClusterInit.self])
}
