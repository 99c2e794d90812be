import NIOHTTP1
import Testing

/// Gives every test of a suite one running cluster, and takes it down after the last.
struct ClusterTrait: SuiteTrait, TestScoping {
    @TaskLocal static var shared: Cluster?

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let cluster = try await Cluster()
        do {
            try await cluster.startAll()
            try await Self.$shared.withValue(cluster) { try await function() }
        } catch {
            for name in Cluster.coordinators + Cluster.agents { print("--- \(name)\n\(cluster.tail(of: name))") }
            await cluster.tearDown()
            throw error
        }
        await cluster.tearDown()
    }
}

extension Trait where Self == ClusterTrait {
    static var cluster: Self { Self() }
}

extension Cluster {
    /// The suite's cluster, with every member running and healthy.
    static func whole() async throws -> Cluster {
        guard let cluster = ClusterTrait.shared else { throw Failure("the suite has no cluster") }
        for name in coordinators + agents where cluster.process(name)?.isRunning != true { try cluster.start(name) }
        try await cluster.waitForHealth()
        return cluster
    }

    /// A table of its own for a test: text key `name`, integer `value`, and what else is asked for.
    func makeTable(
        _ name: String, factor: Int = 3, splitKeys: [String] = [], more: [(name: String, type: String)] = []
    ) async throws -> Rows {
        let others = more.map { ",{\"name\":\"\($0.name)\",\"type\":\"\($0.type)\"}" }.joined()
        let splits =
            splitKeys.isEmpty
            ? ""
            : ",\"partitions\":\(splitKeys.count + 1),\"split_keys\":[\(splitKeys.map { "[\"\($0)\"]" }.joined(separator: ","))]"
        let answer = try await api(
            .POST, "/tables",
            body: """
                {"table_name":"\(name)","partition_key":"name","capacity":{"mode":"ON_DEMAND"},"replication_factor":\(factor),
                "schema":{"attributes":[{"name":"name","type":"text"},{"name":"value","type":"integer"}\(others)]}\(splits)}
                """, headers: [("idempotency-key", "create-\(name)")])
        guard answer.status < 300 else { throw Failure("create \(name): \(answer.status) \(answer.text)") }
        try await expectEventually("table \(name) ACTIVE", within: 10) {
            try await self.api(.GET, "/tables/\(name)").json["status"]?.string?.uppercased() == "ACTIVE"
        }
        return Rows(cluster: self, table: name, token: try await token(for: name))
    }
}
