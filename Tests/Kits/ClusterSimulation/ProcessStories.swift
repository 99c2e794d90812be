// What a process must not do, told to one that stands alone: with peers and coordinators of ours it comes so far only when rare things
// meet.

import AgentCore
import Catalog
import Model
import Replication
import SimulationKit

enum ProcessStories {
    /// An agent that leads the only copy of a partition, and the partition.
    private static func owner(
        _ bug: ClusterBug?, mayDamage: Bool = false
    ) throws(Violation) -> (HandDrivenProcess, HandDrivenCatalog) {
        var catalog = try HandDrivenCatalog(bug)
        var agent = try HandDrivenProcess(3, bug, mayDamage: mayDamage)
        try catalog.createTable(on: [3])
        try agent.learn(catalog.topology)
        try catalog.finishTable()
        try agent.learn(catalog.topology)
        let partition = try catalog.partition
        guard case .value? = try agent.read(partition.id, at: partition.epoch) else {
            throw Violation("an agent does not serve what it leads")
        }
        return (agent, catalog)
    }

    /// It stands still between the engine's answer and its own.
    static func stalledReader(_ bug: ClusterBug?) throws(Violation) {
        let (started, catalog) = try owner(bug)
        var agent = started
        let partition = try catalog.partition
        try agent.ask(partition.id, at: partition.epoch)
        var hasRead: Bool {
            agent.process.agent?.lane.contains { if case .answerRead = $0.work { true } else { false } } ?? false
        }
        for _ in 0..<2_000 where !hasRead { try agent.pass(.microseconds(20), pace: .microseconds(20)) }
        guard hasRead else { throw Violation("the engine does not read") }
        agent.stall(.seconds(2))
        try agent.step(.tick)
        if case .value? = agent.answer() { throw Violation("an agent answers a read when its right to is over") }
    }

    /// The engine finds that it cannot read what it holds.
    static func damagedCopy(_ bug: ClusterBug?) throws(Violation) {
        let (started, catalog) = try owner(bug, mayDamage: true)
        var agent = started
        let partition = try catalog.partition
        try agent.fail(partition.id)
        if case .value? = try agent.read(partition.id, at: partition.epoch) {
            throw Violation("an agent answers out of a copy that is damaged")
        }
    }

    /// Of two changes of the topology the second comes alone.
    static func missedChange(_ bug: ClusterBug?) throws(Violation) {
        let (started, known) = try owner(bug)
        var (agent, catalog) = (started, known)
        try catalog.start(4, store: catalog.places.store(4), generation: 2)
        let between = catalog.topology.revision
        try catalog.start(5, store: catalog.places.store(5), generation: 2)
        guard let link = agent.process.agent?.session.link, let delta = catalog.lastDelta, delta.from == between else {
            throw Violation("there is no second change")
        }
        try agent.hear(.answer(.delta(delta), link: link), from: 0)
        guard agent.process.agent?.core.topology.revision == known.topology.revision else {
            throw Violation("an agent takes a change of a topology that it does not have")
        }
    }

    /// A client asks by a route of long ago.
    static func oldRoute(_ bug: ClusterBug?) throws(Violation) {
        var (agent, catalog) = try owner(bug)
        let old = try catalog.partition
        let operation = try catalog.beginMove(from: nil, to: catalog.places.agents[1])
        try agent.learn(catalog.topology)
        try catalog.must(.abortOperation(operation, reason: "told so"))
        try agent.learn(catalog.topology)
        let new = try catalog.partition
        guard new.epoch > old.epoch, case .value? = try agent.read(new.id, at: new.epoch) else {
            throw Violation("an agent does not serve what it leads after an operation has ended")
        }
        if case .value? = try agent.read(new.id, at: old.epoch) {
            throw Violation("an agent at \(new.epoch) serves a request of \(old.epoch)")
        }
    }

    /// A client asks once more for a write that was answered, when another has written since.
    static func askedAgain(_ bug: ClusterBug?) throws(Violation) {
        let (started, catalog) = try owner(bug)
        var agent = started
        let partition = try catalog.partition
        var random = SeededGenerator(seed: 1)
        let key = IdempotencyKey(madeAt: ClusterOptions.wall(at: agent.now), random: &random)
        let writes: [ClusterRequest.Operation] = [.write(1, under: key), .write(2, under: nil), .write(1, under: key)]
        for write in writes {
            guard try agent.call(write, of: partition) == .written else { throw Violation("an agent takes no write") }
        }
        guard try agent.call(.read(.strong), of: partition) == .value(2) else {
            throw Violation("a write that is asked for again under its key is done again")
        }
    }

    /// A member from whose primary nothing was ever heard is asked for what is not old.
    static func unheardPrimary(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        var agent = try HandDrivenProcess(3, bug)
        try catalog.createTable(on: [4, 3])
        try agent.learn(catalog.topology)
        try catalog.finishTable()
        try agent.learn(catalog.topology)
        let partition = try catalog.partition
        guard case .value? = try agent.call(.read(.eventual), of: partition) else {
            throw Violation("a copy does not answer what any copy may")
        }
        if case .value? = try agent.call(.read(.bounded(within: .seconds(5))), of: partition) {
            throw Violation("a copy for which nobody has vouched answers a bounded read")
        }
    }

    /// The last of two members asks for the leader's word, and the answer takes its time.
    static func slowWord(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        var agent = try HandDrivenProcess(3, bug)
        try catalog.createTable(on: [3, 4])
        try agent.learn(catalog.topology)
        try catalog.finishTable()
        guard try catalog.fail(catalog.places.agents[1]) else { throw Violation("a death is not believed") }
        try agent.learn(catalog.topology)
        var question: UInt64?
        for _ in 0..<2_000 where question == nil {
            try agent.pass(.milliseconds(1))
            for case .question(.confirmQuorum(let number), _, _) in agent.takeSaid() { question = number }
        }
        guard let question, let link = agent.process.agent?.session.link else {
            throw Violation("the last member does not ask for anybody's leave")
        }
        try agent.pass(.milliseconds(150))
        try agent.hear(.answer(.quorumConfirmed(question, catalog.topology.revision), link: link), from: 0)
        let partition = try catalog.partition
        try agent.pass(.milliseconds(100))
        guard case .value? = try agent.read(partition.id, at: partition.epoch) else {
            throw Violation("the leader's word does not let the last member serve")
        }
        // A lease after the question.
        try agent.pass(.milliseconds(800 - 150 - 140))
        if case .value? = try agent.read(partition.id, at: partition.epoch) {
            throw Violation("the leader's word counts longer than a lease from when it was asked for")
        }
    }

    /// A primary asks for a lease, and does not know of the last change.
    static func unknowingHolder(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        var agent = try HandDrivenProcess(3, bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [4, 3, 5])
        try agent.learn(catalog.topology)
        try catalog.finishTable()
        let old = catalog.topology.revision
        guard try catalog.fail(nodes[2]) else { throw Violation("a death is not believed") }
        try agent.learn(catalog.topology)
        _ = agent.takeSaid()
        try agent.hear(.agents(.leaseRequest(LeaseRequest(number: 7, revision: old)), from: nodes[1]), from: 4)
        let partition = try catalog.partition
        for case .agents(.leaseGrant(let grant), _) in agent.takeSaid() {
            guard grant.exclusions.contains(LeaseExclusion(partition: partition.id, epoch: partition.epoch)) else {
                throw Violation("a lease covers a partition whose new epoch its holder does not know")
            }
            return
        }
        throw Violation("a lease is not granted")
    }

    /// Rows come to a learner from a node that does not lead.
    static func strangeSnapshot(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        var agent = try HandDrivenProcess(3, bug)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [4, 5])
        try catalog.finishTable()
        _ = try catalog.beginMove(from: nil, to: nodes[0])
        try agent.learn(catalog.topology)
        let partition = try catalog.partition
        guard let storage = partition.replica(on: nodes[0])?.storage else { throw Violation("a move has no target") }
        let position = Position(epoch: Epoch(1), run: 1, sequence: 3)
        var held = EnginePartition(storage: storage, range: partition.range)
        held.applied = position
        _ = agent.takeSaid()
        try agent.hear(
            .snapshot(
                SnapshotParcel(
                    number: 9, partition: partition.id, storage: storage, epoch: partition.epoch,
                    term: Term(epoch: Epoch(1), run: 1), from: nodes[2], held: held,
                    point: LogPoint(position: position, checksum: 1))), from: 5)
        for case .snapshotEnded(9, isWhole: false) in agent.takeSaid() { return }
        throw Violation("a learner lets a node that does not lead replace its rows")
    }

    /// An operator counts on a copy to which nothing has been brought.
    static func forcedOntoNothing(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        var agent = try HandDrivenProcess(3, bug, mayDamage: true)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [4, 3])
        try agent.learn(catalog.topology)
        try catalog.finishTable()
        let made = try catalog.partition
        let evict = PartitionProposal.evict(made.id, node: nodes[0], expecting: made.epoch)
        guard try catalog.propose(evict, from: nodes[1]) else { throw Violation("a member cannot be left out") }
        guard try catalog.fail(nodes[1]) else { throw Violation("a death is not believed") }
        try agent.learn(catalog.topology)
        guard try catalog.force(to: nodes[0]) else { throw Violation("nobody can be forced into the lead") }
        try agent.learn(catalog.topology)
        try agent.pass(.seconds(2), pace: .milliseconds(10))
        let partition = try catalog.partition
        if case .value? = try agent.read(partition.id, at: partition.epoch) {
            throw Violation("an agent answers out of a copy to which nothing was ever brought")
        }
    }

    /// A learner finds its copy damaged, while a join may be on its way that counts on it.
    static func damagedLearner(_ bug: ClusterBug?) throws(Violation) {
        var catalog = try HandDrivenCatalog(bug)
        var agent = try HandDrivenProcess(3, bug, mayDamage: true)
        let nodes = catalog.places.agents
        try catalog.createTable(on: [4, 3])
        try agent.learn(catalog.topology)
        try catalog.finishTable()
        let made = try catalog.partition
        try agent.learn(catalog.topology)
        let evict = PartitionProposal.evict(made.id, node: nodes[0], expecting: made.epoch)
        guard try catalog.propose(evict, from: nodes[1]) else { throw Violation("a member cannot be left out") }
        try agent.learn(catalog.topology)
        try agent.fail(made.id)
        try agent.pass(.seconds(5), pace: .milliseconds(10))
        guard agent.isDamaged(made.id) else {
            throw Violation("a learner makes its copy anew in an epoch in which it may join for what it was")
        }
        let leave = PartitionProposal.evict(made.id, node: nodes[0], expecting: try catalog.partition.epoch)
        guard try catalog.propose(leave, from: nodes[0]) else { throw Violation("a learner cannot leave its epoch") }
        try agent.learn(catalog.topology)
        try agent.pass(.seconds(5), pace: .milliseconds(10))
        if agent.isDamaged(made.id) { throw Violation("a learner's damaged copy is never made anew") }
    }

    /// A coordinator that hears nobody is asked whether it has a quorum.
    static func lonelyCoordinator(_ bug: ClusterBug?) throws(Violation) {
        let places = try ClusterPlaces.ofStories()
        var coordinator = try HandDrivenProcess(0, bug)
        try coordinator.hear(.question(.confirmQuorum(1), link: 1, from: places.agents[0]), from: 3)
        try coordinator.pass(.seconds(3), pace: .milliseconds(10))
        for case .answer(.quorumConfirmed, _) in coordinator.takeSaid() {
            throw Violation("a coordinator that hears nobody says that it has a quorum")
        }
    }
}
