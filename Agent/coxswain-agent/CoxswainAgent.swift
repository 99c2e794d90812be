import AgentServer
import ArgumentParser
import Settings

@main
struct CoxswainAgent: MemberProgram {
    static let configuration = CommandConfiguration(
        commandName: "coxswain-agent", abstract: "The agent beside one database node of a Coxswain cluster.",
        discussion: "Logs go to standard error, one JSON object a line. SIGTERM and SIGINT end it in good order.",
        version: "coxswain-agent \(Product.version)")

    @Option(help: ArgumentHelp("The agent's settings: a JSON5 file.", valueName: "file"))
    var config: String

    @Option(
        help: ArgumentHelp("trace, debug, info, notice, warning, error or critical; wins over the file.", valueName: "level"))
    var logLevel: String?

    static func main() async { await live() }

    @Flag(
        help: "If the data folder turns out damaged: set its data aside and start as an empty node, to be filled by the others."
    )
    var replaceDamaged = false

    func run() async throws {
        let level = try logLevel.map { try LogLevel.parse($0, field: "--log-level") }
        let settings = try AgentConfiguration(file: config)
        try await AgentProcess.run(settings, logLevel: level ?? settings.logLevel, replacesDamaged: replaceDamaged)
    }
}
