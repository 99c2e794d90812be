import Model
import Testing

@testable import Movement

@Suite struct DriverTests {
    let a: NodeID
    let b: NodeID
    let c: NodeID
    let now = LogicalInstant(microseconds: 5_000_000)

    init() throws {
        a = try NodeID("a")
        b = try NodeID("b")
        c = try NodeID("c")
    }

    func partition(inSync: [NodeID], learners: [NodeID] = [], operation: OperationID? = OperationID(9)) -> PartitionDescriptor {
        let replicas =
            inSync.map { ReplicaDescriptor(node: $0, store: StoreID(1), storage: StorageID(1), role: .inSync) }
            + learners.map { ReplicaDescriptor(node: $0, store: StoreID(3), storage: StorageID(9), role: .learner) }
        return PartitionDescriptor(
            id: PartitionID(1), table: TableID(1), range: .all, epoch: Epoch(4), primary: a, replicas: replicas,
            status: .active,
            operation: operation)
    }

    func operation(
        _ kind: OperationKind, _ step: OperationStep, by creator: String = "operator/ada"
    ) throws -> OperationDescriptor {
        OperationDescriptor(
            id: OperationID(9), kind: kind, step: step, epoch: Epoch(4), createdBy: try Principal(creator), reason: "",
            createdAt: WallTime(milliseconds: 0))
    }

    func view(
        fence: OperationID? = nil, fencedOnDisk: Bool = false, drained: Bool = false, split: LeaderView.SplitRecord? = nil,
        peers: [NodeID: LeaderView.Peer] = [:], lease: Bool = true,
        quorum: LogicalInstant? = LogicalInstant(microseconds: 5_000_000), stuck: Bool = false, unapplied: Int = 0
    ) -> LeaderView {
        LeaderView(
            fence: fence, isFenceOnDisk: fencedOnDisk || drained, isDrained: drained, splitRecord: split, peers: peers,
            uncommittedBytes: 0, hasLease: lease,
            quorumConfirmedAt: quorum, isStuck: stuck, unappliedBytes: unapplied)
    }

    func peer(
        needsSnapshot: Bool = false, following: Bool = true, copying: Bool = false, lag: Int = 0, equal: Bool? = nil,
        snapshot: Bool = true, stuck: Bool = false, unapplied: Int = 0
    ) -> LeaderView.Peer {
        LeaderView.Peer(
            store: StoreID(3), needsSnapshot: needsSnapshot, isFollowing: following, isCopying: copying,
            cameBySnapshot: snapshot, lagBytes: lag,
            isEqual: equal, isStuck: stuck, unappliedBytes: unapplied)
    }

    @Test("a move copies, then compares, then joins; a difference aborts it (M2, M6)")
    func copySteps() throws {
        var driver = Driver(node: a)
        let descriptor = partition(inSync: [a, b], learners: [c])
        let move = try operation(.move(partition: PartitionID(1), source: b, target: c), .copy)
        let next = { (driver: inout Driver, peer: LeaderView.Peer) in
            driver.next(for: descriptor, operation: move, view: self.view(peers: [self.c: peer]), at: self.now)
        }
        #expect(next(&driver, peer(needsSnapshot: true)) == [.copy(to: c)])
        #expect(next(&driver, peer(lag: 1 << 20)) == [])
        #expect(next(&driver, peer(following: false)) == [])
        #expect(next(&driver, peer(copying: true, equal: true)) == [])
        #expect(driver.obstacle == .copying(c, bytes: 0))
        #expect(next(&driver, peer()) == [.verify(OperationID(9))])
        #expect(next(&driver, peer(equal: true)) == [.join(c, StoreID(3))])
        guard case .propose(.abort(OperationID(9), _, _, Epoch(4)))? = next(&driver, peer(equal: false)).first else {
            Issue.record("a difference must abort")
            return
        }
    }

    @Test("a primary that moves away fences after a steady gate, drains, and only then proposes the switch (M4)")
    func handOver() throws {
        var driver = Driver(node: a)
        let descriptor = partition(inSync: [a, b, c])
        let move = try operation(.move(partition: PartitionID(1), source: a, target: c), .handOver)
        var time = now
        var looks = 0
        var acts: [Act] = []
        while acts.isEmpty, looks < 10 {
            acts = driver.next(for: descriptor, operation: move, view: view(quorum: time), at: time)
            time = time + .milliseconds(20)
            looks += 1
        }
        #expect(acts == [.fence(OperationID(9))])
        #expect(looks == 3)
        #expect(driver.next(for: descriptor, operation: move, view: view(fence: OperationID(9)), at: time) == [])
        let switched = driver.next(for: descriptor, operation: move, view: view(fence: OperationID(9), drained: true), at: time)
        #expect(
            switched == [
                .propose(
                    .switchPrimary(
                        PartitionID(1), to: c, store: StoreID(1), operation: OperationID(9), expecting: Epoch(4)))
            ])
    }

    @Test("to a node whose engine takes in nothing a transfer ends, and a move waits; what is fenced goes on (F6)")
    func stuckTarget() throws {
        var driver = Driver(node: a)
        let descriptor = partition(inSync: [a, b, c])
        let transfer = try operation(.transferPrimary(partition: PartitionID(1), target: c), .fence)
        let stuck = view(peers: [c: peer(stuck: true)])
        guard
            case .propose(.abort(OperationID(9), _, _, Epoch(4)))? =
                driver.next(for: descriptor, operation: transfer, view: stuck, at: now).first
        else {
            Issue.record("the transfer must end")
            return
        }
        let move = try operation(.move(partition: PartitionID(1), source: a, target: c), .handOver)
        for look in 0..<10 {
            let at = now + .milliseconds(20) * Int64(look)
            #expect(driver.next(for: descriptor, operation: move, view: stuck, at: at) == [])
        }
        #expect(driver.obstacle == .engine(c))
        let fenced = view(fence: OperationID(9), drained: true, peers: [c: peer(stuck: true)])
        #expect(driver.next(for: descriptor, operation: move, view: fenced, at: now).count == 1)
    }

    @Test("a split waits for every engine on which its children are to open, a hand-over for the new primary's alone (M4, F6)")
    func gateWantsEngines() throws {
        let kind = OperationKind.split(
            partition: PartitionID(1), at: Key([1]), lower: PartitionID(2), upper: PartitionID(3))
        let cases: [(node: NodeID, view: LeaderView)] = [
            (a, view(peers: [b: peer(), c: peer()], stuck: true)),
            (a, view(peers: [b: peer(), c: peer()], unapplied: 1 << 20)),
            (b, view(peers: [b: peer(stuck: true), c: peer()])), (b, view(peers: [b: peer(unapplied: 1 << 20), c: peer()])),
            (c, view(peers: [b: peer(), c: peer(unapplied: 1 << 20)])), (c, view(peers: [b: peer(), c: peer(stuck: true)])),
        ]
        let good = view(peers: [b: peer(unapplied: 1 << 16), c: peer()], unapplied: 1 << 16)
        let split = try operation(kind, .fence)
        let move = try operation(.move(partition: PartitionID(1), source: a, target: c), .handOver)
        for (node, bad) in cases {
            for (operation, isHeld) in [(split, true), (move, node == c)] {
                var driver = Driver(node: a)
                func look(_ view: LeaderView, _ times: Int) -> [Act] {
                    var acts: [Act] = []
                    for time in 0..<times {
                        acts = driver.next(
                            for: partition(inSync: [a, b, c]), operation: operation, view: view,
                            at: now + .milliseconds(20) * Int64(time))
                    }
                    return acts
                }
                #expect(look(bad, 3) == (isHeld ? [] : [.fence(operation.id)]), "\(node) \(operation.kind)")
                if isHeld { #expect(driver.obstacle == .engine(node)) }
                #expect(look(good, 5) == [.fence(operation.id)], "\(node) \(operation.kind)")
            }
        }
    }

    @Test("no fence starts without a lease (M4)")
    func gateWantsALease() throws {
        var driver = Driver(node: a)
        let transfer = try operation(.transferPrimary(partition: PartitionID(1), target: b), .fence)
        var time = now
        for _ in 0..<20 {
            let acts = driver.next(
                for: partition(inSync: [a, b]), operation: transfer, view: view(lease: false, quorum: time), at: time)
            #expect(acts == [] && driver.obstacle == .noLease)
            time = time + .milliseconds(20)
        }
    }

    @Test("no fence starts unless the quorum was confirmed in the last 200 ms; once steady, it is asked for (M4)")
    func gateWantsAQuorum() throws {
        var driver = Driver(node: a)
        let transfer = try operation(.transferPrimary(partition: PartitionID(1), target: b), .fence)
        var time = now
        var acts: [Act] = []
        for look in 0..<20 {
            let view = view(quorum: time - .milliseconds(300))
            acts = driver.next(for: partition(inSync: [a, b]), operation: transfer, view: view, at: time)
            #expect(acts == (look < 2 ? [] : [.confirmQuorum]))
            #expect(driver.obstacle == (look < 2 ? .unsteady : .quorumUnconfirmed))
            time = time + .milliseconds(20)
        }
        // The answer comes between two looks; the gate has been open all the while.
        acts = driver.next(
            for: partition(inSync: [a, b]), operation: transfer, view: view(quorum: time - .milliseconds(30)),
            at: time - .milliseconds(10))
        #expect(acts == [.fence(OperationID(9))])
    }

    @Test("the new primary removes a move's source from the descriptor")
    func removesSource() throws {
        var driver = Driver(node: a)
        let move = try operation(.move(partition: PartitionID(1), source: b, target: a), .handOver)
        let acts = driver.next(for: partition(inSync: [a, b, c]), operation: move, view: view(), at: now)
        #expect(
            acts == [
                .propose(.removeReplica(PartitionID(1), node: b, operation: OperationID(9), expecting: Epoch(4)))
            ])
    }

    @Test("a split orders its record once the fence is on disk, and proposes exactly where it stands (M2)")
    func split() throws {
        var driver = Driver(node: a)
        let kind = OperationKind.split(
            partition: PartitionID(1), at: Key([1]), lower: PartitionID(2), upper: PartitionID(3))
        let split = try operation(kind, .fence)
        let descriptor = partition(inSync: [a, b])
        let fenced = OperationID(9)
        #expect(driver.next(for: descriptor, operation: split, view: view(fence: fenced), at: now) == [])
        #expect(
            driver.next(for: descriptor, operation: split, view: view(fence: fenced, fencedOnDisk: true), at: now)
                == [.split(OperationID(9))])
        let record = LeaderView.SplitRecord(position: Position(epoch: Epoch(3), run: 1, sequence: 70), checksum: 8)
        let held = driver.next(
            for: descriptor, operation: split, view: view(fence: fenced, drained: true, split: record, unapplied: 1), at: now)
        #expect(held == [], "the engine has yet to take the record in, and the children are its to make (F6)")
        let acts = driver.next(
            for: descriptor, operation: split, view: view(fence: fenced, drained: true, split: record), at: now)
        #expect(
            acts == [
                .propose(
                    .commitSplit(
                        PartitionID(1), operation: OperationID(9), at: record.position, checksum: 8, inSync: [a, b],
                        expecting: Epoch(4)))
            ])
    }

    /// What there is to do for a split by `creator` whose gate is held, at each of so many seconds.
    private func heldSplit(
        by creator: String, seconds: ClosedRange<Int64>, driver: inout Driver, pausedAt: Int64? = nil,
        _ change: (inout LeaderView) -> Void = { _ in }
    ) throws -> [Act] {
        let kind = OperationKind.split(
            partition: PartitionID(1), at: Key([1]), lower: PartitionID(2), upper: PartitionID(3))
        var split = try operation(kind, .fence, by: creator)
        var held = view(peers: [b: peer(lag: 1 << 20)])
        change(&held)
        let pause = OperationPause(by: try Principal("ada"), at: WallTime(milliseconds: 5))
        return seconds.flatMap { second in
            split.pause = second == pausedAt ? pause : nil
            return driver.next(for: partition(inSync: [a, b]), operation: split, view: held, at: now + .seconds(second))
        }
    }

    private var endOfSplit: Act {
        .propose(
            .abort(OperationID(9), partition: PartitionID(1), reason: "its gate did not open for 60 s", expecting: Epoch(4)))
    }

    @Test("a split that an agent asked for ends when its gate has not opened for a minute, an operator's stands (M4)")
    func agentsSplitEnds() throws {
        var driver = Driver(node: a)
        #expect(try heldSplit(by: "node/a", seconds: 0...59, driver: &driver) == [])
        #expect(try heldSplit(by: "node/a", seconds: 60...60, driver: &driver) == [endOfSplit])
        #expect(driver.obstacle == .lag(b, bytes: 1 << 20))
        var patient = Driver(node: a)
        #expect(try heldSplit(by: "operator/ada", seconds: 0...600, driver: &patient) == [])
    }

    @Test("a pause is no wait before a gate: behind it the minute begins anew; and a split that is fenced has its watchdog")
    func agentsSplitPaused() throws {
        var driver = Driver(node: a)
        #expect(try heldSplit(by: "node/a", seconds: 0...89, driver: &driver, pausedAt: 30) == [])
        #expect(try heldSplit(by: "node/a", seconds: 91...91, driver: &driver) == [endOfSplit])
        #expect(try heldSplit(by: "node/a", seconds: 92...300, driver: &driver) { $0.fence = OperationID(9) } == [])
    }

    @Test("a merge fences both partitions when both gates are open, and proposes where the records of both stand (M2, M4)")
    func merge() throws {
        var driver = Driver(node: a)
        let op = OperationID(9)
        let merge = try operation(.merge(left: PartitionID(1), right: PartitionID(2), into: PartitionID(3)), .fence)
        let left = partition(inSync: [a, b])
        let right = PartitionDescriptor(
            id: PartitionID(2), table: TableID(1), range: .all, epoch: Epoch(6), primary: a, replicas: left.replicas,
            status: .active, operation: op)
        var time = now
        func next(_ one: LeaderView, _ other: LeaderView, looks: Int = 1) -> (left: [Act], right: [Act]) {
            var acts: (left: [Act], right: [Act]) = ([], [])
            for _ in 0..<looks {
                time = time + .milliseconds(20)
                let quorum = time
                let views = [one, other].map { view in
                    var view = view
                    view.quorumConfirmedAt = quorum
                    return view
                }
                acts = driver.merge(left: (left, views[0]), right: (right, views[1]), in: merge, at: time)
            }
            return acts
        }
        let (good, bad) = (view(peers: [b: peer()]), view(peers: [b: peer(lag: 1 << 30)]))
        let (stuck, late) = (view(peers: [b: peer(stuck: true)]), view(peers: [b: peer()], unapplied: 1 << 20))
        let closed = [bad, view(lease: false), stuck, late]
        for (one, other) in closed.flatMap({ [($0, good), (good, $0)] }) {
            let acts = next(one, other, looks: 5)
            #expect(acts.left == [] && acts.right == [])
        }
        let opened = next(good, good, looks: 3)
        #expect(opened.left == [.fence(op)] && opened.right == [.fence(op)])
        // A start in between has left one fence: the other follows, whatever the gate would say.
        let one = next(bad, view(fence: op, drained: false))
        #expect(one.left == [.fence(op)] && one.right == [])
        let drained = next(view(fence: op, drained: true), view(fence: op, drained: false))
        #expect(drained.left == [.split(op)] && drained.right == [])
        let records = [70, 71].map {
            LeaderView.SplitRecord(position: Position(epoch: Epoch(3), run: 1, sequence: $0), checksum: UInt32($0))
        }
        let half = next(view(fence: op, drained: true, split: records[0]), view(fence: op, drained: true))
        #expect(half.left == [] && half.right == [.split(op)])
        let open = next(view(drained: true, split: records[0]), view(fence: op, drained: true, split: records[1]))
        #expect(open.left == [.fence(op)] && open.right == [], "a record without a fence ends nothing")
        let held = next(
            view(fence: op, drained: true, split: records[0]),
            view(fence: op, drained: true, split: records[1], unapplied: 1))
        #expect(held.left == [] && held.right == [], "the engine has yet to take a record in (F6)")
        let whole = next(
            view(fence: op, drained: true, split: records[0]), view(fence: op, drained: true, split: records[1]))
        let ends = zip([left, right], records).map {
            PartitionEnd(partition: $0.id, at: $1.position, checksum: $1.checksum, expecting: $0.epoch)
        }
        #expect(whole.left == [.propose(.commitMerge(op, left: ends[0], right: ends[1], inSync: [a, b]))] && whole.right == [])
    }

    @Test("one fence of a merge that was left alone is joined by the other only if the quorum is sure (M4)")
    func loneFence() throws {
        var driver = Driver(node: a)
        let op = OperationID(9)
        let merge = try operation(.merge(left: PartitionID(1), right: PartitionID(2), into: PartitionID(3)), .fence)
        let left = partition(inSync: [a, b])
        let right = PartitionDescriptor(
            id: PartitionID(2), table: TableID(1), range: .all, epoch: Epoch(6), primary: a, replicas: left.replicas,
            status: .active, operation: op)
        let unsure: [LogicalInstant?] = [nil, now - .milliseconds(300)]
        for quorum in unsure {
            let acts = driver.merge(
                left: (left, view(quorum: quorum)), right: (right, view(fence: op, drained: true, quorum: quorum)), in: merge,
                at: now)
            #expect(acts.left == [.confirmQuorum])
            #expect(driver.obstacle == .quorumUnconfirmed)
        }
        let acts = driver.merge(
            left: (left, view()), right: (right, view(fence: op, drained: true)), in: merge, at: now)
        #expect(acts.left == [.fence(op)])
    }

    @Test("a paused operation has nothing to do at any step, whatever its view; going on, it counts its gate anew")
    func paused() throws {
        let id = PartitionID(1)
        let split = OperationKind.split(partition: id, at: Key([1]), lower: PartitionID(2), upper: PartitionID(3))
        let cases: [(OperationKind, OperationStep, [NodeID], [NodeID])] = [
            (.move(partition: id, source: b, target: c), .copy, [a, b], [c]),
            (.move(partition: id, source: nil, target: c), .copy, [a, b], [c]),
            (.move(partition: id, source: a, target: c), .handOver, [a, b, c], []),
            (.move(partition: id, source: b, target: a), .handOver, [a, b, c], []),
            (.transferPrimary(partition: id, target: b), .fence, [a, b], []), (split, .fence, [a, b], []),
        ]
        let views = [peer(needsSnapshot: true), peer(), peer(equal: true), peer(equal: false), peer(stuck: true)]
        for (kind, step, inSync, learners) in cases {
            var operation = try operation(kind, step)
            operation.pause = OperationPause(by: try Principal("ada"), at: WallTime(milliseconds: 5))
            let descriptor = partition(inSync: inSync, learners: learners)
            var driver = Driver(node: a)
            var time = now
            for _ in 0..<3 {
                for peer in views {
                    let acts = driver.next(
                        for: descriptor, operation: operation, view: view(peers: [c: peer, b: peer], quorum: time), at: time)
                    #expect(acts == [] && driver.obstacle == .paused, "\(kind) \(step)")
                    time = time + .milliseconds(20)
                }
            }
            guard step != .copy, kind.name != "move" || kind == .move(partition: id, source: a, target: c) else { continue }
            operation.pause = nil
            let first = driver.next(for: descriptor, operation: operation, view: view(quorum: time), at: time)
            #expect(first == [] && driver.obstacle == .unsteady, "\(kind)")
        }
    }

    @Test("a fence that stands is brought to its end though its operation is paused: writers wait for nobody")
    func pausedBehindFence() throws {
        var driver = Driver(node: a)
        var transfer = try operation(.transferPrimary(partition: PartitionID(1), target: b), .fence)
        transfer.pause = OperationPause(by: try Principal("ada"), at: WallTime(milliseconds: 5))
        let fenced = view(fence: transfer.id, drained: true)
        let acts = driver.next(for: partition(inSync: [a, b]), operation: transfer, view: fenced, at: now)
        #expect(
            acts == [
                .propose(
                    .switchPrimary(PartitionID(1), to: b, store: StoreID(1), operation: transfer.id, expecting: Epoch(4)))
            ])
    }

    @Test("while a move is paused, other learners come back into the in-sync set, and the move's own does not")
    func learnersBesidePause() throws {
        var driver = Driver(node: a)
        var move = try operation(.move(partition: PartitionID(1), source: nil, target: c), .copy)
        move.pause = OperationPause(by: try Principal("ada"), at: WallTime(milliseconds: 5))
        let descriptor = partition(inSync: [a], learners: [b, c])
        let peers = [b: peer(snapshot: false), c: peer(snapshot: false)]
        let acts = driver.next(for: descriptor, operation: move, view: view(peers: peers), at: now)
        #expect(acts == [.join(b, StoreID(3))])
    }

    @Test("while a move goes on, a member that only fell behind comes back, but under a fence", arguments: [true, false])
    func learnersBesideMove(isCopying: Bool) throws {
        var driver = Driver(node: a)
        let move = try operation(.move(partition: PartitionID(1), source: a, target: c), isCopying ? .copy : .handOver)
        let descriptor = isCopying ? partition(inSync: [a], learners: [b, c]) : partition(inSync: [a, c], learners: [b])
        func acts(_ member: LeaderView.Peer, fence: OperationID? = nil) -> [Act] {
            let peers = isCopying ? [b: member, c: peer(copying: true)] : [b: member]
            return driver.next(for: descriptor, operation: move, view: view(fence: fence, peers: peers), at: now)
        }
        #expect(acts(peer(snapshot: false)) == [.join(b, StoreID(3))])
        #expect(acts(peer(snapshot: false), fence: move.id) == [])
        // With the gate open long since: the join goes before the fence.
        guard !isCopying else { return }
        for look: Int64 in 1...5 {
            let time = now + .milliseconds(20 * look)
            let view = view(peers: [b: peer(snapshot: false)], quorum: time)
            #expect(driver.next(for: descriptor, operation: move, view: view, at: time) == [.join(b, StoreID(3))])
        }
    }

    @Test("who would have to be compared, or needs a snapshot, stays out while a move goes on", arguments: [true, false])
    func strangersBesideMove(isCopying: Bool) throws {
        var driver = Driver(node: a)
        let move = try operation(.move(partition: PartitionID(1), source: a, target: c), isCopying ? .copy : .handOver)
        let descriptor = isCopying ? partition(inSync: [a], learners: [b, c]) : partition(inSync: [a, c], learners: [b])
        func acts(_ member: LeaderView.Peer) -> [Act] {
            let peers = isCopying ? [b: member, c: peer(copying: true)] : [b: member]
            return driver.next(for: descriptor, operation: move, view: view(peers: peers), at: now)
        }
        // A comparison is one at a time, and the move's.
        #expect(acts(peer()) == [])
        #expect(acts(peer(needsSnapshot: true)) == [])
    }

    @Test("an evicted member that only fell behind joins again without a comparison (F5)")
    func returningMember() {
        var driver = Driver(node: a)
        let descriptor = partition(inSync: [a, b], learners: [c], operation: nil)
        let acts = driver.next(
            for: descriptor, operation: nil, view: view(peers: [c: peer(snapshot: false)]), at: now)
        #expect(acts == [.join(c, StoreID(3))])
    }
}

@Suite struct CleanupPlanTests {
    private func topology(step: OperationStep, phase: OperationPhase, holds: Bool, kind: OperationKind? = nil) throws
        -> (Topology, NodeID)
    {
        let node = try NodeID("n1")
        let cleanup = Cleanup(node: node, storage: StorageID(5), partition: PartitionID(1))
        let operation = OperationDescriptor(
            id: OperationID(9), kind: kind ?? .move(partition: PartitionID(1), source: node, target: try NodeID("n2")),
            step: step, phase: phase, epoch: Epoch(1), cleanups: [cleanup], createdBy: try Principal("test"), reason: "",
            createdAt: WallTime(milliseconds: 0))
        let replicas =
            holds ? [ReplicaDescriptor(node: node, store: StoreID(1), storage: StorageID(5), role: .inSync)] : []
        let partition = PartitionDescriptor(
            id: PartitionID(1), table: TableID(1), range: .all, epoch: Epoch(1), primary: nil, replicas: replicas,
            status: .active)
        let topology = Topology(
            revision: Revision(history: 1, index: 9), changes: [.operation(operation), .partition(partition)])
        return (topology, node)
    }

    @Test("data is dropped after the committed end of its operation, never before (M3)")
    func dropsAfterEnd() throws {
        for (step, phase, expected) in [
            (OperationStep.copy, OperationPhase.running, 0), (.handOver, .running, 0), (.dropSource, .running, 1),
            (.copy, .aborted, 1),
        ] {
            let (topology, node) = try topology(step: step, phase: phase, holds: false)
            #expect(CleanupPlan.due(on: node, in: topology).count == expected, "\(step) \(phase)")
        }
    }

    @Test("a parent is not dropped while children are yet to be installed out of its storage, whatever record names it (M2)")
    func keepsParents() throws {
        let (topology, node) = try topology(step: .dropSource, phase: .running, holds: false)
        func due(childIn storage: UInt64?) -> Int {
            let replicas = storage.map {
                [ReplicaDescriptor(node: node, store: StoreID(1), storage: StorageID($0), role: .inSync)]
            }
            let child = PartitionDescriptor(
                id: PartitionID(2), table: TableID(1), range: .all, epoch: Epoch(2), primary: nil, replicas: replicas ?? [],
                status: .active)
            var after = topology
            let to = Revision(history: 1, index: 10)
            let changes: [TopologyChange] = [
                .partitionRetired(PartitionID(1), epoch: Epoch(2), children: [PartitionID(2)]), .partition(child),
            ]
            after.commit(changes, at: to)
            return CleanupPlan.due(on: node, in: after).count
        }
        #expect(due(childIn: 5) == 0)
        #expect(due(childIn: 6) == 1)
        #expect(due(childIn: nil) == 1)
    }

    @Test("a copy that a descriptor still names is never dropped")
    func keepsWhatIsInUse() throws {
        let (topology, node) = try topology(step: .dropSource, phase: .running, holds: true)
        #expect(CleanupPlan.due(on: node, in: topology).isEmpty)
    }
}
