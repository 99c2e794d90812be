// How long a leader thinks about a large cluster. `COXSWAIN_PARTITIONS=1000000` measures with as many, and says the figures.

import Catalog
import Consensus
import Foundation
import Model
import Testing

@testable import CoordinatorCore

@Suite(.serialized) struct ScaleTests {
    private let partitions = ProcessInfo.processInfo.environment["COXSWAIN_PARTITIONS"].flatMap { Int($0) } ?? 50_000

    /// Ten nodes in five zones hold three copies of each partition, their primaries in turn.
    private func topology(failed: [Int] = [], draining: [Int] = []) throws -> Topology {
        let nodes = try (0..<10).map { number in
            NodeDescriptor(
                id: try NodeID("n\(number)"), store: StoreID(UInt64(number + 1)), session: SessionID(UInt64(number + 1)),
                generation: Generation(1), zone: try ZoneName("z\(number % 5)"),
                addresses: NodeAddresses(gossip: "", link: "", service: ""),
                status: failed.contains(number) ? .failed : draining.contains(number) ? .draining : .healthy)
        }
        let key = try RelationName("k")
        let table = TableDescriptor(
            id: TableID(1), name: try RelationName("t"), columns: [Column(name: key, type: .text)], partitionKey: key,
            sortKey: nil, replicationFactor: 3, minInSync: 2, status: .active, capacity: Capacity(mode: .onDemand),
            createdAt: WallTime(milliseconds: 0))
        func bytes(_ number: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) } }
        var changes = nodes.map { TopologyChange.node($0) } + [.table(table)]
        changes.reserveCapacity(partitions + 16)
        for number in 0..<partitions {
            let range = KeyRange(
                low: number == 0 ? .least : Key(bytes(number)), high: number == partitions - 1 ? nil : Key(bytes(number + 1)))
            let holders = (0..<3).map { (number + $0) % 10 }
            let first = holders.first { !failed.contains($0) }
            changes.append(
                .partition(
                    PartitionDescriptor(
                        id: PartitionID(UInt64(number + 1)), table: table.id, range: range, epoch: Epoch(1),
                        primary: first.map { nodes[$0].id },
                        replicas: holders.map {
                            ReplicaDescriptor(
                                node: nodes[$0].id, store: nodes[$0].store, storage: StorageID(UInt64(number + 1)),
                                role: failed.contains($0) ? .learner : .inSync)
                        }, status: .active)))
        }
        return Topology(revision: Revision(history: 1, index: 1), changes: changes)
    }

    /// A group of one that leads, with this topology.
    private func leader(of topology: Topology) throws -> (Coordinator, LogicalInstant) {
        let id = try MemberID(text: "c1")
        var now = LogicalInstant.origin
        let raft = Raft(
            id: id, settings: RaftSettings(electionTimeout: .milliseconds(100), heartbeatInterval: .milliseconds(20)),
            snapshot: .founding(try MemberConfiguration(voters: [id])), seed: 1, at: now)
        var coordinator = Coordinator(
            id: id, raft: raft, codec: Archive().codec, memberZones: [id.node: try ZoneName("z")],
            settings: CoordinatorSettings(planInterval: .seconds(3_600)), numbersAfter: 0, at: now)
        while !coordinator.raft.hasCommittedInTerm {
            now = now + .milliseconds(10)
            step(&coordinator, .tick, at: now)
        }
        coordinator.catalog = CatalogState(CatalogSnapshot(topology: topology, index: 1), digest: { _ in [1] })
        return (coordinator, now)
    }

    private func step(_ coordinator: inout Coordinator, _ input: Coordinator.Input, at now: LogicalInstant) {
        var inputs = [input]
        while !inputs.isEmpty {
            for action in coordinator.step(inputs.removeFirst(), at: now, wall: WallTime(milliseconds: 1)) {
                if case .persist(let persist) = action { inputs.append(.persisted(persist.sequence)) }
            }
        }
    }

    /// The first tick, which meets everything for the first time, and the mean of those after it.
    private func ticks(_ topology: Topology, _ what: String) throws -> (first: Duration, later: Duration) {
        var (coordinator, now) = try leader(of: topology)
        func tick() -> Duration {
            now = now + .milliseconds(100)
            coordinator.planDue = now
            return ContinuousClock().measure { step(&coordinator, .tick, at: now) }
        }
        let first = tick()
        let later = (0..<20).reduce(Duration.zero) { sum, _ in sum + tick() } / 20
        if ProcessInfo.processInfo.environment["COXSWAIN_PARTITIONS"] != nil {
            print("\(partitions) partitions, \(what): first tick \(first), each after it \(later)")
        }
        return (first, later)
    }

    @Test("a tick costs no more for having many partitions, when nothing has changed since the last one")
    func steadyTicks() throws {
        let cases = [
            (try topology(), "all is well"), (try topology(failed: [3]), "a node is failed"),
            (try topology(draining: [3]), "a node is drained"),
        ]
        for (topology, what) in cases {
            let later = try ticks(topology, what).later
            #if !DEBUG
                #expect(later < .milliseconds(2), "\(what)")
            #else
                _ = later
            #endif
        }
    }
}
