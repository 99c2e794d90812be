// Who makes trouble: one for each kind, side by side, each with a source of its own. Whatever one of them breaks it mends itself, also
// when it is told to end in the middle of it.

import DiskKit
import FoundationEssentials
import Glibc
import Model
import ProcessKit
import Synchronization

struct Troubles: Sendable {
    let cluster: ChaosCluster
    let plan: ChaosPlan
    let diary: Diary

    /// Makes trouble until the plan's time is over, and mends all of it.
    func run() async {
        let end = ContinuousClock.now + plan.span
        await withTaskGroup(of: Void.self) { group in
            for (kind, maker) in plan.kinds.flatMap({ kind in kind.makers.map { (kind, $0) } }) {
                group.addTask { [self] in
                    var random = plan.random(for: maker)
                    while true {
                        let pause = random.span(kind.pause)
                        guard ContinuousClock.now + pause < end else { return }
                        try? await Task.sleep(for: pause)
                        // What cannot be made is not survived either.
                        do { try await make(kind, &random, until: end) } catch { diary.finding("\(maker): \(error)") }
                    }
                }
            }
        }
    }

    private func make(_ kind: Trouble, _ random: inout SeededGenerator, until end: ContinuousClock.Instant) async throws {
        switch kind {
        case .kill:
            try await kill(.kill, random.one(of: cluster.names).map { [$0] } ?? [], for: random.span(0.2...25), until: end)
        case .restart:
            let groups = [cluster.agentNames, cluster.coordinatorNames, cluster.names]
            try await kill(.restart, random.one(of: groups) ?? [], for: random.span(0.1...5), until: end)
        case .stop: await stop(random.one(of: cluster.names) ?? "n1", for: random.span(0.1...30), until: end)
        case .cut:
            let cuts = cuts(&random)
            try await cut(.cut, cuts, Self.words(cuts), for: random.span(0.3...20), until: end)
        case .zone:
            let zone = random.one(of: ["a", "b", "c"]) ?? "a"
            let inside = cluster.names.filter { cluster.zone(of: $0) == zone }
            let outside = cluster.names.filter { cluster.zone(of: $0) != zone }
            try await cut(
                .zone, ChaosCluster.between(inside, outside), "zone \(zone) cut off", for: random.span(1...25), until: end)
        case .disk: try await fill(random.one(of: cluster.disks.keys.sorted()) ?? "n6", for: random.span(1...15), until: end)
        case .operators: try await Operator(cluster: cluster, diary: diary).act(&random)
        }
    }

    /// What an agent may have freed since a disk was full.
    private static let hardlyAnything = 32 << 20

    private func pass(_ span: Duration, until end: ContinuousClock.Instant) async {
        try? await Task.sleep(until: min(end, .now + span), clock: .continuous)
    }

    // MARK: - Processes

    private func kill(
        _ kind: Trouble, _ names: [String], for span: Duration, until end: ContinuousClock.Instant
    ) async throws {
        diary.note("kill -9 \(names.joined(separator: " ")) for \(span.inWords)")
        if !names.allSatisfy(diary.isDown) { diary.made(kind) }
        diary.down(names)
        for name in names { cluster.kill(name) }
        await pass(span, until: end)
        for name in diary.up(names) { try cluster.start(name) }
    }

    private func stop(_ name: String, for span: Duration, until end: ContinuousClock.Instant) async {
        diary.note("SIGSTOP \(name) for \(span.inWords)")
        if cluster.signal(name, SIGSTOP) { diary.made(.stop) }
        await pass(span, until: end)
        cluster.signal(name, SIGCONT)
    }

    // MARK: - Network and disks

    private func cuts(_ random: inout SeededGenerator) -> [ChaosCluster.Cut] {
        let hosts = cluster.names + [ChaosCluster.clients]
        guard let one = random.one(of: cluster.names), let other = random.one(of: hosts.filter({ $0 != one })) else {
            return []
        }
        let others = hosts.filter { $0 != one }
        return switch Int.random(in: 0..<6, using: &random) {
        case 0, 1: [.init(from: one, to: other)]
        case 2: [.init(from: other, to: one)]
        case 3: others.map { .init(from: one, to: $0) }
        case 4: others.map { .init(from: $0, to: one) }
        default: ChaosCluster.between([one], others)
        }
    }

    private static func words(_ cuts: [ChaosCluster.Cut]) -> String {
        guard let first = cuts.first, cuts.count > 1 else { return "cut \(cuts.map(\.description).joined())" }
        let (senders, receivers) = (Set(cuts.map(\.from)), Set(cuts.map(\.to)))
        if senders.count == 1 { return "all cut from \(first.from)" }
        if receivers.count == 1 { return "all cut to \(first.to)" }
        return "\(first.from) cut off"
    }

    private func cut(
        _ kind: Trouble, _ cuts: [ChaosCluster.Cut], _ words: String, for span: Duration,
        until end: ContinuousClock.Instant
    ) async throws {
        diary.note("\(words) for \(span.inWords)")
        let fresh = diary.cut(cuts)
        try cluster.network.cut(fresh)
        if !cuts.isEmpty { diary.made(kind) }
        await pass(span, until: end)
        try cluster.network.heal(diary.heal(cuts))
    }

    private func fill(_ name: String, for span: Duration, until end: ContinuousClock.Instant) async throws {
        guard let disk = cluster.disks[name] else { return }
        diary.note("disk of \(name) full for \(span.inWords)")
        diary.full(name, true)
        defer { diary.full(name, false) }
        try disk.fill()
        if disk.free < Self.hardlyAnything { diary.made(.disk) }
        await pass(span, until: end)
        try disk.makeRoom()
    }
}

extension Duration {
    var seconds: Double { self / .seconds(1) }
    var inWords: String { "\((seconds * 10).rounded() / 10) s" }
}
