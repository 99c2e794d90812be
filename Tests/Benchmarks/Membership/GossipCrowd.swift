import Glibc
import Identity
import Logging
import Membership
import Model
import ServiceLifecycle
import Synchronization
import Transport

/// Members of ours in this process, each with its socket and its thread.
final class GossipCrowd: ComparedCrowd {
    private struct Running {
        let service: GossipService
        let group: ServiceGroup
        let tasks: [Task<Void, Never>]
    }

    let title = "coxswain"
    let count: Int
    let sightings: Sightings
    private let tuning: SwimTuning
    private let basePort: Int
    private let nodes: [NodeID]
    private let zone: ZoneName
    private let lines: [FaultyLine]
    private let logger = Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
    private let running = Mutex<[Int: Running]>([:])
    private let lives: Mutex<[UInt64]>
    private let memoryBefore: Double
    private let processorBefore: Double

    init(_ count: Int, _ tuning: SwimTuning, basePort: Int) throws {
        self.count = count
        self.tuning = tuning
        self.basePort = basePort
        sightings = Sightings(members: count)
        nodes = try (0..<count).map { try NodeID("n\($0)") }
        zone = try ZoneName("a")
        let keys = try GossipKeyring.generate()
        let cluster = try ClusterID("0123456789abcdef0123456789abcdef")
        lines = (0..<count).map { _ in FaultyLine(GossipSeal(keys, of: cluster)) }
        lives = Mutex([UInt64](repeating: 0, count: count))
        memoryBefore = try ProcessFigures.memory(of: getpid()).total
        processorBefore = try ProcessFigures.processor(of: getpid())
    }

    private func profile(_ member: Int) -> MemberProfile {
        MemberProfile(
            kind: .agent, zone: zone, gossip: "127.0.0.1:\(basePort + member)", link: "127.0.0.1:1",
            store: StoreID(UInt64(member) + 1), session: .none)
    }

    func start(_ member: Int) throws {
        let life = lives.withLock { lives in
            lives[member] += 1
            return Generation(lives[member])
        }
        let seed = RosterEntry(node: nodes[0], generation: Generation(lives.withLock { $0[0] }), profile: profile(0))
        let service = GossipService(
            node: nodes[member], generation: life, profile: profile(member), tuning: tuning,
            address: HostPort(host: "127.0.0.1", port: basePort + member), seal: lines[member], coordinators: [seed],
            logger: logger)
        let group = ServiceGroup(services: [service], logger: logger)
        let run = Task { _ = try? await group.run() }
        let watch = Task { [sightings, nodes] in
            let numbers = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
            for await event in service.events {
                guard case .memberChanged(let record) = event, let subject = numbers[record.node] else { continue }
                let belief: Belief =
                    switch record.status {
                    case .alive: .up
                    case .suspect: .suspected
                    case .dead: .down
                    case .left: .left
                    }
                sightings.note(Sighting(observer: member, subject: subject, belief: belief, at: .now))
            }
        }
        running.withLock { $0[member] = Running(service: service, group: group, tasks: [run, watch]) }
    }

    func kill(_ member: Int) async {
        guard let ended = running.withLock({ $0.removeValue(forKey: member) }) else { return }
        for task in ended.tasks { task.cancel() }
        for task in ended.tasks { await task.value }
        sightings.forget(observer: member)
    }

    func leave(_ member: Int) async {
        guard let ended = running.withLock({ $0.removeValue(forKey: member) }) else { return }
        await ended.group.triggerGracefulShutdown()
        for task in ended.tasks { await task.value }
        sightings.forget(observer: member)
    }

    func stall(_ members: [Int], for time: Duration) async throws {
        for member in members { lines[member].stall(for: time) }
        try await Task.sleep(for: time)
    }

    func cut(_ member: Int) { lines[member].cut() }
    func lose(_ share: Double) { for line in lines { line.lose(share) } }

    func usage() throws -> CrowdUsage {
        let sent = running.withLock { $0.values.reduce(0) { $0 + ($1.service.socketCounters?.sent ?? 0) } }
        return CrowdUsage(
            processor: try ProcessFigures.processor(of: getpid()) - processorBefore, packets: Double(sent),
            bytes: Double(lines.reduce(0) { $0 + $1.sentBytes }),
            memory: try ProcessFigures.memory(of: getpid()).total - memoryBefore)
    }

    func end() async {
        for member in everybody { await kill(member) }
    }
}
