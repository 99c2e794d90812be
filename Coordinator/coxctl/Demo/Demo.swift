// `coxctl demo`: a real cluster on this machine, shown at its main job.

import ArgumentParser
import Client
import FoundationEssentials
import Glibc
import Launching
import LoadLedger

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a cluster of eight processes on this machine and show it at work, in about two minutes.")

    @Flag(help: "End after the last scene, with exit code 0 only if every step held; the last line is a JSON object.")
    var once = false

    @Option(help: "The first of the ports in use: coordinators take the next 40, agents the 40 after.")
    var basePort = 7_400

    @Option(help: "Where to keep the cluster's files; a new folder that goes away with the demo if not given.")
    var dir: String?

    func validate() throws {
        guard (1_024...65_000).contains(basePort) else { throw ValidationError("--base-port is from 1024 to 65000") }
    }

    func run() async throws {
        let cluster: LocalCluster
        let packages: PackageList
        do {
            // Looked at before anything is made.
            try LocalCluster(folder: dir ?? "", basePort: basePort).check()
            packages = try PackageList()
            cluster = try LocalCluster(folder: try dir ?? Self.temporaryFolder(), basePort: basePort, isTemporary: dir == nil)
        } catch {
            say("error: \(error)")
            throw ExitCode.failure
        }
        let folder = cluster.folder
        let narrator = Narrator()
        let signals = cluster.children.endOnSignals { if dir == nil { Self.remove(folder) } }
        defer { withExtendedLifetime(signals) {} }
        var summary = DemoSummary()
        do {
            try await show(cluster, packages, narrator, &summary)
        } catch {
            cluster.children.killAll()
            narrator.say("\nThe demo failed: \(error)\nLogs are in \(folder).")
            if once { narrator.say(summary.line) }
            throw ExitCode.failure
        }
        cluster.children.killAll()
        if dir == nil { Self.remove(folder) }
        if once { narrator.say(summary.line) }
    }

    private typealias Scene = (title: String, act: @Sendable (inout DemoRun) async throws -> Void)

    private static let scenes: [Scene] = [
        ("Tables: this machine's own package database, and rows for a load", { try await $0.tables() }),
        ("A split and a move, under load", { try await $0.movement() }),
        ("kill -9 of the agent that holds most primaries", { try await $0.failover() }),
        ("kill -9 of the coordinators' leader, then of all coordinators", { try await $0.coordinators() }),
        ("Tokens, judged by the agents themselves", { try await $0.tokens() }),
    ]

    private func show(
        _ cluster: LocalCluster, _ packages: PackageList, _ narrator: Narrator, _ summary: inout DemoSummary
    ) async throws {
        narrator.scene(0, "A cluster: three coordinators and five agents in three zones, all of them processes of their own")
        var run = try await DemoRun.start(cluster, narrator, packages)
        defer { summary = run.summary }
        var loading: Task<Void, any Error>?
        let load = run.load
        defer { load.stop() }
        for (index, scene) in Self.scenes.enumerated() {
            narrator.scene(index + 1, scene.title)
            do { try await scene.act(&run) } catch { throw DemoFailure("scene \(index + 1): \(error)") }
            if loading == nil { loading = Task { try await load.run() } }
        }
        load.stop()
        try await loading?.value
        try await run.settle()
        run.addresses()
        guard !once else { return }
        narrator.say("\nThe cluster keeps running. Ctrl-C ends it and leaves nothing behind.")
        while true { try await Task.sleep(for: .seconds(3_600)) }
    }

    private static func temporaryFolder() throws -> String {
        let base = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        var template = Array("\(base)/coxswain-demo.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw DemoFailure("\(base): \(String(cString: strerror(errno)))") }
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static func remove(_ folder: String) {
        do {
            try FileManager.default.removeItem(atPath: folder)
        } catch {
            Narrator().say("\(folder) is left: \(error)")
        }
    }
}

extension DemoRun {
    /// Reads everything back a last time and draws the sum.
    mutating func settle() async throws {
        let audit = try await load.audit()
        let missing = try await missingPackages()
        let (written, ledgers) = (load.current, load.tables.map(\.book.current))
        let unknown = ledgers.reduce(0) { $0 + $1.unknownCount }
        summary.acknowledgedWrites = written.acknowledged
        summary.unknownWrites = unknown
        summary.lostWrites = audit.lost.count + missing.count
        narrator.say("")
        narrator.step(
            "\(written.acknowledged) writes acknowledged under load, \(unknown) of unknown outcome, \(written.reads) reads; "
                + "\(audit.rows) rows audited, \(audit.lost.count) writes lost")
        narrator.step("\(packages.names.count - missing.count) of \(packages.names.count) imported packages are as they were")
        guard audit.lost.isEmpty else { throw DemoFailure("lost: \(audit.lost[0])") }
        guard missing.isEmpty else { throw DemoFailure("imported, and not there as it was: \(missing[0])") }
        guard written.wrong.isEmpty else { throw DemoFailure("a read gave what nobody wrote: \(written.wrong[0])") }
    }

    /// The packages whose row is gone, or has other fields than those that were imported.
    private func missingPackages() async throws -> [String] {
        var found: [String: JSONValue] = [:]
        var next: String?
        repeat {
            let page = try await client.scan("packages", from: next, to: nil, limit: 1_000)
            for row in page.rows { if let name = row["name"]?.string { found[name] = row } }
            next = page.next
        } while next != nil
        return packages.names.indices.filter { number in
            let expected = packages.row(number, note: "").object ?? [:]
            let row = found[packages.names[number]]
            return !expected.allSatisfy { name, value in name == PackageList.note || row?[name] == value }
        }.map { packages.names[$0] }
    }

    func addresses() {
        narrator.scene(6, "Look for yourself")
        for spec in cluster.coordinators { narrator.fact("API      https://\(spec.address(spec.api))/api/v1/cluster/status") }
        for agent in cluster.agents {
            narrator.fact("status   http://127.0.0.1:\(agent.status)/status   (\(agent.name), zone \(agent.zone))")
        }
        narrator.fact("context  export COXSWAIN_CONTEXT=\(cluster.folder)/context.json")
    }
}
