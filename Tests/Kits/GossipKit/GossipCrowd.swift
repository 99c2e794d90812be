import Glibc
package import Identity
import Logging
package import Membership
package import Model
import ServiceLifecycle
import Synchronization
package import Transport
import Wire

/// Members of ours in this process, each with its socket and its thread.
package final class GossipCrowd: Crowd {
    private struct Running {
        let service: GossipService
        let group: ServiceGroup
        let tasks: [Task<Void, Never>]
        let links: Task<Void, Never>?
    }

    /// As many links does each open, to the members behind it, where there are any: an agent has one to each with whom it shares data.
    private static let linksOfEach = 3
    private static let clusterName = "crowd"

    package let ports: [Int]
    package let sightings: Sightings
    package let network = FaultyNetwork()
    /// Of the first member: whom all others call first.
    package let seed: RosterEntry
    private let tuning: SwimTuning
    private let profiles: [MemberProfile]
    private let nodes: [NodeID]
    private let lines: [FaultyLine]
    private let callsAlso: [RosterEntry]
    private let cluster: ClusterID
    /// Who each is on its links; nobody has any where this is empty.
    private let contexts: [LinkContexts]
    private let logger = Logger(label: "crowd", factory: { _ in SwiftLogNoOpLogHandler() })
    private let running = Mutex<[Int: Running]>([:])
    private let lives: Mutex<[UInt64]>

    /// - Parameters:
    ///   - ports: one for each member.
    ///   - name: before the number in each member's name.
    ///   - others: who is called first as well, besides the first member.
    ///   - linked: whether they have links, with certificates, to a few others each, as agents have: on the same ports.
    package init(
        ports: [Int], _ tuning: SwimTuning, name: String = "n", keys: GossipKeyring? = nil, cluster: ClusterID? = nil,
        calling others: [RosterEntry] = [], linked: Bool = false
    ) throws {
        self.ports = ports
        self.tuning = tuning
        callsAlso = others
        sightings = Sightings(members: ports.count)
        nodes = try ports.indices.map { try NodeID("\(name)\($0)") }
        let zone = try ZoneName("a")
        profiles = ports.enumerated().map { number, port in
            MemberProfile(
                kind: .agent, zone: zone, gossip: "127.0.0.1:\(port)", link: "127.0.0.1:\(linked ? port : 1)",
                store: StoreID(UInt64(number) + 1), session: .none)
        }
        let keys = try keys ?? GossipKeyring.generate()
        let cluster = try cluster ?? ClusterID("0123456789abcdef0123456789abcdef")
        self.cluster = cluster
        let authority = linked ? try Authority.create(cluster: Self.clusterName, at: BootClock.wallTime()) : nil
        contexts = try authority.map { [nodes] authority in try nodes.map { try Self.contexts(of: $0, by: authority) } } ?? []
        lines = ports.indices.map { [network] in FaultyLine(GossipSeal(keys, of: cluster), of: $0, in: network) }
        lives = Mutex([UInt64](repeating: 0, count: ports.count))
        seed = RosterEntry(node: nodes[0], generation: Generation(1), profile: profiles[0])
    }

    private static func contexts(of node: NodeID, by authority: Authority) throws -> LinkContexts {
        let key = try PrivateKey.generate()
        let certificate = try authority.issue(
            try PeerIdentity(cluster: clusterName, role: .node, name: node.name), publicKey: try key.publicKey(),
            addresses: ["127.0.0.1"], at: BootClock.wallTime())
        return try LinkContexts(try TLSIdentity(certificate: certificate, key: key, authority: authority.certificate))
    }

    package var count: Int { ports.count }

    // MARK: Coming and going

    package func start(_ member: Int) throws {
        let life = lives.withLock { lives in
            lives[member] += 1
            return Generation(lives[member])
        }
        let service = GossipService(
            node: nodes[member], generation: life, profile: profiles[member], tuning: tuning,
            address: HostPort(host: "127.0.0.1", port: ports[member]), seal: lines[member], coordinators: [seed] + callsAlso,
            endpoint: endpoint(of: member, in: life), logger: logger)
        let group = ServiceGroup(services: [service], logger: logger)
        let run = Task { _ = try? await group.run() }
        let watch = Task { [sightings, nodes, events = service.events] in
            let numbers = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
            for await event in events {
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
        running.withLock {
            $0[member] = Running(
                service: service, group: group, tasks: [run, watch], links: runLinks(of: member, in: life, beside: service))
        }
    }

    private func endpoint(of member: Int, in life: Generation) -> LinkEndpoint? {
        guard !contexts.isEmpty else { return nil }
        return LinkEndpoint(
            cluster: cluster, clusterName: Self.clusterName, node: nodes[member], store: profiles[member].store,
            generation: life, contexts: { [contexts] in contexts[member] })
    }

    /// All that a process has beside its datagrams: a listener, links to others, and a watch over these.
    private func runLinks(of member: Int, in life: Generation, beside service: GossipService) -> Task<Void, Never>? {
        guard let endpoint = endpoint(of: member, in: life) else { return nil }
        let listener = LinkListener(
            endpoint: endpoint, address: HostPort(host: "127.0.0.1", port: ports[member]),
            handlers: [.replication: { link in while (try? await link.receive()) != nil {} }], logger: logger)
        let links = PeerLinks(endpoint: endpoint, conversation: .replication, logger: logger)
        let others = (1...Self.linksOfEach).map { (member + $0) % count }.filter { $0 != member }
        links.setPeers(Dictionary(others.map { (nodes[$0], profiles[$0].link) }) { first, _ in first })
        return Task {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await listener.run() }
                group.addTask { await links.run() }
                group.addTask { try? await LinkWatch(links: links, gossip: service).run() }
            }
        }
    }

    package func kill(_ member: Int) async {
        guard let ended = running.withLock({ $0.removeValue(forKey: member) }) else { return }
        ended.links?.cancel()
        for task in ended.tasks { task.cancel() }
        for task in ended.tasks { await task.value }
        await ended.links?.value
        sightings.forget(observer: member)
    }

    package func leave(_ member: Int) async {
        guard let ended = running.withLock({ $0.removeValue(forKey: member) }) else { return }
        await ended.group.triggerGracefulShutdown()
        for task in ended.tasks { await task.value }
        ended.links?.cancel()
        await ended.links?.value
        sightings.forget(observer: member)
    }

    package func end() async {
        await withDiscardingTaskGroup { group in
            for member in everybody { group.addTask { await self.kill(member) } }
        }
    }

    // MARK: Faults

    package func stall(_ members: [Int], for time: Duration) async throws {
        for member in members { lines[member].stall(for: time) }
        // Each stands still from its next datagram on, and longer than was slept by as much.
        while members.contains(where: { lines[$0].isStalled }) { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// A host that is gone: it hears nothing, is not heard, and refuses nobody.
    package func cut(_ member: Int) { network.set { $0 != member && $1 != member } }
    package func lose(_ share: Double) { for line in lines { line.lose(share) } }

    // MARK: What there is to see

    /// How many hold this one dead because its links were refused, to two at least.
    package func condemnedByLinks(_ member: Int) -> Int {
        everybody.count { observer in
            let held = service(observer)?.member(nodes[member])
            return held?.status == .dead && held?.record.refused == true
        }
    }

    /// Nil where the member does not run.
    package func service(_ member: Int) -> GossipService? { running.withLock { $0[member]?.service } }
    package func seal(of member: Int) -> GossipSeal { lines[member].seal }
    private func generation(of member: Int) -> Generation { Generation(lives.withLock { $0[member] }) }

    /// Whether all members that run hold each of `members` alive in its present life: `sightings` may show the same for what they
    /// believed of an earlier one.
    package func allKnowLives(of members: [Int]) -> Bool {
        let wanted = members.map { (number: $0, node: nodes[$0], life: generation(of: $0)) }
        return everybody.allSatisfy { observer in
            guard let service = service(observer) else { return true }
            let held = Dictionary(uniqueKeysWithValues: service.members.map { ($0.node, $0) })
            return wanted.allSatisfy { number, node, life in
                guard number != observer, let other = held[node] else { return number == observer }
                return other.status == .alive && other.heard && other.record.life.generation == life
            }
        }
    }

    /// Datagrams that all members that run have sent, and the bytes that all have ever sent.
    package var sent: (packets: Double, bytes: Double) {
        let packets = running.withLock { $0.values.reduce(0) { $0 + ($1.service.socketCounters?.sent ?? 0) } }
        return (Double(packets), Double(lines.reduce(0) { $0 + $1.sentBytes }))
    }
}
