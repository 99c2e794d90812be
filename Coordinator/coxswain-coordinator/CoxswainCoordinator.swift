import ArgumentParser
import CoordinatorServer
import Logging

@main
struct CoxswainCoordinator: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coxswain-coordinator", abstract: "A member of a Coxswain cluster's coordinator group.")

    @Option(help: "The coordinator's settings: a JSON5 file.")
    var config: String

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    func run() async throws {
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("--log-level '\(logLevel)' is none of: trace, debug, info, notice, warning, error, critical")
        }
        let settings = try CoordinatorConfiguration(file: config)
        var logger = Logger(label: "coxswain-coordinator") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        logger[metadataKey: "node"] = "\(settings.node)"
        try await CoordinatorProcess.run(settings, logger: logger)
    }
}
