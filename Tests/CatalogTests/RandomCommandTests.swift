import Catalog
import Model
import Testing

/// Thousands of commands, sensible and not, in an order that a seed decides.
struct CommandSource {
    var random: SeededGenerator
    /// Splits come instead where there are to be none.
    var merges = true

    private mutating func pick<T>(_ values: [T]) -> T? { values.randomElement(using: &random) }
    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func next(_ world: inout World) throws -> Command {
        let topology = world.topology
        let partitions = topology.partitions.values.sorted { $0.id < $1.id }
        let nodes = topology.nodes.values.sorted { $0.id < $1.id }
        let running = topology.operations.values.filter { $0.phase == .running }.sorted { $0.id < $1.id }
        let number = Int.random(in: 1...6, using: &random)
        let node = try NodeID("n\(number)")
        let session = chance(95) ? world.session(node) : SessionID(1)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<6:
            let store = UInt64(number * 100) + (chance(20) ? 1 : 0)
            let known = topology.nodes[node]?.generation.number ?? 0
            return .registerNode(
                NodeRegistration(
                    node: node, store: StoreID(store), generation: Generation(chance(95) ? known + 1 : max(known, 1) - 1),
                    zone: try ZoneName(["a", "b", "c"][number % 3]),
                    addresses: NodeAddresses(gossip: "h:1", link: "h:2", service: "h:3"), isLogIntact: chance(95),
                    damaged: chance(50) ? pick(partitions).map { [$0.id] } ?? [] : []))
        case 6..<8:
            let witnesses = try [("c1", "a"), ("c2", "b"), ("n5", "c")].map {
                Witness(id: try NodeID($0.0), zone: try ZoneName($0.1))
            }
            return .nodeFailed(node, session: session, witnesses: Array(witnesses.prefix(chance(90) ? 3 : 1)))
        case 8..<13: return .nodeReturned(node, session: session)
        case 13..<19:
            let able = nodes.filter { $0.status == .healthy }.map(\.id).shuffled(using: &random)
            let copies = min(3, max(1, able.count))
            let places = (0..<3).map { _ in Array(able.shuffled(using: &random).prefix(copies)) }
            guard !able.isEmpty, chance(75) else {
                return .dropTable(try RelationName("t\(Int.random(in: 0..<4, using: &random))"))
            }
            return .createTable(
                try world.creation("t\(Int.random(in: 0..<4, using: &random))", splitAt: [60, 120], on: places))
        case 19..<30:
            guard let partition = pick(partitions) else { return .nodeReturned(node, session: session) }
            let source = chance(60) ? pick(partition.replicas)?.node : nil
            return .beginMove(
                MovePlan(
                    partition: partition.id, source: source, target: NodeSession(node: node, session: session),
                    epoch: partition.epoch))
        case 34..<36 where merges:
            let all = partitions.sorted { ($0.table, $0.range.low) < ($1.table, $1.range.low) }
            let pairs = Array(zip(all, all.dropFirst()))
            let able = pairs.filter { MergeObstacle(left: $0, right: $1) == nil }
            guard let (left, right) = pick(chance(80) && !able.isEmpty ? able : pairs) else {
                return .nodeReturned(node, session: session)
            }
            return .beginMerge(left.id, expecting: left.epoch, with: right.id, at: chance(95) ? right.epoch : Epoch(1))
        case 30..<36:
            guard let partition = pick(partitions) else { return .nodeReturned(node, session: session) }
            return .beginSplit(
                partition.id, at: Key([UInt8.random(in: 0...255, using: &random), 1]), expecting: partition.epoch)
        case 36 where merges:
            let waiting = partitions.filter { $0.primary == nil }
            guard let partition = pick(waiting.isEmpty ? partitions : waiting) else {
                return .nodeReturned(node, session: session)
            }
            let heir = pick(partition.replicas.filter { $0.role == .learner })?.node ?? node
            return .forcePromotion(
                ForcedPromotion(
                    partition: partition.id, target: NodeSession(node: heir, session: world.session(heir)),
                    lost: partition.inSync, epoch: partition.epoch))
        case 36..<40:
            guard let partition = pick(partitions) else { return .nodeReturned(node, session: session) }
            return .beginTransfer(partition.id, to: node, session: session, expecting: partition.epoch)
        case 40..<42: return .abortOperation(pick(running)?.id ?? OperationID(3), reason: "chance")
        case 43..<45:
            let operation = pick(running)?.id ?? OperationID(3)
            return chance(60) ? .pauseOperation(operation) : .resumeOperation(operation)
        case 42:
            guard !chance(90) else { return .nodeReturned(node, session: session) }
            guard chance(70) else { return .decommission(node) }
            return merges && topology.nodes[node]?.wantsDrain == true ? .undrain(node) : .drain(node)
        default:
            guard let proposal = try proposal(for: partitions, topology) else { return .nodeReturned(node, session: session) }
            return .partition(proposal.0, from: proposal.1, session: world.session(proposal.1))
        }
    }

    /// What agents would propose, mostly in its place.
    private mutating func proposal(
        for partitions: [PartitionDescriptor], _ topology: Topology
    ) throws -> (PartitionProposal, NodeID)? {
        let due = topology.operations.values.filter { !$0.cleanups.isEmpty }.sorted { $0.id < $1.id }
        if chance(25), let operation = pick(due), let cleanup = pick(operation.cleanups) {
            return (.cleaned(operation.id, cleanup), cleanup.node)
        }
        let waiting = partitions.filter { $0.status == .creating }
        if chance(50), let partition = pick(waiting), let replica = pick(partition.replicas) {
            return (.replicaReady(partition.id, expecting: partition.epoch), replica.node)
        }
        let busy = partitions.filter { $0.operation != nil }
        guard let partition = pick(chance(60) && !busy.isEmpty ? busy : partitions), let primary = partition.primary,
            let replica = pick(partition.replicas)
        else { return nil }
        let epoch = chance(95) ? partition.epoch : Epoch(1)
        let operation = partition.operation ?? OperationID(7)
        let at = Position(epoch: partition.epoch, run: 1, sequence: 9)
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return (.evict(partition.id, node: replica.node, expecting: epoch), primary)
        case 1, 2, 3:
            let learner = pick(partition.replicas.filter { $0.role == .learner }) ?? replica
            return (.joinInSync(partition.id, node: learner.node, store: learner.store, expecting: epoch), primary)
        case 4, 5:
            return (
                .switchPrimary(partition.id, to: replica.node, store: replica.store, operation: operation, expecting: epoch),
                primary
            )
        case 6, 7: return (.removeReplica(partition.id, node: replica.node, operation: operation, expecting: epoch), primary)
        case 8:
            if case .merge(let left, let right, _)? = topology.operations[operation]?.kind, chance(90) {
                let ends = [left, right].map {
                    PartitionEnd(partition: $0, at: at, checksum: 5, expecting: topology.partitions[$0]?.epoch ?? epoch)
                }
                return (.commitMerge(operation, left: ends[0], right: ends[1], inSync: partition.inSync), primary)
            }
            return (
                .commitSplit(
                    partition.id, operation: operation, at: at, checksum: 5, inSync: partition.inSync, expecting: epoch),
                primary
            )
        default: return (.abort(operation, partition: partition.id, reason: "chance", expecting: epoch), primary)
        }
    }
}

@Suite struct RandomCommandTests {
    @Test("whatever is asked, the topology stays whole, mirrors follow it, and members agree", arguments: UInt64(1)...20)
    func keepsInvariants(seed: UInt64) throws {
        var world = World()
        try world.start(nodes: 6)
        var source = CommandSource(random: SeededGenerator(seed: seed))
        var mirror = world.topology
        var twin = world.state
        var ends: [OperationPhase: Int] = [:]
        var kinds: Set<String> = []
        for step in 0..<1_500 {
            let before = world.topology
            world.time = WallTime(milliseconds: world.time.milliseconds + Int64.random(in: 0...2_000, using: &source.random))
            let entry = try world.entry(try source.next(&world))
            let index = world.nextIndex
            let applied = world.apply(entry)
            #expect(twin.apply(entry, at: index) == applied)
            if let delta = applied.delta { try mirror.apply(delta) }
            try #require(mirror == world.topology)
            try #require(Invariants.violations(in: world.topology) == [], "seed \(seed), step \(step): \(entry.command)")
            try #require(
                Invariants.violations(from: before, to: world.topology) == [], "seed \(seed), step \(step): \(entry.command)")
            if case .refused = applied.result { #expect(world.topology == before) }
            let overlooked = world.topology.partitions.values.filter { partition in
                !world.topology.tally.unsettled.contains(partition.id)
                    && partition.replicas.contains { replica in
                        let status = world.topology.nodes[replica.node]?.status
                        return replica.role == .learner || status == .failed || status == .decommissioned
                    }
            }
            try #require(overlooked.isEmpty, "seed \(seed), step \(step): \(overlooked)")
            if step % 200 == 0 {
                let saved = twin.snapshot
                let topology = Topology(revision: saved.topology.revision, changes: saved.topology.changes)
                #expect(topology == saved.topology)
                var reloaded = saved
                reloaded.topology = topology
                reloaded.requests = RequestLedger(saved.requests.records)
                reloaded.proposals = RequestLedger(saved.proposals.records)
                #expect(reloaded == saved)
                twin = CatalogState(reloaded, digest: World.digest)
            }
            for operation in world.topology.operations.values where operation.phase != .running {
                ends[operation.phase, default: 0] += 1
                if operation.phase == .succeeded { kinds.insert(operation.kind.name) }
            }
        }
        #expect(twin == world.state)
        #expect(AuditChain.firstBreak(in: world.state.audit.tail, digest: World.digest) == nil)
        // The walk must have reached something: an invariant over an idle cluster proves little.
        #expect(ends[.aborted] != nil)
        #expect(kinds.count >= 3, "only \(kinds.sorted()) succeeded")
    }
}
