// Whole clusters in one thread: hosts with a process, a disk and a clock each, a network between them, faults from a plan, and
// virtual time. The seed and the plan decide everything.

package import Model

package struct Simulation<System: SimulatedSystem> {
    package typealias Process = System.Process
    typealias Message = Process.Message

    enum Event {
        case deliver(Message, from: Int, to: Int)
        case wake(Int, number: UInt64)
        case diskStep(Int, life: UInt64, turn: UInt64)
        case diskFinished(Int, life: UInt64, ticket: UInt64, DiskFailure?)
        case start(Int, life: UInt64)
        case connectionLost(of: Int, at: Int)
        case fault(Int)
        case faultEnds(Int)
        case system(System.Event)
    }

    struct Host {
        var process: Process?
        var disk = SimulatedDisk()
        var clock = SimulatedClock()
        /// Rises at each end of a process: what belonged to it is then void.
        var life: UInt64 = 0
        var jobs: [DiskJob] = []
        /// The next step of the first job.
        var step = 0
        var wakeNumber: UInt64 = 0
        var wakeSet: LogicalInstant?
        var pausedUntil = LogicalInstant.origin
        var diskFreeAt = LogicalInstant.origin
        /// Rises with each disk step that is set: an earlier one that is still on its way is then void.
        var diskTurn: UInt64 = 0
        var diskFactor: Int64 = 1
        var failsAfter: Int?
        var dies: Death?

        /// A message to a process that does not run is lost.
        var isUp: Bool { process != nil }
    }

    struct Death {
        let losesPower: Bool
        var afterSteps: Int
        let lasting: Span
    }

    package var system: System
    package internal(set) var now = LogicalInstant.origin
    package internal(set) var trace: SimulationTrace
    package let plan: FaultPlan
    var hosts: [Host]
    var network: SimulatedNetwork
    var random: SeededGenerator
    var queue = EventQueue<Event>()
    var effects = Effects<Message>()
    var outside = OutsideEffects<Message, System.Event>()
    /// Faults no longer begin, and hosts that are left out of the core never come back.
    var isCalm = false
    var abandoned: Set<Int> = []
    private var eventsNow = 0
    /// More than this at one instant is a process that keeps itself busy.
    private static var mostEventsAtOnce: Int { 100_000 }

    /// - Parameter lines: how many lines of the trace are kept for people.
    package init(_ system: System, hosts count: Int, seed: UInt64, plan: FaultPlan, lines: Int = 0) throws(Violation) {
        self.system = system
        self.plan = plan
        trace = SimulationTrace(capacity: lines)
        random = SeededGenerator(seed: seed)
        hosts = Array(repeating: Host(), count: count)
        network = SimulatedNetwork(hosts: count, weather: plan.base)
        for index in plan.faults.indices { queue.push(.fault(index), at: plan.faults[index].at) }
        for host in 0..<count { hosts[host].disk = system.initialDisk(host) }
        for host in 0..<count { try start(host) }
    }

    package func process(_ host: Int) -> Process? { hosts[host].process }
    package func disk(_ host: Int) -> SimulatedDisk { hosts[host].disk }
    package var hostCount: Int { hosts.count }

    /// Gives the system its first event.
    package mutating func schedule(_ event: System.Event, after span: Span) { queue.push(.system(event), at: now + span) }

    /// Somebody outside says something to a process: it arrives, whatever the network does.
    package mutating func tell(_ message: System.Process.Message, to host: Int) {
        queue.push(.deliver(message, from: 99, to: host), at: now)
    }

    /// Lets time pass; ends early when `isDone` says so after an event.
    /// - Returns: whether it was ended early.
    @discardableResult
    package mutating func run(until end: LogicalInstant, isDone: (inout Self) -> Bool = { _ in false }) throws(Violation)
        -> Bool
    {
        while let next = queue.nextAt, next <= end, let (at, event) = queue.pop() {
            if at > now { (now, eventsNow) = (at, 0) }
            eventsNow += 1
            guard eventsNow < Self.mostEventsAtOnce else {
                throw Violation("time stands still: \(eventsNow) events at \(now), the last one \(event)")
            }
            try handle(event)
            if isDone(&self) { return true }
        }
        now = max(now, end)
        return false
    }

    // MARK: - Events

    private mutating func handle(_ event: Event) throws(Violation) {
        switch event {
        case .deliver(let message, let from, let to): try deliver(message, from: from, to: to)
        case .wake(let host, let number): try wake(host, number)
        case .diskStep(let host, let life, let turn): try diskStep(host, life, turn: turn)
        case .diskFinished(let host, let life, let ticket, let failure): try finish(ticket, failure, at: host, life)
        case .start(let host, let life):
            if hosts[host].life == life, !hosts[host].isUp, !abandoned.contains(host) { try start(host) }
        case .connectionLost(let gone, let host):
            guard hosts[host].isUp, !network.isCut(from: gone, to: host), !postpone(event, host) else { return }
            try step(host, .connectionLost(gone))
        case .fault(let index): if !isCalm { try begin(plan.faults[index], index) }
        case .faultEnds(let index): if !isCalm { end(plan.faults[index]) }
        case .system(let event):
            try system.fired(event, now: now, &outside)
            carryOutOutside()
        }
    }

    private mutating func deliver(_ message: Message, from: Int, to: Int) throws(Violation) {
        guard to < hosts.count else {
            trace.note(
                now, 1, UInt64(to), System.digest(message), "\(Self.name(from)) -> \(Self.name(to)) \(System.describe(message))"
            )
            try system.received(message, from: from, at: to, now: now, &outside)
            return carryOutOutside()
        }
        guard hosts[to].isUp, !network.isCut(from: from, to: to) else { return }
        let clogged = network.cloggedUntil(from: from, to: to)
        guard clogged <= now else { return queue.push(.deliver(message, from: from, to: to), at: clogged) }
        guard !postpone(.deliver(message, from: from, to: to), to) else { return }
        trace.note(
            now, 2, UInt64(from) << 8 | UInt64(to), System.digest(message),
            "\(Self.name(from)) -> \(Self.name(to)) \(System.describe(message))")
        try step(to, .received(message, from: from))
    }

    /// What comes to a process that stands still waits, in its order.
    private mutating func postpone(_ event: Event, _ host: Int) -> Bool {
        guard hosts[host].pausedUntil > now else { return false }
        queue.push(event, at: hosts[host].pausedUntil)
        return true
    }

    private mutating func wake(_ host: Int, _ number: UInt64) throws(Violation) {
        guard hosts[host].wakeNumber == number, let process = hosts[host].process else { return }
        guard !postpone(.wake(host, number: number), host) else { return }
        hosts[host].wakeSet = nil
        guard let due = process.wakeAt else { return }
        if due <= hosts[host].clock.local(at: now) { try step(host, .tick) } else { setWake(host) }
    }

    /// One wake-up at most is on its way for each host; one that comes too early is put off.
    mutating func setWake(_ host: Int) {
        guard let due = hosts[host].process?.wakeAt else { return }
        let instant = max(hosts[host].clock.instant(of: due), now)
        if let set = hosts[host].wakeSet, set <= instant { return }
        hosts[host].wakeNumber += 1
        hosts[host].wakeSet = instant
        queue.push(.wake(host, number: hosts[host].wakeNumber), at: instant)
    }

    // MARK: - Processes

    mutating func start(_ host: Int) throws(Violation) {
        effects.clear()
        let local = hosts[host].clock.local(at: now)
        let process = try system.start(host, disk: hosts[host].disk, seed: random.next(), at: local, &effects)
        trace.note(
            now, 3, UInt64(host), process == nil ? 0 : 1, "\(Self.name(host)) \(process == nil ? "cannot start" : "starts")")
        hosts[host].process = process
        guard process != nil else { return }
        try carryOut(host)
        setWake(host)
    }

    private mutating func step(_ host: Int, _ input: ProcessInput<Message>) throws(Violation) {
        effects.clear()
        let local = hosts[host].clock.local(at: now)
        hosts[host].process?.step(input, at: local, &effects)
        try carryOut(host)
        setWake(host)
    }

    private mutating func carryOut(_ host: Int) throws(Violation) {
        guard hosts[host].process != nil else { return }
        let done = effects
        if var process = hosts[host].process.take() {
            defer { hosts[host].process = process }
            try system.check(host, &process, done, disk: hosts[host].disk, at: now)
        }
        for outgoing in done.messages { post(outgoing.message, from: host, to: outgoing.to) }
        if !done.jobs.isEmpty {
            let isIdle = hosts[host].jobs.isEmpty
            hosts[host].jobs += done.jobs
            if isIdle { scheduleDisk(host) }
        }
        if let reason = done.exit {
            trace.note(now, 4, UInt64(host), 0, "\(Self.name(host)) exits: \(reason)")
            end(host, losesPower: false, restartAfter: .milliseconds(500))
        }
    }

    private mutating func post(_ message: Message, from: Int, to: Int) {
        let (first, second) = network.arrivals(from: from, to: to, at: now, &random)
        if let first { queue.push(.deliver(message, from: from, to: to), at: first) }
        // Whoever asks from outside does so over a connection, which lets no copy through.
        if let second, from < hosts.count, to < hosts.count { queue.push(.deliver(message, from: from, to: to), at: second) }
    }

    private mutating func carryOutOutside() {
        for (from, to, message) in outside.messages { post(message, from: from, to: to) }
        for (after, event) in outside.events { queue.push(.system(event), at: now + after) }
        outside.messages.removeAll(keepingCapacity: true)
        outside.events.removeAll(keepingCapacity: true)
    }

    /// Ends a process, or its whole machine.
    mutating func end(_ host: Int, losesPower: Bool, restartAfter: Span) {
        guard hosts[host].isUp || losesPower else { return }
        trace.note(now, 5, UInt64(host), losesPower ? 1 : 0, "\(Self.name(host)) \(losesPower ? "loses power" : "is killed")")
        if let job = hosts[host].jobs.first, hosts[host].step < job.steps.count {
            hosts[host].disk.tear(job.steps[hosts[host].step], &random)
        }
        if losesPower { hosts[host].disk.losePower(&random) }
        let wasUp = hosts[host].isUp
        hosts[host].process = nil
        hosts[host].life += 1
        hosts[host].jobs = []
        hosts[host].step = 0
        hosts[host].wakeSet = nil
        hosts[host].wakeNumber += 1
        hosts[host].dies = nil
        hosts[host].failsAfter = nil
        hosts[host].disk.misdirects = nil
        hosts[host].pausedUntil = now
        if wasUp { system.ended(host, at: now) }
        queue.push(.start(host, life: hosts[host].life), at: now + restartAfter)
        // A machine without power says nothing; one whose process died closes its connections.
        guard wasUp, !losesPower else { return }
        for peer in hosts.indices where peer != host {
            queue.push(.connectionLost(of: host, at: peer), at: now + .microseconds(plan.base.delay.lowerBound))
        }
    }

    // MARK: - Disks

    mutating func scheduleDisk(_ host: Int) {
        guard !hosts[host].jobs.isEmpty else { return }
        // A job of no steps only waits for its turn.
        let width = UInt64(plan.diskLatency.upperBound - plan.diskLatency.lowerBound + 1)
        let isEmpty = hosts[host].jobs[0].steps.isEmpty
        let latency = isEmpty ? 0 : (plan.diskLatency.lowerBound + Int64(random.next() % width)) * hosts[host].diskFactor
        pushDiskStep(host, at: max(now, hosts[host].diskFreeAt) + .microseconds(latency))
    }

    private mutating func pushDiskStep(_ host: Int, at instant: LogicalInstant) {
        hosts[host].diskTurn += 1
        queue.push(.diskStep(host, life: hosts[host].life, turn: hosts[host].diskTurn), at: instant)
    }

    /// Ends a pause and a stall now: what had been put off to their ends is due.
    mutating func goOn(_ host: Int) {
        hosts[host].pausedUntil = now
        hosts[host].diskFreeAt = now
        hosts[host].wakeSet = nil
        setWake(host)
        if !hosts[host].jobs.isEmpty { pushDiskStep(host, at: now) }
    }

    private mutating func diskStep(_ host: Int, _ life: UInt64, turn: UInt64) throws(Violation) {
        guard hosts[host].life == life, hosts[host].diskTurn == turn, let job = hosts[host].jobs.first else { return }
        if hosts[host].diskFreeAt > now { return pushDiskStep(host, at: hosts[host].diskFreeAt) }
        if let death = hosts[host].dies {
            guard death.afterSteps > 0 else { return end(host, losesPower: death.losesPower, restartAfter: death.lasting) }
            hosts[host].dies?.afterSteps -= 1
        }
        var failure: DiskFailure?
        if hosts[host].step < job.steps.count {
            failure = perform(job.steps[hosts[host].step], at: host)
            hosts[host].step += 1
        }
        if failure == nil, hosts[host].step < job.steps.count { return scheduleDisk(host) }
        // The jobs after a failed one are dropped with it: what they count on is not there.
        hosts[host].jobs.removeFirst(failure == nil ? 1 : hosts[host].jobs.count)
        hosts[host].step = 0
        scheduleDisk(host)
        trace.note(
            now, 6, UInt64(host) << 8 | (failure == nil ? 1 : 0), job.ticket,
            "\(Self.name(host)) disk job \(job.ticket) \(failure.map { "fails: \($0)" } ?? "done")")
        try finish(job.ticket, failure, at: host, life)
    }

    private mutating func finish(
        _ ticket: UInt64, _ failure: DiskFailure?, at host: Int, _ life: UInt64
    ) throws(Violation) {
        guard hosts[host].life == life, hosts[host].isUp,
            !postpone(.diskFinished(host, life: life, ticket: ticket, failure), host)
        else { return }
        try step(host, .diskFinished(ticket: ticket, failure))
    }

    private mutating func perform(_ step: DiskStep, at host: Int) -> DiskFailure? {
        if let left = hosts[host].failsAfter {
            hosts[host].failsAfter = left > 0 ? left - 1 : nil
            if left == 0 {
                try? hosts[host].disk.perform(step)
                hosts[host].disk.failWrites(&random)
                return .inputOutput
            }
        }
        do {
            try hosts[host].disk.perform(step)
            return nil
        } catch {
            return error
        }
    }

    static func name(_ address: Int) -> String { address < 100 ? "m\(address)" : "client\(address - 100)" }
}
