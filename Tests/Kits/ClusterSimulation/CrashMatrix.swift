// The crash matrix of one operation: it is played once undisturbed, which tells its steps, and then again and again from each event
// before and after each of them, with somebody dead. Nothing is drawn: the seed decides only when things happen, and how large the
// cluster's settings are.

import AgentCore
import Catalog
import Consensus
import CoordinatorCore
package import Model
import Planning
import Replication
package import SimulationKit

package struct CrashMatrix {
    package let operation: CrashOperation
    package let seed: UInt64
    /// The last lines of what happened in a cell that fails.
    package var lines = 0
    private let bug: ClusterBug?

    /// A step that came in the rehearsal, and in which event after the order.
    private struct Mark {
        var steps: [CrashStep]
        let event: Int
    }

    package static let fenceBound = Span.milliseconds(400)
    /// Clients think now and then, and some registers are asked for less often.
    private static let quiet = Span.milliseconds(400)
    /// Until the death of a primary is found, declared, its leases have run out and the next one serves.
    package static let failoverBound = Span.seconds(4)
    private static let shortAbsence = Span.milliseconds(700)
    private static let endBound = Span.seconds(20)
    /// After so long an order that nobody has carried out is one that was never given.
    private static let orderBound = Span.seconds(5)

    package init(operation: CrashOperation, seed: UInt64, bug: ClusterBug? = nil) {
        self.operation = operation
        self.seed = seed
        self.bug = bug
    }

    // MARK: - The matrix

    /// The steps of the operation in an undisturbed run, in their order, and what came of that.
    package func rehearsal() throws(Violation) -> (steps: [CrashStep], result: CrashResult) {
        var simulation = try makeReady()
        let marks = try rehearse(&simulation)
        return (marks.flatMap(\.steps), try see(&simulation, through: nil))
    }

    /// Plays every cell that `isWanted`.
    package func play(
        where isWanted: (CrashCell) -> Bool = { _ in true }, begins: (CrashCell) -> Void = { _ in },
        ends: (CrashCell, Result<CrashResult, Violation>, [String]) -> Void
    ) throws(Violation) {
        let base = try makeReady()
        let archive = base.system.archive
        let kept = archive.marks
        var first = base
        let marks = try rehearse(&first)
        let roles = first.system.watch?.roles ?? CrashRoles()
        archive.rollBack(to: kept)
        var replay = base
        var events = 0
        for mark in marks {
            for side in CrashSide.allCases {
                try replay.forward(side == .before ? mark.event - 1 : mark.event, &events, operation)
                for party in operation.parties {
                    guard let host = replay.host(of: party, roles) else { continue }
                    for absence in CrashAbsence.allCases {
                        let cell = CrashCell(
                            operation: operation, steps: mark.steps, party: party, side: side, absence: absence)
                        guard isWanted(cell) else { continue }
                        begins(cell)
                        let kept = archive.marks
                        var fork = replay
                        let result = Result { () throws(Violation) in try play(cell, at: host, from: &fork) }
                        ends(cell, result, fork.trace.lines)
                        archive.rollBack(to: kept)
                    }
                }
            }
        }
    }

    private func play(
        _ cell: CrashCell, at host: Int, from simulation: inout Simulation<Cluster>
    ) throws(Violation) -> CrashResult {
        let absence = cell.absence == .short ? Self.shortAbsence : .seconds(3_600)
        simulation.system.watch?.victim(host, in: simulation.system.checks.truth)
        simulation.kill(host, losesPower: true, restartAfter: absence)
        return try see(&simulation, through: cell)
    }

    // MARK: - Before the operation

    private var options: ClusterOptions {
        var options = ClusterOptions(seed: seed)
        // Where a copy is missed already, another death is not to look like that of a zone.
        options.agents = operation.lacksNode ? 7 : 5
        options.copies = 3
        options.clients = 12
        options.splitKeys = []
        options.isWatched = true
        options.hasOrphan = operation == .removeOrphan
        // So that how long none was acknowledged says something.
        options.isPlain = true
        // Nobody but whoever is told to changes where things are.
        options.coordinator.repairs.delay = operation.lacksNode ? .seconds(1) : .seconds(600)
        options.coordinator.leadershipDelay = .seconds(600)
        // So that whoever was missed is back before the copy is whole.
        options.importTime = operation == .needlessRepair ? .seconds(2) : .milliseconds(20)
        // So that there is something to copy.
        options.agent.replication.historyBytes = 512
        options.agent.replication.replayedEntries = 4
        options.agent.replication.learnerBytes = ReplicationSettings().learnerBytes
        options.agent.replication.pendingBytes = ReplicationSettings().pendingBytes
        options.plant(bug)
        return options
    }

    /// A cluster that has served for a while and is at rest but for its clients; what the operation needs is there.
    private func makeReady() throws(Violation) -> Simulation<Cluster> {
        let cluster: Cluster
        do { cluster = try Cluster(options, seed: seed) } catch { throw Violation("\(error)") }
        var simulation = try Simulation(
            cluster, hosts: cluster.options.hosts, seed: seed, plan: FaultPlan(), lines: lines)
        simulation.schedule(.prepare, after: .milliseconds(500))
        for event in simulation.system.clients.firstEvents { simulation.schedule(.client(event), after: .milliseconds(1)) }
        simulation.system.clients.isCalm = true
        try simulation.waits("every register takes writes", atMost: .seconds(30)) { simulation in
            simulation.system.clients.writtenInCalm.count == ClusterOptions.keys ? nil : "\(simulation.unrest ?? "at rest")"
        }
        if operation == .dropTable {
            let nodes = simulation.system.checks.truth.nodes.values.sorted { $0.id < $1.id }
            if let command = CrashOperation.creation(of: CrashOperation.spare, on: nodes) {
                simulation.order(.exactly(command))
            }
            try simulation.waits("the second table is there", atMost: .seconds(10)) { simulation in
                let tables = simulation.system.checks.truth.tables.values
                return tables.count == 2 && tables.allSatisfy { $0.status == .active } ? nil : "\(tables.count) tables"
            }
        }
        if operation.joinsHalves { try cut(&simulation) }
        let (operation, places) = (operation, simulation.system.places)
        let topology = simulation.system.checks.truth
        let drained = topology.partitions.values.first?.primary
        simulation.system.watch = CrashWatch(places, table: topology.tables.keys.min()) {
            operation.recognises($0, drained: drained)
        }
        // The watch has to know who leads; and those who have met a moment ago are slow to find one another dead.
        try simulation.run(until: simulation.now + .seconds(6))
        try order(&simulation)
        return simulation
    }

    /// So that there are two halves to be merged.
    private func cut(_ simulation: inout Simulation<Cluster>) throws(Violation) {
        let (topology, places) = (simulation.system.checks.truth, simulation.system.places)
        guard let command = CrashOperation.split.command(in: topology, places) else { throw Violation("nothing can be cut") }
        simulation.order(.exactly(command))
        try simulation.waits("there are two halves", atMost: .seconds(10)) { simulation in
            let halves = simulation.system.checks.truth.partitions.values
            return halves.count == 2 && halves.allSatisfy { $0.operation == nil } ? nil : "\(halves.count) partitions"
        }
    }

    private func order(_ simulation: inout Simulation<Cluster>) throws(Violation) {
        let topology = simulation.system.checks.truth
        let now = simulation.now
        simulation.system.watch?.measures(true, at: now)
        if operation.lacksNode {
            guard let partition = topology.partitions.values.first,
                let missed = partition.inSync.last(where: { $0 != partition.primary }),
                let host = simulation.system.places.host(of: missed)
            else { throw Violation("there is nobody to be missed") }
            simulation.kill(host, losesPower: true, restartAfter: .seconds(3_600))
            simulation.system.watch?.missed = host
            try simulation.waits("the missed node is failed", atMost: .seconds(10)) { simulation in
                simulation.system.checks.truth.nodes[missed]?.status == .failed ? nil : "it is not"
            }
            // What its loss has cost is not the operation's.
            simulation.system.watch?.forgetPause(at: simulation.now)
        } else if let command = operation.command(in: topology, simulation.system.places) {
            simulation.order(.exactly(command))
        } else {
            throw Violation("there is nothing to do for \(operation.rawValue)")
        }
    }

    /// Plays the operation undisturbed.
    private func rehearse(_ simulation: inout Simulation<Cluster>) throws(Violation) -> [Mark] {
        var marks: [Mark] = []
        var (events, told) = (0, 0)
        let operation = operation
        let isOver = try simulation.run(until: simulation.now + Self.endBound) { simulation in
            events += 1
            simulation.answer(for: operation)
            guard let watch = simulation.system.watch else { return true }
            if watch.steps.count > told { marks.append(Mark(steps: Array(watch.steps[told...]), event: events)) }
            told = watch.steps.count
            return watch.isOver
        }
        guard isOver else { throw Violation("\(operation.rawValue) does not end, undisturbed") }
        return marks
    }

    // MARK: - To the end

    /// Lets the operation end and the cluster come to rest, and judges.
    private func see(_ simulation: inout Simulation<Cluster>, through cell: CrashCell?) throws(Violation) -> CrashResult {
        let end = simulation.now + Self.endBound
        let never = simulation.now + Self.orderBound
        while simulation.system.watch?.end == nil {
            if simulation.system.watch?.operation == nil, simulation.now > never { break }
            guard simulation.now < end else {
                if operation.waitsForParty { break }
                let running = simulation.system.watch?.operation.flatMap { simulation.system.checks.truth.operations[$0] }
                throw Violation(
                    "the operation does not end: \(running.map { "\($0.kind) at \($0.step), \($0.phase)" } ?? "it is gone")")
            }
            // What is left is done when whoever died is back, or is given up for good.
            if simulation.system.watch?.waitsForTheDead({ simulation.process($0) != nil }) ?? false { break }
            simulation.insist(for: operation)
            try simulation.pass(.milliseconds(250), operation)
        }
        for host in 0..<simulation.hostCount where cell?.absence != .short || operation.lacksNode {
            try simulation.revive(host)
        }
        simulation.system.clients.countAnew()
        try simulation.waits("every register takes writes again", atMost: ClusterRun.recoveryBound) { simulation in
            let written = simulation.system.clients.writtenInCalm.count
            return written == ClusterOptions.keys ? nil : "\(simulation.unrest ?? "at rest")"
        }
        simulation.system.clients.isStopped = true
        simulation.system.watch?.measures(false, at: simulation.now)
        if operation == .removeOrphan, simulation.system.watch?.operation == nil { try order(&simulation) }
        try simulation.waits("all comes to rest", atMost: ClusterRun.restBound) { $0.unrest ?? $0.undrained(by: operation) }
        return try judge(&simulation, cell)
    }

    private func judge(_ simulation: inout Simulation<Cluster>, _ cell: CrashCell?) throws(Violation) -> CrashResult {
        let system = simulation.system
        try system.checks.verdict(simulation.processes)
        try system.checks.keepAcknowledged(simulation.registers)
        try system.checks.nothingIsLeft(simulation.processes, at: simulation.now)
        guard try system.clients.verdict(simulation.registers, at: simulation.now) == 0 else {
            throw Violation("the calls were not judged")
        }
        guard let watch = system.watch else { throw Violation("nobody looked on") }
        if let end = watch.end, let flaw = CrashOperation.flaw(in: end.topology, at: end.descriptor) { throw Violation(flaw) }
        let result = CrashResult(
            outcome: watch.end?.descriptor.phase == .succeeded ? .after : .before, pause: watch.longestPause,
            fence: watch.longestFence)
        guard cell != nil || result.outcome == (operation.isUndone ? .before : .after) else {
            throw Violation("undisturbed, \(operation.rawValue) ends \(result.outcome.rawValue)")
        }
        guard result.fence <= Self.fenceBound else { throw Violation("a fence stood for \(result.fence) under a leader") }
        let bound = pauseBound(cell, watch)
        guard result.pause <= bound else {
            throw Violation("no write was acknowledged for \(result.pause), which is more than \(bound)")
        }
        return result
    }

    /// How long no write may be acknowledged: what the fence and the death cost by themselves.
    private func pauseBound(_ cell: CrashCell?, _ watch: CrashWatch) -> Span {
        let undisturbed = Self.fenceBound + Self.quiet
        guard let cell else { return undisturbed }
        switch cell.party {
        // A fence may have to wait for the next leader: the silence of the last one is noticed within two time-outs, and votes may be
        // split once.
        case .leader: return undisturbed + options.raft.electionTimeout * 4
        case .source, .target, .primary:
            // With two of three copies gone nobody takes writes until one is back (rule R3).
            if operation.lacksNode { return Self.endBound + Self.failoverBound }
            return watch.hasVictimLed ? Self.failoverBound : undisturbed + options.agent.replication.prepareTimeout * 2
        }
    }
}

extension Simulation where System == Cluster {
    /// Lets time pass, with an operator who looks on.
    fileprivate mutating func pass(_ span: Span, _ operation: CrashOperation) throws(Violation) {
        try run(until: now + span) { simulation in
            simulation.answer(for: operation)
            return false
        }
    }

    /// Up to an event after the order.
    fileprivate mutating func forward(_ target: Int, _ events: inout Int, _ operation: CrashOperation) throws(Violation) {
        guard events < target else { return }
        var count = events
        try run(until: now + .seconds(3_600)) { simulation in
            count += 1
            simulation.answer(for: operation)
            return count == target
        }
        events = count
    }

    /// What an operator, or a node that comes back, does at the steps that have come.
    fileprivate mutating func answer(for operation: CrashOperation) {
        guard let watch = system.watch, watch.answeredSteps < watch.steps.count, let id = watch.operation else { return }
        for case .committed(let step) in watch.steps[watch.answeredSteps...] {
            for interruption in operation.interruptions where interruption.at == step {
                schedule(.order(.exactly(interruption.command(id))), after: interruption.after)
            }
            let isWanted =
                operation == .needlessRepair && step == .entered(.copy) || operation == .repair && step == .entered(.done)
            // Where it cannot start, nothing comes to rest.
            if isWanted, let missed = watch.missed { try? revive(missed) }
        }
        system.watch?.answeredSteps = watch.steps.count
    }

    /// A wish to drain outlasts the death of the node.
    fileprivate func undrained(by operation: CrashOperation) -> String? {
        guard operation == .drain, let host = system.watch?.roles.source else { return nil }
        let node = system.places.node(host)
        let holds = system.checks.truth.partitions.values.contains { $0.replica(on: node) != nil }
        return holds ? "\(node) was to be drained, and holds a copy" : nil
    }

    /// What an operator has asked of somebody who died is asked again; what was paused for long goes on.
    fileprivate mutating func insist(for operation: CrashOperation) {
        guard let watch = system.watch, let id = watch.operation, let running = system.checks.truth.operations[id],
            running.phase == .running
        else { return }
        if running.pause != nil {
            schedule(.order(.exactly(.resumeOperation(id))), after: .milliseconds(500))
        } else if operation.isUndone, !operation.lacksNode {
            schedule(.order(.exactly(.abortOperation(id, reason: "asked again"))), after: .milliseconds(500))
        }
    }

    fileprivate func host(of party: CrashParty, _ roles: CrashRoles) -> Int? {
        switch party {
        case .source: return roles.source
        case .target: return roles.target
        case .primary: return roles.primary
        case .leader:
            let leading = system.places.members.indices.compactMap { host in
                process(host)?.coordinator.flatMap { $0.core.raft.isLeader ? (host: host, term: $0.core.raft.term) : nil }
            }
            return leading.max { $0.term < $1.term }?.host
        }
    }
}

extension ClusterChecks {
    /// At rest there is no fence, no import, and no damage anywhere.
    fileprivate func nothingIsLeft(_ processes: [ClusterProcess?], at now: LogicalInstant) throws(Violation) {
        for agent in processes.compactMap({ $0?.agent }) {
            for status in agent.core.replicas(at: now) {
                if status.isFenced { throw Violation("\(agent.node) still fences \(status.partition)") }
                if let damage = status.damage { throw Violation("\(agent.node) has \(status.partition) damaged: \(damage)") }
            }
            for (id, held) in agent.engine.sorted(by: { $0.key < $1.key }) where held.importing != nil {
                throw Violation("\(agent.node) holds half a snapshot of \(id)")
            }
        }
    }
}
