package import Membership
package import Model
package import SimulationKit

// What happens to members, and what can be asked about them.
extension World {
    /// The names of simulated members are numbers with a letter, which are names.
    package static func node(_ index: Int) -> NodeID {
        do { return try NodeID("n\(index)") } catch { preconditionFailure("\(error)") }
    }

    package static func address(_ index: Int) -> String { "m\(index):7" }
    package static func link(_ index: Int) -> String { "m\(index):8" }

    package static func profile(
        _ index: Int, address: String? = nil, link: String? = nil, store: UInt64? = nil, metadata: [UInt8] = []
    ) -> MemberProfile {
        do {
            return MemberProfile(
                kind: .agent, zone: try ZoneName("z\(index % 3)"), gossip: address ?? Self.address(index),
                link: link ?? Self.link(index),
                store: StoreID(store ?? UInt64(index)), session: SessionID(UInt64(index + 1)), metadata: metadata)
        } catch { preconditionFailure("\(error)") }
    }

    // MARK: - Starting and ending

    /// Starts `count` members together, who know only the first three.
    package mutating func start(_ count: Int) {
        for index in 0..<count { start(index, seeds: Array(0..<min(3, count))) }
    }

    /// A settled cluster, in which everybody has the usual time to refute.
    package mutating func settle(_ count: Int) throws(Violation) {
        start(count)
        guard run(atMost: .seconds(30), until: { $0.isWhole }) != nil else {
            throw Violation("\(count) members do not find each other within 30 s")
        }
        run(for: tuning.youth)
    }

    package mutating func reserve(_ index: Int) {
        while hosts.count <= index {
            let next = hosts.count
            let nobody = Swim(
                node: Self.node(next), generation: Generation(0), profile: Self.profile(next), tuning: tuning, seed: 0, at: now)
            hosts.append(Host(swim: nobody, address: Self.address(next)))
            hostAt[Self.address(next)] = next
            linkAt[Self.link(next)] = next
            indexOf[Self.node(next)] = next
        }
    }

    /// Starts, or starts anew, the member `index`; it knows `seeds` from its configuration.
    package mutating func start(
        _ index: Int, seeds: [Int], generation: UInt64? = nil, address: String? = nil, metadata: [UInt8] = []
    ) {
        reserve(index)
        if let address {
            hostAt[address] = index
            hosts[index].address = address
        }
        hosts[index].generation = generation ?? hosts[index].generation + 1
        let swim = Swim(
            node: Self.node(index), generation: Generation(hosts[index].generation),
            profile: Self.profile(index, address: hosts[index].address, metadata: metadata), tuning: tuning,
            seed: random.next(),
            at: now)
        begin(index, swim)
        step(
            index,
            .roster(
                seeds.map { RosterEntry(node: Self.node($0), generation: Generation(0), profile: Self.profile($0)) }))
    }

    /// Runs a member that was made elsewhere.
    package mutating func begin(_ index: Int, _ swim: Swim) {
        hosts[index].life += 1
        hosts[index].swim = swim
        hosts[index].runs = true
        hosts[index].isFrozen = false
        hosts[index].isTickDue = false
        hosts[index].alarm = nil
        hosts[index].emptyInbox()
        departed.remove(index)
        // Those that start together do not tick together.
        setAlarm(index, at: now + .microseconds(Int64(random.next() % UInt64(tuning.tick.microseconds))))
    }

    /// The process is gone.
    /// - Parameter refusing: whether its machine is there and says so; if not, the whole host is gone.
    package mutating func kill(_ index: Int, refusing: Bool) {
        hosts[index].runs = false
        hosts[index].alarm = nil
        hosts[index].life += 1
        hosts[index].refuses = refusing
        guard refusing else { return }
        for other in hosts[index].links where hosts[other].runs {
            queue.push(.linkEnded(at: other, to: index), at: now + travel())
        }
    }

    /// Opens links between two, which are reset when one of them ends.
    package mutating func link(_ a: Int, _ b: Int) {
        hosts[a].links.append(b)
        hosts[b].links.append(a)
    }

    /// How many pings it has sent.
    package func pings(of index: Int) -> Int { hosts[index].pings }

    /// How many datagrams it has sent.
    package func sent(by index: Int) -> Int { hosts[index].sent }

    /// Runs until this member has sent a ping that is not answered yet.
    package mutating func run(untilPingOf index: Int) {
        let before = hosts[index].pings
        let step = Span.microseconds(delay.lowerBound / 2)
        while hosts[index].runs, hosts[index].pings == before { run(for: step) }
    }

    /// The process stands still; what is sent to it waits, as far as its buffer holds.
    package mutating func freeze(_ index: Int) {
        hosts[index].isFrozen = true
        hosts[index].unwellUntil = LogicalInstant(microseconds: .max)
    }

    /// - Parameter isSuspend: whether the whole machine slept, so that what was sent meanwhile never came.
    package mutating func thaw(_ index: Int, afterSuspend isSuspend: Bool = false) {
        hosts[index].isFrozen = false
        hosts[index].unwellUntil = now
        if isSuspend { hosts[index].emptyInbox() }
        queue.push(.wake(index), at: now)
    }

    /// From now on a member misses so many of a thousand datagrams; it is not well.
    package mutating func deafen(_ index: Int, by deafness: UInt64) {
        hosts[index].deafness = deafness
        hosts[index].unwellUntil = LogicalInstant(microseconds: .max)
    }

    /// Who is cut off is not well until some time after `heal`.
    package mutating func setUnwell(_ index: Int, until instant: LogicalInstant) { hosts[index].unwellUntil = instant }

    /// Lets members share a processor that has time for `steps` of them in a second.
    package mutating func starve(_ indices: [Int], stepsPerSecond steps: Int64) {
        processors.append(Processor(cost: .microseconds(1_000_000 / steps)))
        for index in indices { hosts[index].processor = processors.count - 1 }
    }

    package mutating func feed() {
        for index in hosts.indices where hosts[index].processor != nil {
            hosts[index].processor = nil
            queue.push(.wake(index), at: now)
        }
    }

    package mutating func input(_ input: Swim.Input, to index: Int) { step(index, input) }

    /// Puts a datagram on the network that nobody of the members sent.
    package mutating func inject(_ message: SwimMessage, from: Int, to: Int, seal: Seal = .any) {
        queue.push(.datagram(message, from: hosts[from].address, to: to, seal: seal), at: now)
    }

    /// Has a member take over a ring, if it is a newer one: on disk, and then in force. The seal of what it sends, and what it opens,
    /// are part of the story from then on.
    package mutating func take(_ keys: GossipKeys, at index: Int) {
        guard hosts[index].keys.map({ $0.version < keys.version }) ?? true else { return }
        hosts[index].keys = keys
    }

    /// Has a member seal for this cluster, and open what is sealed for it; before that, all belong to one.
    package mutating func assign(_ index: Int, toCluster cluster: UInt64) { hosts[index].cluster = cluster }

    package func keys(of index: Int) -> GossipKeys? { hosts[index].keys }

    // MARK: - Asking

    /// Whether everybody who runs holds all others who run for alive, and has heard of them; who was killed may be held dead.
    package var isWhole: Bool {
        let running = running
        return running.allSatisfy {
            hosts[$0].swim.count(of: .alive) == running.count - 1
                && hosts[$0].swim.missingCount == hosts[$0].swim.count(of: .dead)
        }
    }

    /// Whether everybody who runs holds the same lives for alive.
    package var agrees: Bool {
        guard let first = running.first else { return true }
        let sum = hosts[first].swim.agreement
        return isWhole && running.allSatisfy { hosts[$0].swim.agreement == sum }
    }

    package func all(see index: Int, as status: MemberStatus) -> Bool { share(seeing: index, as: status) == 1 }

    /// The share of those who run, but for `index`, that hold exactly this of it.
    package func share(seeing index: Int, as status: MemberStatus) -> Double {
        let node = Self.node(index)
        let others = running.filter { $0 != index }
        guard !others.isEmpty else { return 1 }
        return Double(others.count { hosts[$0].swim.status(of: node) == status }) / Double(others.count)
    }

    package var falseVerdicts: [Verdict] { verdicts.filter(\.isFalse) }

    package mutating func forgetWhatWas() {
        verdicts = []
        accusations = []
        reports = []
        traffic = Traffic()
    }
}
