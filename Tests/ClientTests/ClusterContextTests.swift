import Client
import Foundation
import Identity
import Model
import Testing

@Suite struct ClusterContextTests {
    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "coxswain-context-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    private func refusal(_ path: String, tokenFile: String? = nil) -> String {
        do throws(ClientError) {
            let context = try ClusterContext(path: path, tokenFile: tokenFile)
            return "taken: \(context.principal)"
        } catch {
            return error.description
        }
    }

    private let start = #"{"cluster":"demo","cluster_id":"0123456789abcdef0123456789abcdef","endpoints":["https://h:1"]"#

    @Test("what is missing or wrong is told by its file, in words, with what to do")
    func refusals() throws {
        try inFolder { folder in
            let path = folder + "/context.json"
            #expect(refusal(path).hasPrefix("context \(path): No such file or directory\n  hint: give --context"))
            for (text, reason) in [
                ("{", "is not JSON"), (start + "}", "authority is missing"),
                (start + #","authority":7}"#, "authority has another type than it should"),
            ] {
                try Data(text.utf8).write(to: URL(filePath: path))
                #expect(refusal(path) == "context \(path): \(reason)")
            }
            try Data((start + #","authority":"authority.crt"}"#).utf8).write(to: URL(filePath: path))
            #expect(refusal(path) == "the context's authority \(folder)/authority.crt: No such file or directory")
            let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
            let authority = try Authority.create(cluster: "demo", at: now)
            try Data(authority.certificate.pem().utf8).write(to: URL(filePath: folder + "/authority.crt"))
            #expect(refusal(path).contains("names no certificate") && refusal(path).contains("--operator-token-file"))
            let token = folder + "/token"
            #expect(refusal(path, tokenFile: token) == "operator token \(token): No such file or directory")
            try Data("a.b\n".utf8).write(to: URL(filePath: token))
            #expect(refusal(path, tokenFile: token) == "operator token \(token): the token cannot be read: not three parts")
        }
    }
}
