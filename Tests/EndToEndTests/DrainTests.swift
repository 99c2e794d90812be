import Foundation
import NIOHTTP1
import Testing

/// A rolling restart's one step, as an operator takes it.
extension ClusterTests {
    private func coxctl(_ cluster: Cluster, _ arguments: [String]) async throws -> Programs.Outcome {
        let context = cluster.folder.appending(path: "context.json").path
        return try await Programs.run("coxctl", arguments + ["--context", context], within: 300)
    }

    /// The two letters beside the node's name.
    private func state(of node: String, in cluster: Cluster) async throws -> String {
        let list = try await coxctl(cluster, ["node", "list"])
        let line = list.output.split(separator: "\n").map { $0.split(separator: " ") }.first { $0.count > 1 && $0[1] == node }
        return try String(#require(line?.first, "\(list)"))
    }

    @Test(
        "a node is drained under load, started again and taken back; its primaries left by transfers, and no write is lost",
        .timeLimit(.minutes(10)))
    func drainAndRestart() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("drained")
        let route = try await cluster.route("drained", key: #"["d"]"#)
        let partition = try #require(route["partition_id"]?.string)
        let node = try #require(route["primary"]?.string)
        let load = Load(rows)
        let checked = try await load.during(prefix: "d") {
            try await load.goesOn()
            let start = ContinuousClock.now
            let drained = try await coxctl(
                cluster, ["node", "drain", node, "--wait-seconds", "240", "--reason", "a new kernel"])
            #expect(drained.status == 0 && drained.output.contains("\(node) is drained"), "\(drained)")
            #expect(drained.error.contains("coxctl node undrain \(node)"))
            try await expectEventually("it is shown as drained", within: 10) {
                try await self.state(of: node, in: cluster) == "UR"
            }
            let operations = try await cluster.api(.GET, "/operations").json["operations"]?.array ?? []
            // The newest first. A hand-over that comes to nothing on a busy machine is one all the same.
            let ours = operations.filter { $0["partition"]?.string == partition }.reversed()
            #expect(ours.first?["kind"]?.string == "transfer-primary", "\(operations)")
            #expect(ours.contains { $0["kind"]?.string == "move" && $0["phase"]?.string == "succeeded" }, "\(operations)")

            // Nothing is led there and nothing is held there: nobody notices.
            let before = try await cluster.route("drained", key: #"["d"]"#)
            let process = try #require(cluster.process(node))
            process.terminate()
            try await expectEventually("its end", within: 10) { !process.isRunning }
            try cluster.start(node)
            let undrained = try await coxctl(cluster, ["node", "undrain", node])
            #expect(undrained.status == 0, "\(undrained)")
            let waited = try await coxctl(cluster, ["node", "wait", node, "--wait-seconds", "120"])
            #expect(waited.status == 0, "\(waited)")
            try await expectEventually("it is shown as any other", within: 10) {
                try await self.state(of: node, in: cluster) == "UN"
            }
            let after = try await cluster.route("drained", key: #"["d"]"#)
            #expect(before["primary"] == after["primary"])
            try await load.goesOn()
            let gap = load.longestGap(after: start)
            print("\(node) drained and started again: the longest time without an acknowledgement was \(gap)")
            #expect(gap < .milliseconds(400) * patience)
        }
        #expect(checked > 0)
        let again = try await coxctl(cluster, ["node", "undrain", node])
        #expect(again.status == 0 && again.output.contains("\(node) is healthy"), "\(again)")
        let placed = try await cluster.makeTable("drained_again", factor: 5)
        #expect(try await placed.put("x", 1) == .acknowledged)
        _ = try await cluster.api(.DELETE, "/tables/drained_again")
        let missing = try await coxctl(cluster, ["node", "drain", "n99"])
        #expect(missing.status == 3, "\(missing)")
    }
}
