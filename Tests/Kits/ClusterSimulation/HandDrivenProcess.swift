// One process of a cluster, whose peers, callers and clock are played by hand; its disk is prompt.

import AgentCore
import Model
import SimulationKit

struct HandDrivenProcess {
    private(set) var process: ClusterProcess
    private(set) var now: LogicalInstant
    /// What it has said since it was last asked.
    private var said: [ClusterMessage] = []
    private var disk: SimulatedDisk
    /// Whether the story gives it reason to find something damaged.
    private let mayDamage: Bool

    /// Its first start.
    init(_ host: Int, _ bug: ClusterBug?, mayDamage: Bool = false) throws(Violation) {
        self.mayDamage = mayDamage
        var options = ClusterOptions.ofStories()
        options.plant(bug)
        guard var cluster = try? Cluster(options, seed: 1) else { throw Violation("a story has no cluster") }
        var effects = Effects<ClusterMessage>()
        let (disk, now) = (cluster.initialDisk(host), LogicalInstant.origin + .seconds(10))
        guard let process = try cluster.start(host, disk: disk, seed: 1, at: now, &effects) else {
            throw Violation("host \(host) does not start")
        }
        (self.process, self.disk, self.now) = (process, disk, now)
        try carryOut(effects)
    }

    mutating func step(_ input: ProcessInput<ClusterMessage>) throws(Violation) {
        var effects = Effects<ClusterMessage>()
        process.step(input, at: now, &effects)
        if !mayDamage, let violation = (process.agent?.violations ?? process.coordinator?.violations)?.first {
            throw Violation(violation)
        }
        try carryOut(effects)
    }

    private mutating func carryOut(_ effects: Effects<ClusterMessage>) throws(Violation) {
        said += effects.messages.map(\.message)
        for job in effects.jobs {
            for step in job.steps {
                do { try disk.perform(step) } catch { throw Violation("a disk is \(error)") }
            }
            try step(.diskFinished(ticket: job.ticket, nil))
        }
    }

    mutating func hear(_ message: ClusterMessage, from host: Int) throws(Violation) { try step(.received(message, from: host)) }

    /// Time passes, and it looks at its timers at every pace.
    mutating func pass(_ span: Span, pace: Span = .milliseconds(1)) throws(Violation) {
        let end = now + span
        while now < end {
            now = min(now + pace, end)
            try step(.tick)
        }
    }

    /// Its engine cannot go on with a partition.
    mutating func fail(_ partition: PartitionID) throws(Violation) {
        process.agent?.soon.append(.failed(partition, "a page cannot be read"))
        try pass(.milliseconds(20))
    }

    func isDamaged(_ partition: PartitionID) -> Bool {
        process.agent?.core.replicas(at: now).contains { $0.partition == partition && $0.damage != nil } ?? false
    }

    /// It stands still.
    mutating func stall(_ span: Span) { now = now + span }

    mutating func takeSaid() -> [ClusterMessage] {
        defer { said = [] }
        return said
    }
}

extension HandDrivenProcess {
    /// The coordinator of its session has this topology for the agent.
    mutating func learn(_ topology: Topology) throws(Violation) {
        guard let link = process.agent?.session.link else { throw Violation("a coordinator has no session") }
        try hear(.answer(.topology(topology), link: link), from: 0)
        try pass(.milliseconds(200))
    }

    /// What a client who asks for a register gets; nil: no answer.
    mutating func read(_ partition: PartitionID, at epoch: Epoch) throws(Violation) -> ClusterReply.Outcome? {
        try ask(partition, at: epoch)
        try pass(.milliseconds(40))
        return answer()
    }

    /// The same of any operation.
    mutating func call(
        _ operation: ClusterRequest.Operation, of partition: PartitionDescriptor
    ) throws(Violation) -> ClusterReply.Outcome? {
        try ask(partition.id, at: partition.epoch, operation)
        try pass(.milliseconds(60))
        return answer()
    }

    mutating func ask(
        _ partition: PartitionID, at epoch: Epoch, _ operation: ClusterRequest.Operation = .read(.strong)
    ) throws(Violation) {
        let request = ClusterRequest(
            number: 1, attempt: 1, partition: partition, epoch: epoch, key: 1, operation: operation)
        try hear(.request(request), from: 100)
    }

    mutating func answer() -> ClusterReply.Outcome? {
        for case .reply(let reply) in takeSaid() { return reply.outcome }
        return nil
    }
}
