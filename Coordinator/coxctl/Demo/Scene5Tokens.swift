import Client
import FoundationEssentials
import KeyEncoding
import Launching
import Model

extension DemoRun {
    /// Shows three tokens that must be refused, and one that is good.
    mutating func tokens() async throws {
        let good = try await control.token(table: "packages", principal: context.principal, seconds: 600)
        guard try await answer(to: good) == 200 else { throw DemoFailure("a good token is refused") }
        var refused = 0
        // Not the very last character: its low bits may not count.
        var characters = Array(good)
        let place = characters.count - 10
        characters[place] = characters[place] == "A" ? "B" : "A"
        refused += try await expectRefusal(of: String(characters), called: "one whose signature was changed")
        if let expiredToken {
            _ = try await eventually("the short token to expire", within: 40) { () async throws -> Bool? in
                try await self.answer(to: expiredToken) == 401 ? true : nil
            }
            refused += try await expectRefusal(of: expiredToken, called: "one that has expired")
        }
        _ = try await control.call(.post, "/credentials:revoke", body: .object(["token": .string(good)]))
        let start = BootTime.now()
        _ = try await eventually("the revocation to reach the agents", within: 5, everyMilliseconds: 20) {
            () async throws -> Bool? in try await self.answer(to: good) == 401 ? true : nil
        }
        refused += try await expectRefusal(of: good, called: "one revoked \(seconds(since: start)) s ago")
        summary.tokensRefused = refused
    }

    private func expectRefusal(of token: String, called name: String) async throws -> Int {
        let status = try await answer(to: token)
        guard status == 401 else { throw DemoFailure("a token, \(name), is answered with \(status)") }
        narrator.step("\(name): refused")
        return 1
    }

    /// The status that a gateway answers to a read with `token`, at the primary of the row.
    private func answer(to token: String) async throws -> Int {
        let key = JSONValue.array([.string("dpkg")]).text
        let route = try await client.route(of: "packages")
        let gateway = route.partition(of: try route.layout.key(text: key))?.gateway ?? "127.0.0.1:\(cluster.agents[0].gateway)"
        return try await calls.call(
            .get, "https://\(gateway)/v1/tables/packages/rows?key=\(ControlClient.encode(key))",
            headers: [("authorization", "Bearer \(token)")], milliseconds: 2_000
        ).status
    }
}
