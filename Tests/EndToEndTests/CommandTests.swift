import Foundation
import Testing

/// `coxctl` as people use it, against the running cluster.
extension ClusterTests {
    private func coxctl(
        _ cluster: Cluster, _ arguments: [String], within limit: Double = 60
    ) async throws -> Programs.Outcome {
        let context = cluster.folder.appending(path: "context.json").path
        return try await Programs.run("coxctl", arguments + ["--context", context], within: limit)
    }

    private func makeTextTable(_ cluster: Cluster, _ name: String) async throws {
        let created = try await coxctl(
            cluster,
            [
                "table", "create", name, "--column", "id:text", "--column", "field0:text", "--column", "size:integer",
                "--partition-key", "id", "--partitions", "2", "--split-key", #"["user000000000500"]"#,
            ])
        #expect(created.status == 0, "\(created)")
        let allowed = try await coxctl(cluster, ["policy", "set", name, "admin", "--actions", "read,write"])
        #expect(allowed.status == 0, "\(allowed)")
    }

    private func inFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "coxswain-command-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder)
    }

    private func count(_ cluster: Cluster, _ table: String) async throws -> Int {
        let rows = try await coxctl(cluster, ["row", "scan", table, "--limit", "100000"])
        #expect(rows.status == 0, "\(rows.error)")
        return rows.output.split(separator: "\n").count
    }

    @Test("an import brings every good line, and tells every bad one by its number", .timeLimit(.minutes(10)))
    func importing() async throws {
        let cluster = try await Cluster.whole()
        try await makeTextTable(cluster, "imported")
        try await inFolder { folder in
            var lines =
                ["id,field0,size"]
                + (2...2_001).map { line in
                    let digits = String(line)
                    return "user\(String(repeating: "0", count: 12 - digits.count))\(digits),\"a, \"\"b\"\"\",\(line)"
                }
            // Bad to our eyes: too few fields, a number that is none. To the table's: a row beyond its limit.
            lines[16] = "user-short,x"
            lines[41] = "user-word,x,many"
            lines[98] = "user-large,\(String(repeating: "x", count: 1_100_000)),1"
            let file = folder.appending(path: "rows.csv")
            try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)

            let outcome = try await coxctl(cluster, ["import", "imported", file.path, "-o", "json"])
            #expect(outcome.status == 8, "\(outcome)")
            let bad = outcome.error.split(separator: "\n").filter { $0.hasPrefix("line ") }
            #expect(bad.map { $0.split(separator: ":")[0] } == ["line 17", "line 42", "line 99"], "\(outcome.error)")
            #expect(outcome.output.contains(#""imported_rows":1997"#) && outcome.output.contains(#""bad_lines":3"#))
            #expect(try await count(cluster, "imported") == 1_997)
            #expect(FileManager.default.fileExists(atPath: file.path + ".coxctl-import.json") == false)
        }
    }

    @Test("an import that is killed goes on where it was", .timeLimit(.minutes(10)))
    func importKilled() async throws {
        let cluster = try await Cluster.whole()
        try await makeTextTable(cluster, "resumed")
        try await inFolder { folder in
            // Rows so large that there are many checkpoints among few.
            let body = String(repeating: "y", count: 200_000)
            let lines = (0..<100).map { "user-\($0),\(body),\($0)" }
            let file = folder.appending(path: "rows.csv")
            try Data(("id,field0,size\n" + lines.joined(separator: "\n") + "\n").utf8).write(to: file)
            let checkpoint = file.path + ".coxctl-import.json"
            let context = cluster.folder.appending(path: "context.json").path
            let first = try Running(
                "coxctl", ["import", "resumed", file.path, "--context", context], log: folder.appending(path: "log"))
            try await expectEventually("a checkpoint", within: 60) { FileManager.default.fileExists(atPath: checkpoint) }
            first.kill()
            try #require(FileManager.default.fileExists(atPath: checkpoint), "it was over before it was killed")

            let second = try await coxctl(cluster, ["import", "resumed", file.path])
            #expect(second.status == 0, "\(second)")
            #expect(second.error.contains("going on at line"), "\(second)")
            #expect(try await count(cluster, "resumed") == 100)
        }
    }

    @Test(
        "a load that is killed leaves a ledger, by which another process finds every acknowledged write",
        .timeLimit(.minutes(10)))
    func ledger() async throws {
        let cluster = try await Cluster.whole()
        try await makeTextTable(cluster, "audited")
        try await inFolder { folder in
            let file = folder.appending(path: "ledger")
            let context = cluster.folder.appending(path: "context.json").path
            let load = try Running(
                "coxctl",
                [
                    "workload", "run", "ycsb-a", "--table", "audited", "--records", "200", "--seconds", "100", "--ledger",
                    file.path,
                    "--context", context,
                ], log: folder.appending(path: "log"))
            func acknowledged() -> Int {
                let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
                return text.split(separator: "\n").count { $0.hasPrefix("acknowledged\t") }
            }
            try await expectEventually("500 acknowledged writes", within: 60) { acknowledged() > 500 }
            load.kill()

            let audit = try await coxctl(cluster, ["workload", "audit", "--ledger", file.path, "-o", "json"])
            #expect(audit.status == 0, "\(audit)")
            let found = try JSONDecoder().decode([String: JSON].self, from: Data(audit.output.utf8))
            #expect(found["acknowledged_writes"]?.number.map(Int.init) == acknowledged())
            #expect(found["lost_writes"]?.number == 0 && found["audited_keys"]?.number == 200)

            // Somebody else writes over a row: by the ledger, that is a loss.
            let foreign = try await coxctl(
                cluster, ["row", "put", "audited", #"["user000000000007"]"#, #"{"field0":"other"}"#])
            #expect(foreign.status == 0, "\(foreign)")
            let second = try await coxctl(cluster, ["workload", "audit", "--ledger", file.path, "-o", "json"])
            #expect(second.status == 1 && second.error.contains("user000000000007: other in place of"), "\(second)")
        }
    }

    @Test(
        "coxctl reads and writes with every coordinator dead, given a token and one agent's status endpoint",
        .timeLimit(.minutes(10)))
    func withoutCoordinators() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("alone")
        let writeOnly = try await cluster.token(for: "alone", actions: ["write"])
        try await inFolder { folder in
            let (file, writer) = (folder.appending(path: "token"), folder.appending(path: "write-only"))
            try Data(rows.token.utf8).write(to: file)
            try Data(writeOnly.utf8).write(to: writer)
            cluster.kill(Cluster.coordinators)
            let status = "http://127.0.0.1:\(try #require(cluster.agentPorts["n4"]).status)"
            let key = #"["x"]"#
            for (arguments, token) in [
                (["put", "alone", key, #"{"value": 7}"#], file), (["get", "alone", key], file),
                (["put", "alone", key, #"{"value": 8}"#], writer),
            ] {
                let outcome = try await coxctl(
                    cluster, ["row"] + arguments + ["--gateways", status, "--token-file", token.path], within: 30)
                #expect(outcome.status == 0, "\(arguments): \(outcome)")
            }
            #expect(try await rows.get("x") == 8)
        }
    }
}
