import ArgumentParser
import Client
import KeyEncoding

struct ClusterStatus: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Health at one glance. Exit code 5 unless all is well.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        let status = try await session.ask(.get, "/cluster/status").body
        let health = status["health"]?.plain ?? status["health"]?["status"]?.plain ?? status["status"]?.plain ?? "UNKNOWN"
        if session.options.output == .json {
            print(status.prettyText)
        } else {
            print("CLUSTER \(session.context.cluster)  HEALTH \(health)")
            for line in Self.lines(status, under: "") { print("  " + line) }
        }
        guard ["OK", "HEALTHY"].contains(health.uppercased()) else {
            throw CommandFailure(status: .unhealthy, message: "")
        }
    }

    /// Every scalar of a document with the way to it.
    static func lines(_ value: JSONValue, under path: String) -> [String] {
        switch value {
        case .scalar(let scalar): ["\(path): \(value.string ?? scalar.text)"]
        case .array(let elements):
            elements.enumerated().flatMap { lines($0.element, under: "\(path)[\($0.offset)]") }
        case .object(let members):
            members.sorted { $0.key < $1.key }.flatMap { lines($0.value, under: path.isEmpty ? $0.key : "\(path).\($0.key)") }
        }
    }
}
