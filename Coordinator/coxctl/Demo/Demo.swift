// `coxctl demo`: a real cluster on this machine, shown at its main job.

import ArgumentParser
import FoundationEssentials
import Glibc
import Launching

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
        let folder = try dir ?? Self.temporaryFolder()
        let cluster = try LocalCluster(folder: folder, basePort: basePort)
        try cluster.check()
        let narrator = Narrator()
        let signals = cluster.children.endOnSignals { if dir == nil { Self.remove(folder) } }
        defer { withExtendedLifetime(signals) {} }
        var summary = DemoSummary()
        do {
            try await show(cluster, narrator, &summary)
        } catch {
            cluster.children.killAll()
            narrator.say("\nThe demo failed: \(error)\nLogs are in \(folder).")
            if once { narrator.say(try summary.line()) }
            throw ExitCode.failure
        }
        cluster.children.killAll()
        if dir == nil { Self.remove(folder) }
        if once { narrator.say(try summary.line()) }
    }

    private func show(_ cluster: LocalCluster, _ narrator: Narrator, _ summary: inout DemoSummary) async throws {
        var run = try await DemoRun.start(cluster, narrator)
        defer { summary = run.summary }
        try await run.tables()
        let load = run.load
        let loading = Task { await load.run() }
        defer { load.stop() }
        try await run.movement()
        try await run.failover()
        try await run.coordinators()
        try await run.tokens()
        load.stop()
        await loading.value
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
        let (rows, lost) = try await load.audit()
        let totals = load.current
        summary.acknowledged_writes = totals.acknowledged
        summary.lost_writes = lost.count
        narrator.say("")
        narrator.step(
            "\(totals.acknowledged) writes acknowledged, \(totals.unknown) of unknown outcome, \(rows) rows audited, "
                + "\(lost.count) writes lost")
        guard lost.isEmpty else { throw DemoFailure("lost: \(lost[0])") }
        guard totals.wrong.isEmpty else { throw DemoFailure("a read gave what nobody wrote: \(totals.wrong[0])") }
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
