import Model
import Testing
import Wire

/// Draws values of every shared type from a seed, edges included.
struct Arbitrary {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }
    mutating func flag() -> Bool { Bool.random(using: &generator) }
    mutating func bits() -> UInt64 { generator.next() }

    mutating func counter() -> UInt64 {
        switch below(4) {
        case 0: 0
        case 1: WireLimits.counter - 1
        default: generator.next() >> UInt64(2 + below(60))
        }
    }

    mutating func id<ID: NumericID>() -> ID { ID(counter()) }
    mutating func start() -> Generation { Generation(bits() % Limits.generation) }
    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }
    mutating func any<T: CaseIterable>(_: T.Type = T.self) -> T { pick(Array(T.allCases)) }
    mutating func bytes(_ most: Int = 40) -> [UInt8] { (0..<below(most + 1)).map { _ in UInt8(truncatingIfNeeded: bits()) } }
    mutating func text() -> String { pick(["", "plain", "dépôt", "日本", "a\nb\t\u{0}", String(repeating: "x", count: 300)]) }
    mutating func key() -> Key { Key(bytes()) }
    mutating func optional<T>(_ value: T) -> T? { flag() ? value : nil }
    mutating func wallTime() -> WallTime { WallTime(milliseconds: Int64(bits() >> 12) * (flag() ? 1 : -1)) }
    mutating func span() -> Span { Span(microseconds: Int64(bits() >> 12)) }
    mutating func quantity() -> Double { Double.random(in: 0...1e9, using: &generator) }

    mutating func list<T>(_ most: Int = 4, _ make: (inout Arbitrary) throws -> T) rethrows -> [T] {
        var values: [T] = []
        for _ in 0..<below(most + 1) { values.append(try make(&self)) }
        return values
    }

    mutating func node() throws -> NodeID { try NodeID(pick(["n1", "n2", "c3", "a", "node-with-a-long-name-0123456789"])) }
    mutating func zone() throws -> ZoneName { try ZoneName(pick(["a", "zone-b"])) }
    mutating func relation() throws -> RelationName { try RelationName(pick(["packages", "usertable", "field_0"])) }
    mutating func principal() throws -> Principal { try Principal(pick(["alice", "svc:import", "root@localhost"])) }
    mutating func request() throws -> RequestID { try RequestID("r-\(bits())") }
    mutating func epoch() -> Epoch { Epoch(counter()) }
    mutating func position() -> Position { Position(epoch: epoch(), run: counter(), sequence: counter()) }
    mutating func revision() -> Revision { Revision(history: counter(), index: counter()) }

    mutating func range() -> KeyRange {
        KeyRange(checkingLow: key(), high: optional(key())) ?? .all
    }

    mutating func addresses() -> NodeAddresses {
        NodeAddresses(gossip: "127.0.0.1:\(below(65_536))", link: "[::1]:7451", service: text())
    }

    mutating func nodeDescriptor() throws -> NodeDescriptor {
        NodeDescriptor(
            id: try node(), store: StoreID(bits()), session: id(), generation: id(), zone: try zone(), addresses: addresses(),
            status: any(), isDrainWanted: flag(), instanceType: text(), version: text())
    }

    mutating func registration() throws -> AgentRegistration {
        AgentRegistration(
            store: StoreID(bits()), generation: start(), zone: try zone(), addresses: addresses(), instanceType: text(),
            version: text(), isLogIntact: flag(), damaged: list { $0.id() }, canBeginLater: flag())
    }

    mutating func table() throws -> TableDescriptor {
        TableDescriptor(
            id: id(), name: try relation(), columns: try list { Column(name: try $0.relation(), type: $0.any()) },
            partitionKey: try relation(), sortKey: optional(try relation()), replicationFactor: 1 + below(9),
            minInSync: below(4), status: any(),
            capacity: Capacity(mode: any(), readUnits: optional(counter()), writeUnits: optional(counter())),
            createdAt: wallTime())
    }

    mutating func partition() throws -> PartitionDescriptor {
        PartitionDescriptor(
            id: id(), table: id(), range: range(), epoch: epoch(), primary: optional(try node()),
            replicas: try list {
                ReplicaDescriptor(
                    node: try $0.node(), store: StoreID($0.bits()), storage: $0.id(), role: $0.any(), isDamaged: $0.flag())
            }, status: any(), origin: position(), originChecksum: UInt32(truncatingIfNeeded: bits()),
            parents: flag() ? [] : (0..<2).map { _ in MergedPartition(partition: id(), end: position()) },
            operation: optional(id()), forcedAt: optional(epoch()))
    }

    mutating func operationKind() throws -> OperationKind {
        switch below(7) {
        case 5: .merge(left: id(), right: id(), into: id())
        case 0: .createTable(id())
        case 1: .dropTable(id())
        case 2: .move(partition: id(), source: optional(try node()), target: try node())
        case 3: .split(partition: id(), at: key(), lower: id(), upper: id())
        case 4: .removeOrphan(partition: id(), node: try node())
        default: .transferPrimary(partition: id(), target: try node())
        }
    }

    mutating func cleanup() throws -> Cleanup { Cleanup(node: try node(), storage: id(), partition: id()) }

    mutating func operation() throws -> OperationDescriptor {
        OperationDescriptor(
            id: id(), kind: try operationKind(), step: any(), phase: any(), epoch: epoch(),
            cleanups: try list { try $0.cleanup() }, createdBy: try principal(), reason: text(), createdAt: wallTime(),
            endedAt: optional(wallTime()), failure: optional(text()),
            pause: optional(OperationPause(by: try principal(), at: wallTime())))
    }

    mutating func scope() throws -> ConfigurationScope {
        switch below(3) {
        case 0: .global
        case 1: .zone(try zone())
        default: .node(try node())
        }
    }

    mutating func policy() throws -> AccessPolicy {
        AccessPolicy(
            table: id(), principal: try principal(), actions: list { $0.any() }, effect: any(), version: counter())
    }

    mutating func gossipKeys() throws -> GossipKeys {
        var keys: [GossipKey] = []
        for index in 0...below(GossipKeys.most) {
            let id = GossipKeyID(bits() &* 16 &+ UInt64(index))
            let secret = GossipSecret(id: id, bytes: [UInt8](repeating: UInt8(below(256)), count: GossipSecret.byteCount))
            keys.append(GossipKey(number: UInt8(1 + index * 30), secret: secret, createdAt: wallTime()))
        }
        let primary = keys[below(keys.count)].number
        let rotation = GossipRotation(key: GossipKeyID(bits()), step: any(), beganAt: wallTime(), steppedAt: wallTime())
        let ring = GossipKeys(keys: keys, primary: primary, version: revision(), rotation: flag() ? rotation : nil)
        return try #require(ring)
    }

    mutating func heldKeys() -> HeldGossipKeys? {
        guard flag() else { return nil }
        let ids = (0...below(4)).map { GossipKeyID(UInt64($0)) }
        return HeldGossipKeys(ids: ids, primary: GossipKeyID(bits()))
    }

    mutating func change() throws -> TopologyChange {
        switch below(17) {
        case 0: .node(try nodeDescriptor())
        case 1: .nodeRemoved(try node())
        case 2: .table(try table())
        case 3: .tableRemoved(id())
        case 4: .partition(try partition())
        case 5: .partitionRetired(id(), epoch: epoch(), children: list { $0.id() })
        case 6: .operation(try operation())
        case 7: .operationRemoved(id())
        case 8: .signingKey(SigningKey(id: text(), algorithm: any(), publicKey: bytes(), createdAt: wallTime()))
        case 9: .signingKeyRemoved(text())
        case 10: .tokenRevoked(RevokedToken(id: text(), expiresAt: wallTime()))
        case 11: .tokenForgotten(text())
        case 12: .policy(try policy())
        case 13: .policyRemoved(id(), try principal())
        case 14: .configuration(ConfigurationEntry(scope: try scope(), key: text(), value: text(), version: counter()))
        case 15: .gossipKeys(try gossipKeys())
        default: .configurationRemoved(try scope(), text())
        }
    }

    mutating func delta() throws -> TopologyDelta {
        TopologyDelta(from: revision(), to: revision(), changes: try list { try $0.change() })
    }

    mutating func signedDelta(alwaysSigned: Bool = false) throws -> SignedDelta {
        let signature = (0..<SignedDelta.signatureBytes).map { _ in UInt8(truncatingIfNeeded: bits()) }
        let isSigned = alwaysSigned || flag()
        return SignedDelta(try delta()) { _ in isSigned ? signature : nil }
    }

    mutating func topologyAnswer() throws -> TopologyAnswer {
        let signers = [bytes(), bytes()]
        return TopologyAnswer(try list { .init(signed: try $0.signedDelta(alwaysSigned: true), signer: $0.pick(signers)) })
    }

    mutating func topology(changes: Int = 6) throws -> Topology {
        let drawn = Topology(revision: revision(), changes: try list(changes) { try $0.change() })
        // A drawn history may name one partition as living and as retired; what its own snapshot makes of it is consistent.
        return Topology(revision: drawn.revision, changes: drawn.changes)
    }

    mutating func proposal() throws -> PartitionProposal {
        switch below(10) {
        case 8: .commitMerge(id(), left: end(), right: end(), inSync: try list { try $0.node() })
        case 0: .replicaReady(id(), expecting: epoch())
        case 1: .evict(id(), node: try node(), expecting: epoch())
        case 2: .joinInSync(id(), node: try node(), store: StoreID(bits()), expecting: epoch())
        case 3: .switchPrimary(id(), to: try node(), store: StoreID(bits()), operation: id(), expecting: epoch())
        case 4: .removeReplica(id(), node: try node(), operation: id(), expecting: epoch())
        case 5:
            .commitSplit(
                id(), operation: id(), at: position(), checksum: UInt32(truncatingIfNeeded: bits()),
                inSync: try list { try $0.node() }, expecting: epoch())
        case 6: .abort(id(), partition: id(), reason: text(), expecting: epoch())
        case 7: .cleaned(id(), try cleanup())
        default: .requestSplit(id(), at: key(), expecting: epoch())
        }
    }

    mutating func end() -> PartitionEnd {
        PartitionEnd(partition: id(), at: position(), checksum: UInt32(truncatingIfNeeded: bits()), expecting: epoch())
    }

    mutating func outcome() -> ProposalOutcome {
        switch below(3) {
        case 0: .accepted(revision())
        case 1: .refused(code: text(), detail: text())
        default: .unavailable
        }
    }

    mutating func value() -> Value {
        switch below(7) {
        case 0: .null
        case 1: .integer(pick([.min, -1, 0, .max, Int64(bitPattern: bits())]))
        case 2: .text(text())
        case 3: .bytes(bytes())
        case 4: .boolean(flag())
        case 5: .double(pick([-.infinity, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, quantity()]))
        default: .timestamp(Int64(bitPattern: bits()))
        }
    }

    mutating func batch() -> WriteBatch {
        WriteBatch(
            list {
                $0.flag() ? .put(key: $0.key(), values: $0.list(6) { $0.value() }) : .delete(key: $0.key())
            })
    }

    mutating func report() throws -> NodeReport {
        NodeReport(
            node: try node(), session: id(), revision: revision(),
            machine: MachineLoad(
                cpuPercent: quantity(), memoryTotalBytes: counter(), memoryFreeBytes: counter(), diskTotalBytes: counter(),
                diskFreeBytes: counter()),
            operationsPerSecond: quantity(), replicationLag: span(),
            engine: pick([.healthy, .degraded("slow"), .failed("EIO")]),
            partitions: list {
                PartitionReport(
                    partition: $0.id(), epoch: $0.epoch(), isPrimary: $0.flag(), role: $0.any(), rows: $0.counter(),
                    bytes: $0.counter(), readsPerSecond: $0.quantity(), writesPerSecond: $0.quantity(), lag: $0.span(),
                    last: $0.position(), applied: $0.position(), servingFor: $0.optional($0.span()))
            },
            operations: list {
                OperationReport(
                    operation: $0.id(), stage: $0.text(), bytes: $0.counter(), totalBytes: $0.counter(),
                    wireBytes: $0.counter(),
                    bytesPerSecond: $0.quantity(), writePause: $0.span())
            },
            gossipKeys: heldKeys(), inventory: optional(inventory()))
    }

    mutating func inventory() -> Inventory {
        let strays = list {
            StrayReplica(partition: $0.id(), storage: $0.id(), epoch: $0.epoch(), isBeingRemoved: $0.flag())
        }
        return Inventory(revision: revision(), replicas: below(9_000), strayCount: strays.count + below(9), strays: strays)
    }

    mutating func hello() throws -> Hello {
        Hello(
            cluster: try ClusterID("0123456789abcdef0123456789abcdef"), node: try node(), store: StoreID(bits()),
            generation: id(), conversation: any())
    }

    mutating func agentFrame() throws -> AgentFrame {
        switch below(7) {
        case 0: .watch(from: revision())
        case 1: .propose(try request(), try proposal(), id())
        case 2: .register(try request(), try registration())
        case 3:
            .deathReport(
                try (0..<below(4)).map { _ in
                    FoundDeath(
                        node: try node(), session: id(), generation: id(),
                        process: flag() ? FoundDeath.Process(store: StoreID(bits()), gossip: "m\(below(9)):7461") : nil,
                        accusers: try (0..<below(FoundDeath.mostAccusers + 1)).map { _ in try node() }, localHealth: below(9))
                })
        case 4: .loadReport(try report())
        case 5: .confirmQuorum(bits())
        default: .ping(bits())
        }
    }

    mutating func coordinatorFrame() throws -> CoordinatorFrame {
        switch below(7) {
        case 0: .delta(try signedDelta(), signer: flag() ? [1] + bytes() : nil)
        case 1:
            .snapshot(
                SnapshotChunk(
                    revision: revision(), index: UInt32(truncatingIfNeeded: bits()), isLast: flag(),
                    changes: try list { try $0.change() }))
        case 2: .outcome(try request(), outcome())
        case 3:
            .registered(
                try request(),
                pick([
                    .registered(id()), .preceded(start()), .wentBack(start()), .refused(code: text(), detail: text()),
                    .unavailable,
                ]))
        case 4: .leader(pick([.unknown, .here, .elsewhere(try node(), linkAddress: text())]))
        case 5: .quorumConfirmed(bits(), revision: flag() ? revision() : nil)
        default: .pong(bits())
        }
    }
}
