import ArgumentParser
import CoordinatorServer
import Settings

@main
struct CoxswainCoordinator: MemberProgram {
    static let configuration = CommandConfiguration(
        commandName: "coxswain-coordinator", abstract: "A member of a Coxswain cluster's coordinator group.",
        discussion: "Logs go to standard error, one JSON object a line. SIGTERM and SIGINT end it in good order.",
        version: "coxswain-coordinator \(Product.version)")

    @Option(help: ArgumentHelp("The coordinator's settings: a JSON5 file.", valueName: "file"))
    var config: String

    @Option(
        help: ArgumentHelp("trace, debug, info, notice, warning, error or critical; wins over the file.", valueName: "level"))
    var logLevel: String?

    static func main() async { await live() }

    func run() async throws {
        let level = try logLevel.map { try LogLevel.parse($0, field: "--log-level") }
        let settings = try CoordinatorConfiguration(file: config)
        try await CoordinatorProcess.run(settings, logLevel: level ?? settings.logLevel)
    }
}
