import Dispatch
import Foundation
import Identity
import Logging
import Model
import Testing
import Transport

@testable import AgentServer

/// The gateway as a stranger meets it: over a socket, with curl.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/curl")), .serialized)
struct GatewaySocketTests {
    @Test("rows over TLS; huge headers, garbage and cut-off requests end their own connection and no other")
    func hostile() async throws {
        let world = try await GatewayWorld()
        defer { world.remove() }
        let authority = try Authority.create(cluster: "test", at: BootClock.wallTime())
        let key = try PrivateKey.generate()
        let certificate = try authority.issue(
            try PeerIdentity(cluster: "test", role: .node, name: "n1"), publicKey: try key.publicKey(),
            addresses: ["127.0.0.1"],
            at: BootClock.wallTime())
        let identity = try TLSIdentity(certificate: certificate, key: key, authority: authority.certificate)
        let trust = world.folder.appending(path: "authority.crt")
        try authority.certificate.pem().write(to: trust, atomically: true, encoding: .utf8)
        let port = Int.random(in: 20_000..<30_000)
        let gateway = try Gateway(
            host: "127.0.0.1", port: port, tls: identity.httpsServer(), plane: world.plane, engine: world.engine,
            tokens: GatewayWorld.Tokens(), logger: Logger(label: "test"))
        let running = Task { try await gateway.run() }
        defer { running.cancel() }
        let base = ["--silent", "--cacert", trust.path, "--max-time", "10", "-H", "Authorization: Bearer writer"]
        let rows = "https://127.0.0.1:\(port)/v1/tables/things/rows"
        func curl(_ arguments: [String]) async throws -> String {
            try await output(base + ["-w", "%{http_code}"] + arguments)
        }
        let deadline = ContinuousClock.now + .seconds(60)
        while try await curl(["-g", "-X", "PUT", "-d", "{}", rows + "?key=[1]"]).hasSuffix("200") == false {
            try #require(ContinuousClock.now < deadline, "the gateway does not answer")
        }
        #expect(try await curl(["-g", rows + "?key=[1]"]).contains(#""row":{"id":1,"#))

        let long = String(repeating: "x", count: 17 * 1_024)
        #expect(try await curl(["-H", "X-Long: \(long)", rows]).hasSuffix("200") == false)
        let many = (0..<101).flatMap { ["-H", "X-\($0): y"] }
        #expect(try await curl(many + [rows]).hasSuffix("200") == false)
        // No TLS at all, and half a request.
        _ = try await output(["--silent", "--max-time", "2", "http://127.0.0.1:\(port)/"])
        #expect(
            try await curl(["-X", "PUT", "-H", "Content-Length: 100", "-d", "{", "--max-time", "1", rows + "?key=%5B1%5D"])
                .hasSuffix("200") == false)
        #expect(try await curl(["--tls-max", "1.1", rows]).hasSuffix("000"))
        #expect(try await curl(["-g", rows + "?key=[1]"]).hasSuffix("200"))
    }

    private func output(_ arguments: [String]) async throws -> String {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/curl")
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        return await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let data = pipe.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                continuation.resume(returning: String(decoding: data, as: UTF8.self))
            }
        }
    }
}
