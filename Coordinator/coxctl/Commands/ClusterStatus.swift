import ArgumentParser
import Client
import KeyEncoding

struct ClusterStatus: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Health at one glance. Exit code 5 unless all is well.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        let status = try await session.ask(.get, "/cluster/status").body
        switch session.options.output {
        case .json: print(status.prettyText)
        case .table: print(Self.glance(status).joined(separator: "\n"))
        }
        guard status["health"]?.string == "OK" else { throw CommandFailure(status: .unhealthy, message: "") }
    }

    /// One line of what is, and one for each finding.
    static func glance(_ status: JSONValue) -> [String] {
        func text(_ path: String...) -> String {
            var value: JSONValue? = status
            for name in path { value = value?[name] }
            return value?.plain ?? "-"
        }
        let findings = status["findings"]?.array ?? []
        let health = text("health") + (findings.isEmpty ? "" : "(\(findings.count))")
        let parts = [
            "CLUSTER \(text("name")) (\(text("id").prefix(8)))", "HEALTH \(health)",
            "NODES \(text("nodes", "healthy"))/\(text("nodes", "total")) healthy", "ZONES \(text("zones"))",
            "TABLES \(text("tables"))",
            "PARTITIONS \(text("partitions", "total")), \(text("partitions", "under_replicated")) under-replicated, "
                + "\(text("partitions", "without_primary")) without primary",
            "OPERATIONS \(text("operations_running"))",
            "RAFT leader=\(text("raft", "leader")) term=\(text("raft", "term")) tolerance=\(text("raft", "tolerance"))",
        ]
        return [parts.joined(separator: "  ")]
            + findings.map { "  \(text("health")) \($0["code"]?.plain ?? "-")  \($0["detail"]?.plain ?? "")" }
    }
}
