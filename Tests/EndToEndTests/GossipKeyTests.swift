import Foundation
import NIOHTTP1
import Testing

/// Gossip keys exchanged under running programs.
extension ClusterTests {
    private func coxctl(_ cluster: Cluster, _ arguments: [String]) async throws -> Programs.Outcome {
        let context = cluster.folder.appending(path: "context.json").path
        return try await Programs.run("coxctl", arguments + ["--context", context], within: 120)
    }

    /// What the members that run have counted of a family, all labels together.
    private func total(_ family: String, _ cluster: Cluster, of members: [String]) async throws -> [String: Double] {
        var totals: [String: Double] = [:]
        for name in members {
            totals[name] = try await cluster.meters(of: name).total(family)
        }
        return totals
    }

    /// Those by whose word the ring is theirs, the record's.
    private func inStep(_ cluster: Cluster) async throws -> Set<String> {
        let members = try await cluster.api(.GET, "/keys/gossip").json["members"]?.array ?? []
        return Set(members.filter { $0["in_step"] == .boolean(true) }.compactMap { $0["node_id"]?.string })
    }

    private func primary(_ cluster: Cluster) async throws -> String {
        try #require(try await cluster.api(.GET, "/keys/gossip").json["primary"]?.string)
    }

    private func keyFile(of name: String, _ cluster: Cluster) throws -> (count: Int, mode: Int?, text: String) {
        let folder = cluster.folder.appending(path: name)
        let known = ["gossip.key", "data/identity/gossip.key"].map { folder.appending(path: $0).path }
        let path = try #require(known.first { FileManager.default.fileExists(atPath: $0) })
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        return (text.components(separatedBy: "\"key\"").count - 1, mode, text)
    }

    @Test(
        "keys are exchanged under load, nobody is held dead and every datagram opens; who was down comes back with the new one",
        .timeLimit(.minutes(10)))
    func keysRotated() async throws {
        let cluster = try await Cluster.whole()
        let all = Cluster.coordinators + Cluster.agents
        try await expectEventually("everybody holds the record's ring", within: 10) {
            try await self.inStep(cluster) == Set(all)
        }
        let rows = try await cluster.makeTable("rekeyed")
        let load = Load(rows)
        let first = try await primary(cluster)
        _ = try await load.during(prefix: "g") {
            try await load.goesOn()
            let verdicts = try await self.total("gossip_verdicts_total", cluster, of: all)
            let closed = try await self.total("gossip_decrypt_failures_total", cluster, of: all)
            let outcome = try await self.coxctl(cluster, ["key", "gossip", "rotate"])
            #expect(outcome.status == 0, "\(outcome)")
            try await load.goesOn(by: 6)
            #expect(try await self.total("gossip_verdicts_total", cluster, of: all) == verdicts)
            #expect(try await self.total("gossip_decrypt_failures_total", cluster, of: all) == closed)
        }
        let second = try await primary(cluster)
        #expect(second != first)
        for name in all {
            let file = try keyFile(of: name, cluster)
            #expect(file.count == 1 && file.mode == 0o600, "\(name)")
            #expect(file.text.contains("\"version\""))
        }
        // An agent and a coordinator that does not lead are not there.
        let leader = try await cluster.leader()
        let follower = try #require(Cluster.coordinators.first { $0 != leader })
        let gone = ["n5", follower]
        let left = all.filter { !gone.contains($0) }
        cluster.kill(gone)
        try await expectEventually("n5 is held failed", within: 20) {
            let nodes = try await cluster.api(.GET, "/cluster/topology").json["nodes"]?.array ?? []
            return nodes.contains { $0["node_id"]?.string == "n5" && $0["status"]?.string?.lowercased() == "failed" }
        }
        let closed = try await total("gossip_decrypt_failures_total", cluster, of: left)
        let outcome = try await coxctl(cluster, ["key", "gossip", "rotate"])
        #expect(outcome.status == 0, "\(outcome)")
        let third = try await primary(cluster)
        #expect(third != second)
        for name in gone { try cluster.start(name) }
        try await cluster.waitForHealth()
        try await expectEventually("both are back with the new ring", within: 20) {
            try await self.inStep(cluster) == Set(all)
        }
        try await expectEventually("and are members for all", within: 20) {
            let alive = try await cluster.status(of: "n5")["members"]?.array ?? []
            return alive.count >= all.count - 1 && alive.allSatisfy { $0["status"]?.string == "alive" }
        }
        #expect(try await total("gossip_decrypt_failures_total", cluster, of: left) == closed)
        for name in gone {
            #expect(try await total("gossip_decrypt_failures_total", cluster, of: [name])[name] == 0)
        }
    }

    @Test("a member that does not follow is named, and the wait for it ends with 7", .timeLimit(.minutes(10)))
    func keysLagging() async throws {
        let cluster = try await Cluster.whole()
        try await expectEventually("everybody holds the record's ring", within: 10) {
            try await self.inStep(cluster) == Set(Cluster.coordinators + Cluster.agents)
        }
        // It lives, and its disk does not take the new ring: a folder stands where the file was.
        let files = FileManager.default
        let key = cluster.folder.appending(path: "n4/data/identity/gossip.key")
        let aside = key.appendingPathExtension("aside")
        try files.moveItem(at: key, to: aside)
        try files.createDirectory(at: key.appending(path: "in-the-way"), withIntermediateDirectories: true)
        let outcome = try await coxctl(cluster, ["key", "gossip", "rotate", "--wait-seconds", "2"])
        #expect(outcome.status == 7 && outcome.error.contains("n4"), "\(outcome)")
        try files.removeItem(at: key)
        try files.moveItem(at: aside, to: key)
        try await expectEventually("the rotation comes to its end", within: 30) {
            guard try await self.inStep(cluster) == Set(Cluster.coordinators + Cluster.agents) else { return false }
            return try await self.coxctl(cluster, ["key", "gossip", "list", "-o", "json"]).output.contains("\"rotation\": null")
        }
        try await cluster.waitForHealth()
    }
}
