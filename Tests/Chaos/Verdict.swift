// What is looked at when the trouble is over: that everybody is well again without a hand, that nothing is left behind, that all
// replicas are the same, that every acknowledged write is there, and that all that was read has an order.

import Client
import FoundationEssentials
import KeyEncoding
import Launching
import LoadLedger
import Model
import SimulationKit

struct Verdict: Sendable {
    let run: ChaosRun
    private var cluster: ChaosCluster { run.cluster }

    /// From the end of the trouble until nothing is left to be done.
    private static let healing = 120.0
    private static let readers = 16
    private static let readAgain = 3

    init(run: ChaosRun) { self.run = run }

    func reach() async -> ChaosReport {
        var report = ChaosReport()
        let start = ContinuousClock.now
        do {
            try await cluster.eventually("everybody is well", within: Self.healing) { () async throws -> Void? in
                run.restartEnded()
                let unwell = try await unwell()
                if unwell.isEmpty { return () }
                throw ChaosFailure(unwell.joined(separator: "; "))
            }
            report.figures.append("well again \((ContinuousClock.now - start).inWords) after the end of the load")
        } catch {
            run.diary.finding("\(error)")
            await keepEvidence()
        }
        await audit(into: &report)
        do {
            try await cluster.eventually("replicas are equal", within: 30) { () async throws -> Void? in
                let different = try await differences()
                if different.isEmpty { return () }
                throw ChaosFailure(different.joined(separator: "; "))
            }
            try await cluster.eventually("nothing is left behind on a disk", within: 60) { () async throws -> Void? in
                let left = try await leftovers()
                if left.isEmpty { return () }
                throw ChaosFailure(left.joined(separator: "; "))
            }
        } catch { run.diary.finding("\(error)") }
        await cluster.end()
        judge()
        let silence = run.history.longestSilence
        report.figures += [
            "\(run.history.readCount) strong reads, \(run.history.failedReads) unanswered; "
                + "\(run.history.ledger.unknownCount) writes of unknown outcome, \(run.history.ledger.refusedCount) refused",
            "longest time without any acknowledged write: \(Int(silence.length.milliseconds)) ms at \(silence.began.seconds) s",
            "operations: \(run.diary.operations)",
            "copies: \(said("copy goes page by page")) by pages, \(said("copy goes by rows")) by rows, "
                + "\(said("copy goes over to rows")) of the former went over to rows",
        ]
        return report
    }

    /// How often agents have said something.
    private func said(_ words: String) -> Int {
        cluster.agentNames.reduce(0) { count, name in
            let log = (try? String(contentsOfFile: "\(cluster.folder)/\(name).log", encoding: .utf8)) ?? ""
            return count + log.split(separator: "\n").count { $0.contains(words) }
        }
    }

    // MARK: - Health

    /// What is not yet as it should be.
    private func unwell() async throws -> [String] {
        let status = try await cluster.control.call(.get, "/cluster/status", milliseconds: 5_000).body
        var found = (status["findings"]?.array ?? []).map { "\($0["code"]?.string ?? "?") \($0["detail"]?.string ?? "")" }
        let topology = try await cluster.topology()
        for node in topology["nodes"]?.array ?? [] where node["status"]?.string != "HEALTHY" {
            found.append("\(node["node_id"]?.string ?? "?") is \(node["status"]?.string ?? "?")")
        }
        for partition in topology["partitions"]?.array ?? [] {
            let isWhole =
                partition["in_sync"]?.array?.count == 3 && partition["learners"]?.array?.isEmpty == true
                && partition["operation"] == .null && partition["status"]?.string == "ACTIVE"
            if !isWhole { found.append("partition \(partition.text)") }
        }
        let operations =
            try await cluster.control.call(.get, "/operations", milliseconds: 5_000).body["operations"]?.array ?? []
        for operation in operations
        where operation["phase"]?.string == "running" || (operation["cleanups_left"]?.unsigned ?? 0) > 0 {
            found.append("operation \(operation.text)")
        }
        return found
    }

    /// What the coordinators know, for whoever looks into a failed run: with the processes it would be gone.
    private func keepEvidence() async {
        for name in ["cluster/topology", "operations"] {
            let answer = try? await cluster.control.call(.get, "/\(name)", milliseconds: 5_000)
            let file = "\(cluster.folder)/\(name.split(separator: "/").last ?? "answer").json"
            try? answer?.body.prettyText.write(toFile: file, atomically: true, encoding: .utf8)
        }
    }

    // MARK: - Rows

    /// Reads every key of which a write was acknowledged.
    private func audit(into report: inout ChaosReport) async {
        let ledger = run.history.ledger
        let (keys, client) = (ledger.keys, cluster.client())
        let found = await withTaskGroup(of: [(String, UInt64)].self) { group in
            for reader in 0..<Self.readers {
                group.addTask { [self] in
                    var part: [(String, UInt64)] = []
                    for index in stride(from: reader, to: keys.count, by: Self.readers) {
                        if let value = await read(keys[index], client) { part.append((keys[index], value)) }
                    }
                    return part
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        for (key, value) in found.sorted(by: { $0.0 < $1.0 }) {
            report.audited += ledger.acknowledged(of: key)
            if case .lost(let expected, _) = ledger.judge(key, found: value == 0 ? nil : String(value)) {
                report.lost += 1
                run.diary.finding(
                    "\(key) holds \(value), and \(expected.value) was acknowledged at \(expected.receipt.position)")
            }
        }
        report.acknowledged = ledger.acknowledgedCount
        if found.count < keys.count { run.diary.finding("\(keys.count - found.count) of \(keys.count) keys cannot be read") }
        for key in ledger.conflicts { run.diary.finding("two writes were acknowledged at one position, one of them of \(key)") }
    }

    private func read(_ key: String, _ client: CoxswainClient) async -> UInt64? {
        for _ in 0..<Self.readAgain {
            let value = await run.history.read(key, as: ChaosRun.auditor) {
                if key.hasPrefix("b"), let bank = UInt64(key.dropFirst()) {
                    return try await BankLoad.read(bank, client, run.history)
                }
                return try await RowLoad.read(key, client)
            }
            if let value { return value }
        }
        return nil
    }

    private func judge() {
        for what in run.history.strange { run.diary.finding(what) }
        switch run.history.judge() {
        case .linearizable: break
        case .undecided(keys: let keys): run.diary.note("no verdict within the limit on \(keys.map(run.history.name(of:)))")
        case .violated(key: let key, placed: let placed, stuck: let stuck):
            run.diary.finding(
                "\(run.history.name(of: key)) has no order: \(placed) operations placed, then stuck at \(stuck)")
        }
    }

    // MARK: - Replicas

    /// Partitions whose replicas do not hold the same rows, by what each of their gateways reads locally.
    private func differences() async throws -> [String] {
        let topology = try await cluster.topology()
        let gateways = Dictionary(
            (topology["nodes"]?.array ?? []).compactMap { node in
                node["node_id"]?.string.flatMap { name in node["endpoint"]?.string.map { (name, $0) } }
            }, uniquingKeysWith: { first, _ in first })
        var different: [String] = []
        for partition in topology["partitions"]?.array ?? [] {
            guard let table = partition["table"]?.string else { continue }
            let token = try await cluster.control.token(
                table: table, principal: cluster.context.principal, seconds: 600)
            var copies: [String: [String]] = [:]
            for replica in partition["replicas"]?.array ?? [] {
                guard let name = replica["node"]?.string, let gateway = gateways[name] else { continue }
                copies[name] = try await rows(of: partition, in: table, at: gateway, token)
            }
            guard let first = copies.values.first, !copies.values.allSatisfy({ $0 == first }) else { continue }
            let counts = copies.sorted { $0.key < $1.key }.map { "\($0) \($1.count) rows" }.joined(separator: ", ")
            let all = copies.values.map(Set.init)
            let odd = all.reduce(Set<String>()) { $0.union($1) }.subtracting(
                all.dropFirst().reduce(all[0]) { $0.intersection($1) })
            different.append(
                "partition \(partition["id"]?.unsigned ?? 0): \(counts), such as \(odd.sorted().prefix(4).joined(separator: " "))"
            )
        }
        return different
    }

    /// All rows of a partition as one replica has them.
    private func rows(
        of partition: JSONValue, in table: String, at gateway: String, _ token: String
    ) async throws -> [String] {
        func bound(_ name: String) -> String? { partition[name].flatMap { $0 == .null ? nil : $0.text } }
        var (rows, from): ([String], String?) = ([], bound("low"))
        while true {
            var query = "consistency=eventual&limit=1000"
            if let from { query += "&from=" + ControlClient.encode(from) }
            if let high = bound("high") { query += "&to=" + ControlClient.encode(high) }
            let answer = try await cluster.calls.call(
                .get, "https://\(gateway)/v1/tables/\(table)/rows?\(query)", headers: [("authorization", "Bearer \(token)")],
                milliseconds: 5_000)
            guard answer.status == 200, let body = answer.body else {
                throw ChaosFailure("\(gateway) does not read its copy: \(answer.status) \(answer.body?.text ?? "")")
            }
            rows += (body["rows"]?.array ?? []).map(\.text)
            guard let next = body["next"], next != .null else { return rows }
            from = next.string ?? next.text
        }
    }

    // MARK: - Disks

    /// Storages on a disk that no replica is said to have there, and the other way round.
    private func leftovers() async throws -> [String] {
        var wanted: [String: Set<String>] = [:]
        for partition in try await cluster.topology()["partitions"]?.array ?? [] {
            for replica in partition["replicas"]?.array ?? [] {
                guard let name = replica["node"]?.string, let storage = replica["storage"]?.unsigned else { continue }
                wanted[name, default: []].insert("storage-\(storage).sqlite")
            }
        }
        var found: [String] = []
        for agent in cluster.agents {
            let name = agent.node.name
            let data = cluster.data(of: agent)
            let files = try FileManager.default.contentsOfDirectory(atPath: "\(data)/storages")
            let databases = Set(files.filter { !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") })
            let expected = wanted[name] ?? []
            for file in databases.subtracting(expected).sorted() { found.append("\(name) still has \(file)") }
            for file in expected.subtracting(databases).sorted() { found.append("\(name) lacks \(file)") }
        }
        return found
    }
}
