// What is looked at when the trouble is over: that everybody is well again without a hand, that nothing is left behind, that all
// replicas are the same, that every acknowledged write is there, and that all that was read has an order.

import Client
import FoundationEssentials
import KeyEncoding
import Launching
import LoadLedger
import Model
import ProcessKit
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
        // The audit's own are not among them.
        if run.history.readCount == 0 { run.diary.finding("no strong read was answered") }
        await resolve()
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
        for what in Self.idle(run.plan, run.history, succeeded: { run.diary.operations(Operator.success(of: $0)) }) {
            run.diary.finding(what)
        }
        let silence = run.history.longestSilence
        report.figures += [
            "\(run.history.readCount) strong reads, \(run.history.copyReadCount) of any copy, \(run.history.failedReads) unanswered; "
                + "\(run.history.ledger.refusedCount) writes refused",
            "outcome unknown of \(run.history.resolvedCount) writes until they were asked for again, of "
                + "\(run.history.ledger.unknownCount) still",
            "troubles made: \(run.plan.kinds.map { "\($0.rawValue) \(run.diary.count(of: $0))" }.joined(separator: ", "))",
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
            guard let finding = Self.finding(key, holding: value, in: ledger) else { continue }
            if finding.isLost { report.lost += 1 }
            run.diary.finding(finding.words)
        }
        report.acknowledged = ledger.acknowledgedCount
        if found.count < keys.count { run.diary.finding("\(keys.count - found.count) of \(keys.count) keys cannot be read") }
        for key in ledger.conflicts { run.diary.finding("two writes were acknowledged at one position, one of them of \(key)") }
    }

    /// What is wrong with a key that holds a value at the end; zero for none.
    static func finding(_ key: String, holding value: UInt64, in ledger: Ledger) -> (words: String, isLost: Bool)? {
        switch ledger.judge(key, found: value == 0 ? nil : String(value)) {
        case .lost(let expected, _):
            ("\(key) holds \(value), and \(expected.value) was acknowledged at \(expected.receipt.position)", true)
        case .unknownHappened:
            ("\(key) holds \(value), whose outcome nobody told: nothing is known of what was acknowledged", false)
        case .kept, nil: nil
        }
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

    /// Asks for what is open until it is known, now that everybody is well. What is not known by then stays a figure, unless the audit
    /// hangs on it.
    private func resolve() async {
        try? await cluster.eventually("no outcome is unknown", within: 60) { () async throws -> Void? in
            await run.history.resolve() == 0 ? () : nil
        }
    }

    private func judge() {
        for what in Self.findings(in: run.history) { run.diary.finding(what) }
        let undecided = run.history.judgeCopies().undecided
        if undecided > 0 { run.diary.note("\(undecided) bounded reads saw a write of unknown outcome") }
    }

    /// What the clients saw that may not be, or that cannot be told from what may not be.
    static func findings(in history: History, limit: Int = 5_000_000) -> [String] {
        let order: [String] =
            switch history.judge(limit: limit) {
            case .linearizable: []
            case .undecided(keys: let keys):
                ["no verdict within the limit on \(keys.map(history.name(of:)).joined(separator: " "))"]
            case .violated(key: let key, placed: let placed, stuck: let stuck):
                ["\(history.name(of: key)) has no order: \(placed) operations placed, then stuck at \(stuck)"]
            }
        return history.strange + history.disorders + history.judgeCopies().wrong + order
    }

    /// Longer than any one trouble lasts, and what comes of it.
    private static let mostSilence = Span.seconds(60)
    /// From when on a plan has the time for one operation of each kind to succeed.
    private static let timeForOperations = Duration.seconds(600)

    /// What has not happened in a run that is to show something.
    ///
    /// - Parameter succeeded: how many operations of a kind did.
    static func idle(_ plan: ChaosPlan, _ history: History, succeeded: (String) -> Int) -> [String] {
        var findings: [String] = []
        if history.copyReadCount == 0 { findings.append("no read of any copy was answered") }
        let silence = history.longestSilence
        if silence.length > mostSilence {
            findings.append("nobody could write for \(silence.length), from \(silence.began) on")
        }
        if plan.kinds.contains(.operators), plan.span >= timeForOperations {
            for kind in Operator.kinds where succeeded(kind) == 0 { findings.append("no \(kind) has succeeded") }
        }
        return findings
    }

    // MARK: - Replicas

    /// Partitions whose replicas do not hold the same rows, by what each of their gateways reads locally.
    private func differences() async throws -> [String] {
        let topology = try await cluster.topology()
        var different: [String] = []
        for partition in try Self.partitions(of: topology) {
            guard let table = partition["table"]?.string else { throw ChaosFailure("no table: \(partition.text)") }
            let token = try await cluster.control.token(
                table: table, principal: cluster.context.principal, seconds: 600)
            var copies: [String: [String]] = [:]
            for (name, gateway) in try Self.gateways(of: partition, in: topology) {
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

    /// - Throws: when there are none: whoever looks at nothing finds nothing.
    static func partitions(of topology: JSONValue) throws -> [JSONValue] {
        guard let partitions = topology["partitions"]?.array, !partitions.isEmpty else {
            throw ChaosFailure("there is no partition")
        }
        return partitions
    }

    /// Where each copy of a partition is read.
    /// - Throws: when there is none, or one that cannot be asked.
    static func gateways(of partition: JSONValue, in topology: JSONValue) throws -> [(node: String, gateway: String)] {
        let nodes = topology["nodes"]?.array ?? []
        let found = try (partition["replicas"]?.array ?? []).map { replica -> (node: String, gateway: String) in
            guard let name = replica["node"]?.string,
                let gateway = nodes.first(where: { $0["node_id"]?.string == name })?["endpoint"]?.string
            else { throw ChaosFailure("nobody knows where to read \(replica.text)") }
            return (name, gateway)
        }
        guard !found.isEmpty else { throw ChaosFailure("partition \(partition["id"]?.unsigned ?? 0) has no copy to read") }
        return found
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
        var wanted: [String: Set<UInt64>] = [:]
        for partition in try Self.partitions(of: await cluster.topology()) {
            for replica in partition["replicas"]?.array ?? [] {
                guard let name = replica["node"]?.string, let storage = replica["storage"]?.unsigned else {
                    throw ChaosFailure("nobody knows where \(replica.text) is")
                }
                wanted[name, default: []].insert(storage)
            }
        }
        var folders: [String: String] = [:]
        for agent in cluster.agents { folders[agent.node.name] = cluster.data(of: agent) }
        return try StorageFiles.differences(from: wanted, in: folders)
    }
}
