import Foundation
import NIOHTTP1
import Testing

/// A disk that cannot be trusted any more, against real processes (rule E4).
@Suite(.serialized, .enabled(if: Programs.areBuilt, "the programs are not built"), .cluster) struct DamageTests {
    @Test(
        "an agent whose log has rotted does not start; with its data set aside it leaves every in-sync set, is filled again and joins",
        .timeLimit(.minutes(10)))
    func rottenLog() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("rotten")
        for index in 0..<20 { #expect(try await rows.put("r\(index)", index) == .acknowledged) }
        let primary = try #require(try await cluster.route("rotten", key: #"["r0"]"#)["primary"]?.string)
        let victim = try #require(try await inSync(cluster, "rotten").first { $0 != primary })
        let store = try await cluster.status(of: victim)["identity"]?["store"]?.string
        cluster.kill([victim])
        try rot(cluster.folder.appending(path: "\(victim)/data/log"))

        let configuration = cluster.folder.appending(path: "\(victim)/agent.json").path
        let refused = try await Programs.run("coxswain-agent", ["--config", configuration])
        #expect(refused.status == 1)
        #expect(refused.error.contains("--replace-damaged"), "\(refused.error)")
        // The cluster goes on without it.
        #expect(try await rows.put("meanwhile", 1) == .acknowledged)

        try cluster.start(victim, arguments: ["--replace-damaged"])
        try await expectEventually("\(victim) is in sync again, with another store", within: 60) {
            let now = try await cluster.status(of: victim)["identity"]?["store"]?.string
            guard now != nil, now != store else { return false }
            return try await inSync(cluster, "rotten").contains(victim)
        }
        for index in 0..<20 { #expect(try await rows.get("r\(index)") == index) }
        // What it was filled with is all that there is.
        cluster.kill([primary])
        try await expectEventually("a write goes through without the old primary", within: 30) {
            try await rows.put("after", 1, within: 2) == .acknowledged
        }
        for index in 0..<20 { #expect(try await rows.get("r\(index)") == index) }
        try cluster.start(primary)
    }

    @Test(
        "a node that is back with an empty disk before anybody missed it is another store: it leads nothing until it is filled again",
        .timeLimit(.minutes(10)))
    func emptyDisk() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("empty_disk")
        for index in 0..<20 { #expect(try await rows.put("r\(index)", index) == .acknowledged) }
        let victim = try #require(try await cluster.route("empty_disk", key: #"["r0"]"#)["primary"]?.string)
        let store = try await cluster.status(of: victim)["identity"]?["store"]?.string
        cluster.kill([victim])
        // A new disk counts its starts from the first, but for those of the one before it.
        try FileManager.default.removeItem(at: cluster.folder.appending(path: "\(victim)/data"))
        try await cluster.join(victim)
        try await expectEventually("\(victim) is in sync again, with another store", within: 60) {
            let now = try await cluster.status(of: victim)["identity"]?["store"]?.string
            guard now != nil, now != store else { return false }
            // By its own word too: for a moment the others do not know yet.
            let held = try await cluster.status(of: victim)["partitions"]?.array ?? []
            let members = try await inSync(cluster, "empty_disk")
            return !held.isEmpty && members.contains(victim)
        }
        for index in 0..<20 { #expect(try await rows.get("r\(index)") == index) }
        #expect(try await rows.put("after", 1) == .acknowledged)
        // Its peers watch over it again: who is held dead in an earlier life would be missed by nobody.
        let life = try await cluster.status(of: victim)["identity"]?["generation"]?.number
        for other in Cluster.agents where other != victim {
            try await expectEventually("\(victim) is alive for \(other) in its new life", within: 20) {
                let entry = try await cluster.status(of: other)["members"]?.array.first { $0["node_id"]?.string == victim }
                return entry?["status"]?.string == "alive" && entry?["generation"]?.number == life && life != nil
            }
        }
    }

    @Test(
        "a bit that turns over in a page of a live replica is found and named, and the replica, the primary too, is built anew from a peer",
        .timeLimit(.minutes(10)))
    func rottenPage() async throws {
        let cluster = try await Cluster.whole()
        let rows = try await cluster.makeTable("rotten_page")
        for index in 0..<200 { #expect(try await rows.put("rotten-\(index)", index) == .acknowledged) }
        // What a stopping engine leaves is all in the database, and none of it in the log.
        for name in try await inSync(cluster, "rotten_page") {
            cluster.process(name)?.terminate()
            _ = cluster.process(name)?.waitForStatus()
            try cluster.start(name)
            try await expectEventually("\(name) is in sync", within: 60) {
                _ = try await cluster.status(of: name)
                return try await inSync(cluster, "rotten_page").count == 3
            }
        }
        let primary = try #require(try await cluster.route("rotten_page", key: #"["rotten-0"]"#)["primary"]?.string)
        let follower = try #require(try await inSync(cluster, "rotten_page").first { $0 != primary })
        for victim in [follower, primary] {
            let page = try rotRow("rotten-77", on: victim, of: cluster)
            try await expectEventually("\(victim) names the page", within: 60) {
                cluster.tail(of: victim, lines: 10_000).contains("page \(page) of its file is not what was written")
            }
            #expect(try await cluster.meter("scrub_damaged_pages_total", of: victim) >= 1)
            try await expectEventually("\(victim) is whole and in sync again", within: 60) {
                let damaged = try await cluster.status(of: victim)["engine"]?["damaged"]?.array ?? []
                let members = try await inSync(cluster, "rotten_page")
                return damaged.isEmpty && members.contains(victim)
            }
        }
        #expect(try await cluster.route("rotten_page", key: #"["rotten-0"]"#)["primary"]?.string != primary)
        // Not before: a page that is in the log as well is not in use in the database.
        for index in 0..<2 { #expect(try await rows.put("after-\(index)", 1) == .acknowledged) }
        for index in 0..<200 { #expect(try await rows.get("rotten-\(index)") == index) }
        // Each replica by itself.
        for name in try await inSync(cluster, "rotten_page") {
            let port = try #require(cluster.agentPorts[name]).gateway
            try await expectEventually("\(name) has every row", within: 20) {
                let answer = try await cluster.clients.send(
                    .GET, "https://127.0.0.1:\(port)/v1/tables/rotten_page/rows?limit=1000&consistency=eventual",
                    headers: [("authorization", "Bearer \(rows.token)")])
                let found = answer.json["rows"]?.array ?? []
                let values = found.compactMap { row in
                    (row["name"]?.string).flatMap { $0.hasPrefix("rotten-") ? ($0, row["value"]?.number) : nil }
                }
                return found.count == 202 && values.count == 200 && values.allSatisfy { "rotten-\(Int($1 ?? -1))" == $0 }
            }
        }
    }

    /// Turns a bit over in the name of a row, in the database of a running agent.
    /// - Returns: the number of its page.
    private func rotRow(_ name: String, on agent: String, of cluster: Cluster) throws -> Int {
        let folder = cluster.folder.appending(path: "\(agent)/data/storages")
        for file in try FileManager.default.contentsOfDirectory(atPath: folder.path) where file.hasSuffix(".sqlite") {
            let path = folder.appending(path: file)
            guard let found = try Data(contentsOf: path).range(of: Data(name.utf8)) else { continue }
            let handle = try FileHandle(forUpdating: path)
            try handle.seek(toOffset: UInt64(found.lowerBound))
            let byte = try handle.read(upToCount: 1)?.first ?? 0
            try handle.seek(toOffset: UInt64(found.lowerBound))
            try handle.write(contentsOf: Data([byte ^ 0x01]))
            try handle.close()
            return found.lowerBound / 8_192 + 1
        }
        throw Failure("no '\(name)' in any file below \(folder.path)")
    }

    private func inSync(_ cluster: Cluster, _ table: String) async throws -> [String] {
        let partitions = try await cluster.api(.GET, "/tables/\(table)/partitions").json["partitions"]?.array ?? []
        return partitions.first?["in_sync"]?.array.compactMap(\.string) ?? []
    }

    /// Turns one bit of the first record over.
    private func rot(_ log: URL) throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: log.path).filter { $0.hasPrefix("segment-") }.sorted()
        guard let first = names.first else { throw Failure("no segment in \(log.path)") }
        let file = try FileHandle(forUpdating: log.appending(path: first))
        try file.seek(toOffset: 100)
        let byte = try file.read(upToCount: 1)?.first ?? 0
        try file.seek(toOffset: 100)
        try file.write(contentsOf: Data([byte ^ 0x10]))
        try file.close()
    }
}
