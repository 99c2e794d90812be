import AgentServer
import ArgumentParser
import Logging

@main
struct CoxswainAgent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coxswain-agent", abstract: "The agent beside one database node of a Coxswain cluster.")

    @Option(help: "The agent's settings: a JSON5 file.")
    var config: String

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    func run() async throws {
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("--log-level '\(logLevel)' is none of: trace, debug, info, notice, warning, error, critical")
        }
        let settings = try AgentConfiguration(file: config)
        var logger = Logger(label: "coxswain-agent") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        logger[metadataKey: "node"] = "\(settings.node)"
        try await AgentProcess.run(settings, logger: logger)
    }
}
