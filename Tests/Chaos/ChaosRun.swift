// One run: a cluster, its loads, the trouble, the healing, and what is looked at then.

import Client
import Dispatch
import FoundationEssentials
import Glibc
import Launching
import LogStorage
import Model

struct ChaosReport: Sendable {
    var acknowledged = 0
    var audited = 0
    var lost = 0
    var findings: [String] = []
    var figures: [String] = []
    /// Where the run's folder is, if it was kept.
    var kept: String?

    /// A run in which nothing was written has shown nothing.
    var isClean: Bool { lost == 0 && acknowledged > 0 && audited == acknowledged && findings.isEmpty }
}

struct ChaosRun: Sendable {
    let plan: ChaosPlan
    let cluster: ChaosCluster
    let history = History()
    let diary = Diary()

    private static let rowClients = 12
    private static let bankClients = 4
    /// The number under which the audit's reads stand in the history.
    static let auditor = rowClients + bankClients

    static func run(_ plan: ChaosPlan, folder: String, keeps: Bool) async throws -> ChaosReport {
        let path = folder.hasPrefix("/") ? folder : "\(FileManager.default.currentDirectoryPath)/\(folder)"
        guard !FileManager.default.fileExists(atPath: path) else { throw ChaosFailure("there is a \(path) already") }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let run = ChaosRun(plan: plan, cluster: try await ChaosCluster(in: path))
        let signals = run.cluster.children.endOnSignals {
            print("cut short: nothing was audited")
            exit(130)
        }
        defer { for signal in signals { signal.cancel() } }
        print("seed \(plan.seed): \(plan.kinds.map(\.rawValue).joined(separator: ", ")) for \(plan.span.inWords)")
        var report: ChaosReport
        do {
            report = try await run.whole()
        } catch {
            run.diary.finding("\(error)")
            report = ChaosReport()
            await run.cluster.end()
        }
        report.findings = run.diary.findings
        if report.isClean, !keeps {
            // A clean run leaves nothing that anybody would miss.
            try? FileManager.default.removeItem(atPath: path)
        } else {
            try run.diary.text.write(toFile: "\(path)/diary.txt", atomically: true, encoding: .utf8)
            try run.history.text().write(toFile: "\(path)/history.txt", atomically: true, encoding: .utf8)
            report.kept = path
        }
        return report
    }

    private func whole() async throws -> ChaosReport {
        try await cluster.start()
        try await makeTables()
        try await filePapers()
        diary.note("three coordinators and six agents are healthy")
        let stopping = Stopping()
        await withTaskGroup(of: Void.self) { group in
            let clients = (0..<4).map { _ in cluster.client() }
            for number in 0..<Self.rowClients {
                let load = RowLoad(history: history, stopping: stopping)
                group.addTask { [self] in
                    await load.run(as: number, clients[number % clients.count], plan.random(for: "row client \(number)"))
                }
            }
            for number in Self.rowClients..<Self.rowClients + Self.bankClients {
                let load = BankLoad(history: history, stopping: stopping)
                group.addTask { [self] in
                    await load.run(as: number, clients[number % clients.count], plan.random(for: "bank client \(number)"))
                }
            }
            group.addTask { [self] in await supervise(until: stopping) }
            group.addTask { [self] in await askAgain(until: stopping) }
            await Troubles(cluster: cluster, plan: plan, diary: diary).run()
            diary.note("trouble is over; the clients go on for a while")
            try? await Task.sleep(for: .seconds(5))
            stopping.ask()
        }
        for kind in plan.kinds where plan.isDue(kind) && diary.count(of: kind) == 0 {
            diary.finding("there was no \(kind.rawValue)")
        }
        return await Verdict(run: self).reach()
    }

    /// While writes are remembered under their keys: soon.
    private func askAgain(until stopping: Stopping) async {
        while !stopping.isAsked {
            await history.resolve()
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    /// As an init system does: whoever ended by itself is started again. Nobody should, but where there was no space.
    func supervise(until stopping: Stopping) async {
        while !stopping.isAsked {
            restartEnded()
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    func restartEnded() {
        for name in cluster.names where !diary.isDown(name) {
            guard let status = cluster.children.endStatus(of: name) else { continue }
            let words = Self.words(status)
            if Self.isForLackOfSpace(status), diary.wasFull(name) {
                diary.note("\(name) ended with \(words), out of space; started again")
            } else {
                diary.finding("\(name) ended by itself: \(words)")
            }
            do { try cluster.start(name) } catch { diary.finding("\(name) cannot be started: \(error)") }
        }
    }

    /// Whether a member ended as it does when its disk is full; a damaged store ends it otherwise, whatever its disk has been.
    static func isForLackOfSpace(_ status: Int32) -> Bool {
        status & 0x7F == 0 && status >> 8 & 0xFF == DiskFailureResponse.exitStatus
    }

    private static func words(_ status: Int32) -> String {
        status & 0x7F == 0 ? "code \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
    }

    private func makeTables() async throws {
        try await make(RowLoad.table, cuts: [250, 500, 750].map(RowLoad.bound), columns: ["id", "value", "filler"])
        try await make(BankLoad.table, cuts: [4].map(BankLoad.name), columns: ["id", "value", "balance"])
    }

    private func filePapers() async throws {
        let client = cluster.client()
        for paper in (0..<BankLoad.banks).flatMap(BankLoad.papers) {
            let key = JSONValue.array([paper["id"] ?? .null]).text
            _ = try await cluster.eventually("paper \(key) is filed", within: 30) {
                try await client.put(paper, key: key, in: BankLoad.table)
            }
        }
    }

    private func make(_ name: String, cuts: [String], columns: [String]) async throws {
        let attributes = columns.map { column in
            JSONValue.object(["name": .string(column), "type": .string(column == "balance" ? "integer" : "text")])
        }
        _ = try await cluster.control.call(
            .post, "/tables",
            body: .object([
                "table_name": .string(name), "partition_key": .string("id"),
                "capacity": .object(["mode": .string("ON_DEMAND")]), "schema": .object(["attributes": .array(attributes)]),
                "replication_factor": .number(3), "partitions": .number(cuts.count + 1),
                "split_keys": .array(cuts.map { .array([.string($0)]) }),
            ]))
        try await cluster.eventually("table \(name) is active", within: 30) { () async throws -> Void? in
            let table = try await cluster.control.call(.get, "/tables/\(name)", milliseconds: 5_000).body
            return table["status"]?.string == "ACTIVE" ? () : nil
        }
        _ = try await cluster.control.call(
            .put, "/tables/\(name)/access-policies/\(cluster.context.principal)",
            body: .object(["actions": .array([.string("read"), .string("write")]), "effect": .string("allow")]))
    }
}
