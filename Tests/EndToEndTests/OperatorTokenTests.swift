import Foundation
import NIOHTTP1
import Testing

extension ClusterTests {
    @Test(
        "an operator token steers the cluster without a certificate, as far as its role goes and until it is revoked",
        .timeLimit(.minutes(10)))
    func operatorTokens() async throws {
        let cluster = try await Cluster.whole()
        let folder = FileManager.default.temporaryDirectory.appending(path: "coxswain-operator-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let founder = cluster.folder.appending(path: "context.json").path
        let file = folder.appending(path: "night.token").path

        let issued = try await Programs.run(
            "coxctl",
            [
                "user", "issue", "night", "--role", "operator", "--ttl", "600", "--out", file, "-o", "json", "--reason",
                "a test",
                "--context", founder,
            ])
        #expect(issued.status == 0, "\(issued)")
        let said = try JSONDecoder().decode([String: JSON].self, from: Data(issued.output.utf8))
        let id = try #require(said["jti"]?.string)
        #expect(said["principal"]?.string == "operator/night" && said["role"]?.string == "operator" && said["token"] == nil)
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let token = try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(!issued.output.contains(token) && !issued.error.contains(token))

        // A context without any certificate: the authority that is trusted, and the token.
        let context = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: founder))) as? [String: Any]
        var own = try #require(context)
        for name in ["certificate", "key"] { own[name] = nil }
        own["authority"] = cluster.folder.appending(path: "authority.crt").path
        let bare = folder.appending(path: "bare.json")
        try JSONSerialization.data(withJSONObject: own).write(to: bare)
        own["operator_token_file"] = "night.token"
        let mine = folder.appending(path: "context.json")
        try JSONSerialization.data(withJSONObject: own).write(to: mine)

        func coxctl(_ arguments: [String], _ context: URL) async throws -> Programs.Outcome {
            try await Programs.run("coxctl", arguments + ["--context", context.path], within: 60)
        }
        #expect(try await coxctl(["node", "list"], bare).status == 2)
        #expect(try await coxctl(["node", "list", "--operator-token-file", file], bare).status == 0)
        #expect(try await coxctl(["config", "set", "global", "app.shift", "\"night\""], mine).status == 0)
        let beyond = try await coxctl(["policy", "set", "none", "bob", "--actions", "read"], mine)
        #expect(beyond.status == 4 && beyond.error.contains("NOT_ALLOWED"), "\(beyond)")
        let begotten = try await coxctl(["user", "issue", "eve", "--role", "viewer"], mine)
        #expect(begotten.status == 4 && begotten.output.isEmpty, "\(begotten)")
        let data = folder.appending(path: "data.token")
        _ = try await cluster.makeTable("operated")
        try Data(try await cluster.token(for: "operated").utf8).write(to: data)
        let wrong = try await coxctl(["node", "list", "--operator-token-file", data.path], bare)
        #expect(wrong.status == 4 && wrong.error.contains("TOKEN_WRONG_AUDIENCE"), "\(wrong)")

        // Every member judges it, leader or not.
        func ask(_ member: String, _ token: String?) async throws -> HTTP.Answer {
            let port = try #require(cluster.coordinatorPorts[member]).api
            return try await cluster.clients.send(
                .GET, "https://127.0.0.1:\(port)/api/v1/config/global",
                headers: token.map { [("authorization", "Bearer \($0)")] } ?? [])
        }
        for member in Cluster.coordinators {
            let answer = try await ask(member, token)
            #expect(answer.status == 200 && answer.json["app.shift"]?.string == "night", "\(member): \(answer.text)")
            #expect(try await ask(member, nil).code == "NOT_AUTHENTICATED")
        }
        let revoked = try await Programs.run("coxctl", ["token", "revoke", "--id", id, "--context", founder])
        #expect(revoked.status == 0, "\(revoked)")
        try await expectEventually("the revocation is at every member", within: 5) {
            for member in Cluster.coordinators where try await ask(member, token).code != "TOKEN_REVOKED" { return false }
            return true
        }
        let refused = try await coxctl(["node", "list"], mine)
        #expect(refused.status == 4 && refused.error.contains("TOKEN_REVOKED") && !refused.error.contains(token), "\(refused)")
        for member in Cluster.coordinators {
            let log = try String(contentsOf: cluster.folder.appending(path: "\(member).out"), encoding: .utf8)
            #expect(!log.contains(token), "\(member) has logged the token")
        }
    }
}
