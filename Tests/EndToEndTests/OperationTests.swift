import Engine
import Foundation
import Model
import NIOHTTP1
import Testing

/// `coxctl op` as people use it, against the running cluster.
extension ClusterTests {
    private func coxctl(_ cluster: Cluster, _ arguments: [String], within limit: Double = 90) async throws -> Programs.Outcome {
        let context = cluster.folder.appending(path: "context.json").path
        return try await Programs.run("coxctl", arguments + ["--context", context], within: limit)
    }

    private struct Copying {
        let operation: String
        let partition: String
        let source: String
        let target: String
    }

    /// A move of the table's only partition that was paused while its copy was under way: it has twenty megabytes to copy.
    private func pausedMove(_ cluster: Cluster, of table: String) async throws -> Copying {
        for _ in 0..<5 {
            let route = try await cluster.route(table, key: #"["r-1"]"#)
            let partition = try #require(route["partition_id"]?.string)
            let holders = route["replicas"]?.array.compactMap { $0["node_id"]?.string } ?? []
            let source = try #require(route["primary"]?.string)
            let target = try #require(Cluster.agents.first { !holders.contains($0) })
            let operation = try await cluster.begin(
                "/tables/\(table)/partitions/\(partition):move", "{\"source\":\"\(source)\",\"target\":\"\(target)\"}")
            let paused = try await coxctl(cluster, ["op", "pause", operation, "--reason", "a test"])
            if paused.status == 0 {
                return Copying(operation: operation, partition: partition, source: source, target: target)
            }
            _ = try await cluster.wait(for: operation)
        }
        throw Failure("each move was over before it could be paused")
    }

    private func makeLargeTable(_ cluster: Cluster, _ name: String) async throws {
        let created = try await coxctl(
            cluster, ["table", "create", name, "--column", "id:text", "--column", "body:text", "--partition-key", "id"])
        #expect(created.status == 0, "\(created)")
        let allowed = try await coxctl(cluster, ["policy", "set", name, "admin", "--actions", "read,write"])
        #expect(allowed.status == 0, "\(allowed)")
        let file = cluster.folder.appending(path: "\(name).csv")
        let body = String(repeating: "y", count: 200_000)
        try Data(("id,body\n" + (0..<100).map { "r-\($0),\(body)\n" }.joined()).utf8).write(to: file)
        let imported = try await coxctl(cluster, ["import", name, file.path])
        #expect(imported.status == 0, "\(imported)")
    }

    @Test("a paused move stands still under another leader too, goes on when it is resumed, and is then past cancelling")
    func pauseAndResume() async throws {
        let cluster = try await Cluster.whole()
        try await makeLargeTable(cluster, "paused")
        let move = try await pausedMove(cluster, of: "paused")
        let shown = try await coxctl(cluster, ["op", "show", move.operation])
        #expect(shown.output.contains("PAUSED BY") && shown.output.contains("operator/admin"), "\(shown)")
        cluster.kill([try await cluster.leader()])
        // A first write under the new leader, and a while: nothing moves.
        let row = try await coxctl(cluster, ["row", "put", "paused", #"["r-new"]"#, #"{"body":"z"}"#])
        #expect(row.status == 0, "\(row)")
        let waited = try await coxctl(cluster, ["op", "wait", move.operation, "--wait-seconds", "3"])
        #expect(waited.status == 7, "\(waited)")
        let standing = try await cluster.api(.GET, "/operations/\(move.operation)")
        #expect(standing.json["step"]?.string == "copy" && standing.json["phase"]?.string == "running", "\(standing.text)")
        let resumed = try await coxctl(cluster, ["op", "resume", move.operation])
        #expect(resumed.status == 0 && resumed.error.contains("coxctl op wait"), "\(resumed)")
        let ended = try await coxctl(cluster, ["op", "wait", move.operation, "--wait-seconds", "60"])
        #expect(ended.status == 0, "\(ended)")
        let late = try await coxctl(cluster, ["op", "cancel", move.operation])
        #expect(late.status == 6 && late.error.contains("succeeded"), "\(late)")
    }

    @Test("a cancelled move leaves nothing on its target; cancelling it twice is no error; what is not there is not found")
    func cancel() async throws {
        let cluster = try await Cluster.whole()
        try await makeLargeTable(cluster, "cancelled")
        let move = try await pausedMove(cluster, of: "cancelled")
        for _ in 0..<2 {
            let cancelled = try await coxctl(cluster, ["op", "cancel", move.operation, "--reason", "a test"])
            #expect(cancelled.status == 0 && cancelled.output.contains("aborted"), "\(cancelled)")
            #expect(cancelled.output.contains("cancelled by operator/admin"), "\(cancelled)")
        }
        let files = try FileManager.default.subpathsOfDirectory(
            atPath: cluster.folder.appending(path: move.target).path)
        let storage = String(((UInt64(move.operation) ?? 0) << 16) | 65_535)
        #expect(!files.contains { $0.contains("storage-\(storage)") }, "\(files)")
        let route = try await cluster.route("cancelled", key: #"["r-1"]"#)
        let holders = route["replicas"]?.array.compactMap { $0["node_id"]?.string } ?? []
        #expect(holders.contains(move.source) && !holders.contains(move.target), "\(holders)")
        // The role may have gone to another meanwhile: the leader evens out who leads what, and a primary whose engine has taken in nothing
        // for five seconds, as while it reads a copy on a busy machine, leaves it by itself (rule F6).
        #expect(route["primary"]?.string.map { $0 != move.target && holders.contains($0) } ?? false, "\(route)")
        let missing = try await coxctl(cluster, ["op", "cancel", "999999999"])
        #expect(missing.status == 3, "\(missing)")
        let creation = try await coxctl(cluster, ["op", "pause", move.operation])
        #expect(creation.status == 6, "\(creation)")
    }

    /// A copy of a partition that no catalog has ever known, as a disk from elsewhere has it.
    private func plant(_ partition: PartitionID, in storage: StorageID, on agent: String, of cluster: Cluster) async throws
        -> URL
    {
        let column = Column(name: try RelationName("id"), type: .text)
        let table = TableDescriptor(
            id: TableID(1), name: try RelationName("elsewhere"), columns: [column], partitionKey: column.name, sortKey: nil,
            replicationFactor: 1, minInSync: 1, status: .active, capacity: Capacity(mode: .onDemand),
            createdAt: WallTime(milliseconds: 0))
        let engine = SQLiteEngine(folder: cluster.folder.appending(path: "elsewhere").path)
        _ = try await engine.open()
        try await engine.create(
            storage, for: table, holding: PartitionState(partition: partition, range: .all, applied: .zero, checksum: 0))
        await engine.close()
        let name = "storage-\(storage).sqlite"
        let place = cluster.folder.appending(path: "\(agent)/data/storages/\(name)")
        cluster.kill([agent])
        try FileManager.default.copyItem(at: cluster.folder.appending(path: "elsewhere/\(name)"), to: place)
        try cluster.start(agent)
        return place
    }

    @Test("a copy of which the catalog never knew is shown, kept through a start, and removed at an operator's word only")
    func orphan() async throws {
        let cluster = try await Cluster.whole()
        let partition = PartitionID(madeAt: 2, ordinal: 77)
        let file = try await plant(partition, in: StorageID(424_242), on: "n4", of: cluster)
        try await cluster.waitForHealth()
        try await expectEventually("the orphan is shown", within: 30) {
            let shown = try await coxctl(cluster, ["node", "orphans"])
            return shown.status == 0 && shown.output.contains("\(partition)") && shown.output.contains("unknown")
        }
        #expect(try await cluster.meter("replicas_stray", of: "n4") == 1)
        let wrong = try await coxctl(cluster, ["node", "remove-orphan", "n5", "\(partition)", "--yes"])
        #expect(wrong.status == 3, "\(wrong)")
        let unasked = try await coxctl(cluster, ["node", "remove-orphan", "n4", "\(partition)"])
        #expect(unasked.status == 2 && FileManager.default.fileExists(atPath: file.path), "\(unasked)")
        let removed = try await coxctl(
            cluster, ["node", "remove-orphan", "n4", "\(partition)", "--yes", "--reason", "a disk from elsewhere"])
        #expect(removed.status == 0 && removed.output.contains("is removed"), "\(removed)")
        #expect(!FileManager.default.fileExists(atPath: file.path))
        try await expectEventually("nothing is shown any more", within: 30) {
            try await !coxctl(cluster, ["node", "orphans"]).output.contains("\(partition)")
        }
    }
}
