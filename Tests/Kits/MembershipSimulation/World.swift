// Members in one thread: each has a socket with a buffer, a process that may stand still or starve, and links that a dead process
// refuses; between them a network with delay, loss and cuts. The seed and the calls decide everything.

package import Membership
package import Model
package import SimulationKit

package struct World {
    enum Event {
        /// The alarm of this number rings.
        case tick(Int, alarm: UInt64)
        /// A process that stood still, or had no time, goes on.
        case wake(Int)
        case datagram(SwimMessage, from: String, to: Int, seal: Seal)
        /// A ping over a link arrives, or its answer.
        case stream(from: Int, to: Int, fromLife: Int, sequence: UInt64)
        case streamAnswer(to: Int, life: Int, by: Int, sequence: UInt64)
        case linkEnded(at: Int, to: Int)
        case linkRefused(at: Int, by: Int)
        /// A processor that several share has time for the next of them.
        case turn(Int)
    }

    /// What a datagram was sealed with.
    package enum Seal: Hashable, Sendable {
        /// Seals are no part of the story.
        case any
        /// Nothing: it can be read by everybody, and was made by anybody.
        case plain
        /// A key of the cluster of this number: another cluster's does not open it, though it had the same key.
        case key(GossipKeyID, cluster: UInt64)
    }

    struct Host {
        /// What it was at last, where it does not run: kept apart from that, since a copy of it for each look would cost more than all
        /// that is simulated.
        var swim: Swim
        var runs = false
        var address: String
        var generation: UInt64 = 0
        /// Rises with each start and end: events of an earlier one are void.
        var life = 0
        /// Its machine answers for the process: a link to a process that is gone is refused.
        var refuses = false
        var isFrozen = false
        /// When it last was frozen, starved or cut off: what is said of it then is no false alarm.
        var unwellUntil = LogicalInstant.origin
        var inbox: [(message: SwimMessage, from: String, seal: Seal)] = []
        var inboxBytes = 0
        /// As in a real process, it is woken when its next tick is due, and not before.
        var alarm: (number: UInt64, at: LogicalInstant)?
        var isTickDue = false
        var processor: Int?
        /// How many pings it has sent.
        var pings = 0
        /// How many datagrams of any kind.
        var sent = 0
        /// Datagrams of a thousand that do not reach it.
        var deafness: UInt64 = 0
        /// Its keys, which are on its disk as well; none where seals are no part of the story.
        var keys: GossipKeys?
        /// Which cluster it belongs to, as its seal says.
        var cluster: UInt64 = 0
        /// Ours, and those with whom it has open links: they notice at once when it ends.
        var links: [Int] = []

        mutating func emptyInbox() {
            inbox = []
            inboxBytes = 0
        }
    }

    /// A processor that is too small for those who share it.
    struct Processor {
        /// Time for one message or tick.
        let cost: Span
        var waiting: [Int] = []
        var isBusy = false
    }

    /// Somebody is held dead.
    package struct Verdict: Hashable, Sendable {
        package let at: LogicalInstant
        package let by: Int
        package let of: Int
        /// Who it is runs, and ran for the last seconds.
        package let isFalse: Bool
        /// So does the judge.
        package let byHealthy: Bool
    }

    package struct Report: Sendable {
        package let at: LogicalInstant
        package let by: Int
        package let report: DeathFindings
    }

    /// What went over the network.
    package struct Traffic: Hashable, Sendable {
        package var packets: UInt64 = 0
        package var bytes: UInt64 = 0
        package var largest = 0
        package var streams: UInt64 = 0
    }

    package internal(set) var now = LogicalInstant.origin
    package internal(set) var trace = SimulationTrace(capacity: 0)
    package internal(set) var traffic = Traffic()
    package internal(set) var verdicts: [Verdict] = []
    package internal(set) var reports: [Report] = []
    /// Own suspicions of members that run, by whom and of whom.
    package internal(set) var accusations: [(at: LogicalInstant, by: Int, of: Int)] = []
    package internal(set) var disputes = 0
    package internal(set) var identities = 0
    package internal(set) var departed: Set<Int> = []
    package internal(set) var drops: UInt64 = 0
    /// Datagrams of members that no key of the receiver opened, and those that were not sealed at all.
    package internal(set) var unopened: UInt64 = 0
    package internal(set) var plain: UInt64 = 0
    /// Events so far.
    package internal(set) var events = 0

    package let tuning: SwimTuning
    /// Datagrams of a thousand that are lost.
    package var loss: UInt64 = 0
    /// Microseconds on the way.
    package var delay: ClosedRange<Int64> = 200...3_000
    /// Whether anything may pass from one to another; links need both directions.
    package var passes: (_ from: Int, _ to: Int) -> Bool = { _, _ in true }
    /// Whether pings over links are possible at all.
    package var hasLinks = true
    /// Bytes that a socket holds for a process that does not read.
    package var bufferBytes = 64 * 1_024
    /// Only counts are kept of verdicts when there are this many.
    var mostVerdicts = 1_000_000

    var hosts: [Host] = []
    var hostAt: [String: Int] = [:]
    var linkAt: [String: Int] = [:]
    var indexOf: [NodeID: Int] = [:]
    var processors: [Processor] = []
    var queue = EventQueue<Event>()
    var alarms: UInt64 = 0
    var random: SeededGenerator

    package init(seed: UInt64, tuning: SwimTuning = .fast) {
        random = SeededGenerator(seed: seed)
        self.tuning = tuning
    }

    package var count: Int { hosts.count }
    package func swim(_ index: Int) -> Swim? { hosts[index].runs ? hosts[index].swim : nil }
    package var running: [Int] { hosts.indices.filter { hosts[$0].runs } }

    // MARK: - Time

    package mutating func run(for span: Span) {
        let end = now + span
        while let next = queue.nextAt, next <= end, let (at, event) = queue.pop() {
            now = max(now, at)
            handle(event)
        }
        now = end
    }

    /// Runs until `condition` holds, looked at every ten milliseconds.
    /// - Returns: how long it took; nil when it does not hold within `limit`.
    package mutating func run(atMost limit: Span, until condition: (Self) -> Bool) -> Span? {
        let start = now
        while now - start < limit {
            if condition(self) { return now - start }
            run(for: .milliseconds(10))
        }
        return condition(self) ? now - start : nil
    }

    private mutating func handle(_ event: Event) {
        events += 1
        switch event {
        case .tick(let host, let alarm):
            guard hosts[host].alarm?.number == alarm else { return }
            hosts[host].alarm = nil
            hosts[host].isTickDue = true
            wake(host)
        case .wake(let host): wake(host)
        case .datagram(let message, let from, let host, let seal): deliver(message, from: from, to: host, seal)
        case .stream(let from, let host, let life, let sequence): stream(from: from, to: host, life, sequence)
        case .streamAnswer(let host, let life, let by, let sequence):
            guard hosts[host].life == life else { return }
            step(host, .streamAnswered(hosts[by].swim.node, sequence: sequence))
        case .linkEnded(let host, let to): step(host, .linkEnded(World.node(to)))
        case .linkRefused(let host, let by): step(host, .linkRefused(hosts[by].swim.node))
        case .turn(let processor): turn(processor)
        }
    }

    private mutating func deliver(_ message: SwimMessage, from: String, to host: Int, _ seal: Seal) {
        guard hosts[host].runs else { return }
        let size = message.encodedBytes
        // The kernel drops what does not fit.
        guard hosts[host].inboxBytes + size <= bufferBytes else { return }
        hosts[host].inbox.append((message, from, seal))
        hosts[host].inboxBytes += size
        wake(host)
    }

    /// A process that can run reads its socket until it is empty, and only then looks at its timer.
    private mutating func wake(_ host: Int) {
        guard hosts[host].runs, !hosts[host].isFrozen else { return }
        guard let processor = hosts[host].processor else { return work(host) }
        if !processors[processor].waiting.contains(host) { processors[processor].waiting.append(host) }
        if !processors[processor].isBusy { turn(processor) }
    }

    private mutating func turn(_ processor: Int) {
        processors[processor].isBusy = false
        guard !processors[processor].waiting.isEmpty else { return }
        let host = processors[processor].waiting.removeFirst()
        let steps = Int64(hosts[host].inbox.count + 1)
        processors[processor].isBusy = true
        queue.push(.turn(processor), at: now + processors[processor].cost * steps)
        if hosts[host].processor == processor, !hosts[host].isFrozen { work(host) }
    }

    private mutating func work(_ host: Int) {
        while !hosts[host].inbox.isEmpty {
            let inbox = hosts[host].inbox
            hosts[host].emptyInbox()
            for (message, from, seal) in inbox where opens(seal, at: host) { step(host, .received(message, from: from)) }
        }
        guard hosts[host].isTickDue else { return }
        hosts[host].isTickDue = false
        step(host, .tick)
    }

    /// As the seal of a real process: what no key of its ring opens is counted, and is as if it had not come.
    private mutating func opens(_ seal: Seal, at host: Int) -> Bool {
        guard let keys = hosts[host].keys else { return true }
        switch seal {
        case .any: return true
        case .plain:
            plain += 1
            return false
        case .key(let id, let cluster):
            let isOurs = cluster == hosts[host].cluster && keys.key(id) != nil
            if !isOurs { unopened += 1 }
            return isOurs
        }
    }

    // MARK: - Steps

    mutating func step(_ host: Int, _ input: Swim.Input) {
        guard hosts[host].runs else { return }
        let actions = hosts[host].swim.step(input, at: now)
        setAlarm(host, at: hosts[host].swim.tickDue)
        for action in actions { perform(action, host) }
    }

    /// One that rings already is left as it is, unless it would ring too late.
    mutating func setAlarm(_ host: Int, at due: LogicalInstant) {
        guard !hosts[host].isTickDue, hosts[host].alarm.map({ due < $0.at }) ?? true else { return }
        alarms += 1
        hosts[host].alarm = (alarms, due)
        queue.push(.tick(host, alarm: alarms), at: due)
    }

    private mutating func perform(_ action: Swim.Action, _ host: Int) {
        switch action {
        case .send(let message, let address): send(message, from: host, to: address)
        case .stream(let node, let address, let sequence):
            // A handshake with another than was called is none.
            guard hasLinks, let target = linkAt[address], hosts[target].swim.node == node else { return }
            traffic.streams += 1
            guard reaches(host, target), reaches(target, host) else { return }
            // A handshake, and the question.
            queue.push(
                .stream(from: host, to: target, fromLife: hosts[host].life, sequence: sequence), at: now + travel() + travel())
        case .memberChanged(let record): note(record, by: host)
        case .reportDeaths(let report): reports.append(Report(at: now, by: host, report: report))
        case .identityInUse: identities += 1
        case .identityDisputed: disputes += 1
        case .departed: departed.insert(host)
        case .dropped: drops += 1
        case .revisionHeard: break
        }
    }

    private mutating func send(_ message: SwimMessage, from host: Int, to address: String) {
        let size = message.encodedBytes
        traffic.packets += 1
        traffic.bytes += UInt64(size)
        traffic.largest = max(traffic.largest, size)
        hosts[host].sent += 1
        if case .ping = message.body { hosts[host].pings += 1 }
        guard let target = hostAt[address], passes(host, target) else { return }
        if loss > 0, random.next() % 1_000 < loss { return }
        if hosts[target].deafness > 0, random.next() % 1_000 < hosts[target].deafness { return }
        trace.note(now, UInt64(host), UInt64(target), UInt64(size), "\(host) -> \(target) \(message.body)")
        queue.push(.datagram(message, from: hosts[host].address, to: target, seal: seal(of: host)), at: now + travel())
    }

    private func seal(of host: Int) -> Seal {
        hosts[host].keys?.sealing.map { .key($0.id, cluster: hosts[host].cluster) } ?? .any
    }

    private func reaches(_ from: Int, _ to: Int) -> Bool { passes(from, to) }

    mutating func travel() -> Span {
        .microseconds(delay.lowerBound + Int64(random.next() % UInt64(delay.upperBound - delay.lowerBound + 1)))
    }

    /// A ping over a link has come: a process that runs answers, one that stands still leaves it in its buffer, and for one that is
    /// gone its machine refuses.
    private mutating func stream(from: Int, to: Int, _ life: Int, _ sequence: UInt64) {
        guard reaches(to, from) else { return }
        if !hosts[to].runs {
            guard hosts[to].refuses else { return }
            queue.push(.linkRefused(at: from, by: to), at: now + travel())
        } else if !hosts[to].isFrozen, hosts[to].processor == nil {
            queue.push(.streamAnswer(to: from, life: life, by: to, sequence: sequence), at: now + travel())
        }
    }

    private mutating func note(_ record: MemberRecord, by host: Int) {
        guard let subject = indexOf[record.node] else { return }
        trace.note(
            now, UInt64(host) << 32 | UInt64(subject), UInt64(record.status.rawValue), record.life.incarnation,
            "\(host) holds \(subject) \(record.status)")
        let isWell = hosts[subject].runs && hosts[subject].unwellUntil < now
        switch record.status {
        case .dead where verdicts.count < mostVerdicts:
            verdicts.append(
                Verdict(at: now, by: host, of: subject, isFalse: isWell, byHealthy: hosts[host].unwellUntil < now))
        case .suspect where record.accuser == World.node(host) && accusations.count < mostVerdicts:
            accusations.append((now, host, subject))
        case .alive, .suspect, .dead, .left: break
        }
    }
}
