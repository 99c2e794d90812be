// A group that is driven by hand: whose time passes, which links are cut, what is held back on its way and whose disk stands still is
// said step by step. The processes, their disks and the checks after each step are those of the simulation; what clients are told is
// judged at the end.

import Consensus
import Model
import SimulationKit

struct HandDrivenGroup {
    struct Mail {
        let from: Int
        let to: Int
        let message: GroupMessage
    }

    private struct Link: Hashable {
        let from: Int
        let to: Int
    }

    private struct Host {
        var process: RaftProcess?
        var disk: SimulatedDisk
        var jobs: [DiskJob] = []
        var isStalled = false
    }

    private struct Request {
        let number: UInt64
        let operation: RegisterOperation
        let calledAt: LogicalInstant
        var returnedAt: LogicalInstant?
    }

    private let isSound: Bool
    private var system: RaftGroup
    private var hosts: [Host]
    private var now = LogicalInstant.origin
    private var mail: [Mail] = []
    private var cuts: Set<Link> = []
    private var isHeld: (Mail) -> Bool = { _ in false }
    private var requests: [Request] = []
    private var lives: UInt64 = 0

    /// All of them start, and nobody leads. What seeds draw is fixed: nothing happens by chance, and a disk is slow only when told.
    init(members: Int, snapshotEvery: UInt64, _ bug: PlantedBug?) throws(Violation) {
        isSound = bug == nil
        var options = RaftRun(seed: 1, bug: bug).options
        (options.members, options.spares, options.snapshotEvery) = (members, 0, snapshotEvery)
        options.settings.electionTimeout = .milliseconds(500)
        options.settings.heartbeatInterval = .milliseconds(100)
        options.settings.diskTimeout = .seconds(60)
        options.settings.inFlightMessages = 16
        options.settings.appendBytes = 4_000
        options.settings.snapshotChunkBytes = 4_000
        options.settings.trailingEntries = 0
        do { system = try RaftGroup(options, seed: 1) } catch { throw Violation("\(members) members are a group: \(error)") }
        hosts = []
        for host in 0..<members { hosts.append(Host(disk: system.initialDisk(host))) }
        for host in 0..<members { try start(host) }
        try settle()
    }

    func raft(_ host: Int) -> Raft? { hosts[host].process?.raft }

    /// What a scenario counts on before it comes to its point. No promise: a planted bug may miss it, and is then left to others.
    func stage(_ isReached: Bool, _ what: String) throws(Violation) {
        guard isReached || !isSound else { throw Violation("the scenario misses its point: \(what)") }
    }

    // MARK: - What stands in the way

    /// Nothing that is sent from now on passes between the two; what is on its way arrives.
    mutating func cut(_ a: Int, _ b: Int) { cuts.formUnion([Link(from: a, to: b), Link(from: b, to: a)]) }
    mutating func isolate(_ host: Int) { for other in hosts.indices where other != host { cut(host, other) } }
    mutating func heal() { cuts = [] }

    /// Keeps messages on their way that `isHeld` picks; others overtake them.
    mutating func hold(_ isHeld: @escaping (Message, _ to: Int) -> Bool) {
        self.isHeld = { mail in
            if case .peer(let message, _, _) = mail.message { isHeld(message, mail.to) } else { false }
        }
    }

    /// What was held back arrives now, before everything that was sent later.
    mutating func release() throws(Violation) {
        isHeld = { _ in false }
        try settle()
    }

    mutating func stallDisk(of host: Int) { hosts[host].isStalled = true }

    /// A stalled disk does the next job, and no more.
    mutating func finishOneJob(of host: Int) throws(Violation) {
        if !hosts[host].jobs.isEmpty { try work(host) }
        try settle()
    }

    mutating func resumeDisk(of host: Int) throws(Violation) {
        hosts[host].isStalled = false
        try settle()
    }

    // MARK: - Processes

    /// The process dies; what it has not handed to its disk is lost.
    mutating func kill(_ host: Int) {
        hosts[host].process = nil
        hosts[host].jobs = []
    }

    /// A stalled disk goes on up to the first step that `isLast` picks; then the process dies.
    mutating func kill(_ host: Int, after isLast: (DiskStep) -> Bool) throws(Violation) {
        while let job = hosts[host].jobs.first {
            guard let last = job.steps.firstIndex(where: isLast) else {
                try finishOneJob(of: host)
                continue
            }
            for step in job.steps[...last] {
                do { try hosts[host].disk.perform(step) } catch { throw Violation("a sound disk failed: \(error)") }
            }
            return kill(host)
        }
        try stage(false, "the disk comes to the step at which the process dies")
    }

    mutating func start(_ host: Int) throws(Violation) {
        var effects = Effects<GroupMessage>()
        lives += 1
        hosts[host].process = try system.start(host, disk: hosts[host].disk, seed: lives, at: now, &effects)
        try carryOut(effects, of: host)
    }

    /// A leader carries out an operator's errand.
    mutating func order(_ errand: Errand, at host: Int) throws(Violation) {
        try step(host, .received(.errand(errand), from: Self.outside))
    }

    /// A leader takes several steps of a change at once.
    mutating func change(_ changes: [MemberChange], at host: Int) throws(Violation) {
        let entry = try? hosts[host].process?.raft.change(changes, at: now)
        try stage(entry != nil, "the change is taken")
        try step(host, .tick)
    }

    /// Much later, and only `host` has noticed: it asks for votes.
    mutating func campaign(_ host: Int) throws(Violation) {
        now = max(now, hosts[host].process?.raft.nextDeadline ?? now) + .seconds(1)
        try step(host, .tick)
    }

    /// As before, and it is elected.
    mutating func elect(_ host: Int) throws(Violation) {
        try campaign(host)
        try settle()
        guard raft(host)?.isLeader == true else { throw Violation("m\(host) is not elected, though nothing is in its way") }
    }

    /// Time passes, and only `host` notices.
    mutating func pass(_ span: Span, at host: Int) throws(Violation) {
        now = now + span
        try step(host, .tick)
    }

    // MARK: - Clients

    private static let outside = 100
    private static let key = 0

    /// A client writes a value that nobody else writes.
    mutating func put(at host: Int) throws(Violation) {
        let number = UInt64(requests.count) + 1
        try ask(.put(key: Self.key, value: number), .write(number), at: host)
    }

    /// As before, and everything happens that follows from it.
    mutating func commit(at host: Int) throws(Violation) {
        try put(at: host)
        try settle()
    }

    mutating func get(at host: Int) throws(Violation) { try ask(.get(key: Self.key), .read(0), at: host) }

    private mutating func ask(
        _ operation: ClientRequest.Operation, _ call: RegisterOperation, at host: Int
    ) throws(Violation) {
        let number = UInt64(requests.count) + 1
        now = now + .microseconds(1)
        requests.append(Request(number: number, operation: call, calledAt: now))
        let request = ClientRequest(session: number, number: 1, operation: operation)
        try step(host, .received(.request(request), from: Self.outside))
    }

    private mutating func received(_ reply: ClientReply) {
        now = now + .microseconds(1)
        let at = Int(reply.session) - 1
        switch reply.outcome {
        case .written, .swapped: requests[at].returnedAt = now
        case .value(let value):
            requests[at] = Request(
                number: reply.session, operation: .read(value), calledAt: requests[at].calledAt, returnedAt: now)
        case .refused: break
        }
    }

    var lastIsAnswered: Bool { requests.last?.returnedAt != nil }

    /// An order of all calls explains every answer.
    func verdict() throws(Violation) {
        let history = requests.map { request in
            Call(
                client: Int(request.number), key: Self.key, operation: request.operation, called: request.calledAt,
                returned: request.returnedAt)
        }
        switch Linearizability.check(history) {
        case .linearizable: break
        case .undecided: throw Violation("a story has too many calls to be judged")
        case .violated(_, let placed, let stuck):
            throw Violation("no order of the calls explains the answers: \(placed) placed, then \(stuck)")
        }
    }

    // MARK: - Going on

    /// Delivers everything that is neither cut off nor held back, and lets the disks work, until nothing moves. Time stands still.
    mutating func settle() throws(Violation) {
        for _ in 0..<100_000 {
            if let host = hosts.indices.first(where: { !hosts[$0].jobs.isEmpty && !hosts[$0].isStalled }) {
                try work(host)
            } else if let at = mail.firstIndex(where: { !isHeld($0) }) {
                let next = mail.remove(at: at)
                try step(next.to, .received(next.message, from: next.from))
            } else {
                return
            }
        }
        throw Violation("time stands still: messages cause messages without end")
    }

    /// Nothing is in the way any more, and time passes for all that run: within a bound a write must be answered.
    mutating func demandProgress() throws(Violation) {
        heal()
        try release()
        let end = now + RaftRun.calmBound
        var askedAt: LogicalInstant?
        while now <= end {
            let leaders = hosts.indices.filter { raft($0)?.isLeader == true }
            if let leader = leaders.max(by: { raft($0)?.term ?? .zero < raft($1)?.term ?? .zero }),
                askedAt.map({ now - $0 > .milliseconds(100) }) ?? true
            {
                try put(at: leader)
                askedAt = now
            }
            try settle()
            if askedAt != nil, lastIsAnswered { return }
            let due = hosts.compactMap { $0.process?.wakeAt }.min() ?? end
            now = max(now, due) + .microseconds(1)
            for host in hosts.indices where hosts[host].process?.wakeAt.map({ $0 <= now }) == true { try step(host, .tick) }
        }
        let states = hosts.compactMap { host in
            host.process.map {
                "\($0.id) \($0.raft.roleName) \($0.raft.term) commit \($0.raft.log.commit) last \($0.raft.log.last)"
            }
        }
        throw Violation("no write is answered in \(RaftRun.calmBound) of calm: \(states.joined(separator: "; "))")
    }

    private mutating func work(_ host: Int) throws(Violation) {
        let job = hosts[host].jobs.removeFirst()
        for step in job.steps {
            do { try hosts[host].disk.perform(step) } catch { throw Violation("a sound disk failed: \(error)") }
        }
        try step(host, .diskFinished(ticket: job.ticket, nil))
    }

    private mutating func step(_ host: Int, _ input: ProcessInput<GroupMessage>) throws(Violation) {
        guard hosts[host].process != nil else { return }
        var effects = Effects<GroupMessage>()
        hosts[host].process?.step(input, at: now, &effects)
        try carryOut(effects, of: host)
    }

    private mutating func carryOut(_ effects: Effects<GroupMessage>, of host: Int) throws(Violation) {
        guard var process = hosts[host].process else { return }
        try system.check(host, &process, effects, disk: hosts[host].disk, at: now)
        hosts[host].process = process
        hosts[host].jobs += effects.jobs
        for outgoing in effects.messages {
            if case .reply(let reply) = outgoing.message {
                received(reply)
            } else if !cuts.contains(Link(from: host, to: outgoing.to)) {
                mail.append(Mail(from: host, to: outgoing.to, message: outgoing.message))
            }
        }
        if let reason = effects.exit { throw Violation("m\(host) exits: \(reason)") }
    }
}
