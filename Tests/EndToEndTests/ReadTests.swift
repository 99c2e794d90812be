import Foundation
import NIOHTTP1
import Testing

/// Reads that may be a little old, against the running cluster.
extension ClusterTests {
    @Test("a follower answers a bounded read, or names the primary where it cannot be so new; coxctl goes on to that")
    func boundedReads() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("aged")
        #expect(try await rows.put("ada", 7) == .acknowledged)
        let route = try await cluster.route("aged", key: #"["ada"]"#)
        let primary = try #require(route["gateway"]?.string)
        let followers = (route["replicas"]?.array ?? []).compactMap { $0["gateway"]?.string }.filter { $0 != primary }
        #expect(followers.count == 2)
        func read(_ gateway: String, _ milliseconds: Int) async throws -> HTTP.Answer {
            try await cluster.clients.send(
                .GET,
                "https://\(gateway)/v1/tables/aged/rows?key=\(#"["ada"]"#.percentEncoded)&consistency=bounded"
                    + "&max_staleness_ms=\(milliseconds)", headers: [("authorization", "Bearer \(rows.token)")])
        }
        for follower in followers {
            try await expectEventually("an answer no older than 2 s from \(follower)", within: 20) {
                let answer = try await read(follower, 2_000)
                return answer.status == 200 && answer.text.contains("7")
            }
            // An acknowledgement and the beacon after it take longer than this.
            let stale = try await read(follower, 1)
            #expect(stale.status == 503 && stale.code == "TOO_STALE", "\(stale)")
            #expect(stale.json["partition"]?["gateway"]?.string == primary, "\(stale.text)")
        }
        #expect(try await read(primary, 1).status == 200)
        let context = cluster.folder.appending(path: "context.json").path
        let allowed = try await Programs.run(
            "coxctl", ["policy", "set", "aged", "admin", "--actions", "read", "--context", context], within: 30)
        #expect(allowed.status == 0, "\(allowed)")
        for _ in 0..<4 {
            let shown = try await Programs.run(
                "coxctl",
                ["row", "get", "aged", #"["ada"]"#, "--max-staleness", "1", "--context", context], within: 30)
            #expect(shown.status == 0 && shown.output.contains("7"), "\(shown)")
        }
    }
}
