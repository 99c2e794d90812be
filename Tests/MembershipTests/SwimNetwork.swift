import Membership
import Model

/// A deterministic network of members: seeded delay and loss, cuts, stops. One event at a time, in the order of time.
struct SwimNetwork {
    struct Event {
        enum Kind {
            case tick(String)
            case delivery(SwimMessage, from: String, to: String)
        }
        let at: LogicalInstant
        let number: Int
        let kind: Kind

        func precedes(_ other: Event) -> Bool { (at, number) < (other.at, other.number) }
    }

    private(set) var now = LogicalInstant.origin
    var members: [String: Swim] = [:]
    private(set) var addresses: [String] = []
    /// Everything that members reported, by address.
    private(set) var changes: [(at: LogicalInstant, by: String, record: MemberRecord)] = []
    private(set) var reports: [(at: LogicalInstant, by: String, dead: NodeID)] = []
    private(set) var departed: Set<String> = []
    private(set) var messages = 0
    private(set) var largestWeight = 0
    var loss = 0.0
    /// Whether a datagram may pass.
    var passes: @Sendable (_ from: String, _ to: String) -> Bool = { _, _ in true }
    var stopped: Set<String> = []
    let tuning: SwimTuning
    private var held: [String: [Event]] = [:]
    private var heap: [Event] = []
    private var number = 0
    private var generator: SeededGenerator

    init(seed: UInt64, tuning: SwimTuning = .fast) {
        generator = SeededGenerator(seed: seed)
        self.tuning = tuning
    }

    static func address(_ index: Int) -> String { "10.0.0.\(index):7" }

    /// Starts, or starts anew, the member `index`; it knows `seeds` from its configuration.
    mutating func start(_ index: Int, generation: UInt64 = 1, seeds: [Int]) throws {
        let address = Self.address(index)
        var member = Swim(
            node: try NodeID("n\(index)"), generation: Generation(generation), profile: try Self.profile(index), tuning: tuning,
            seed: generator.next(), at: now)
        let roster = try seeds.map {
            RosterEntry(node: try NodeID("n\($0)"), generation: Generation(0), profile: try Self.profile($0))
        }
        let actions = member.step(.roster(roster), at: now)
        let known = members[address] != nil
        members[address] = member
        stopped.remove(address)
        held[address] = nil
        if !addresses.contains(address) { addresses.append(address) }
        perform(actions, by: address)
        if !known { schedule(.tick(address), after: .microseconds(.random(in: 0...25_000, using: &generator))) }
    }

    static func profile(_ index: Int) throws -> MemberProfile {
        MemberProfile(
            kind: .agent, zone: try ZoneName("z\(index % 3)"), gossip: address(index), link: "10.0.0.\(index):8",
            store: StoreID(UInt64(index)), session: SessionID(UInt64(index)))
    }

    /// The process is gone: no tick, no answer.
    mutating func kill(_ index: Int) {
        stopped.insert(Self.address(index))
        members[Self.address(index)] = nil
    }

    mutating func input(_ input: Swim.Input, to index: Int) {
        let address = Self.address(index)
        guard let actions = members[address]?.step(input, at: now) else { return }
        perform(actions, by: address)
    }

    /// Wakes a stopped member: its socket's datagrams come first, as a shell has to see to.
    mutating func resume(_ index: Int) {
        let address = Self.address(index)
        stopped.remove(address)
        for event in held.removeValue(forKey: address) ?? [] { handle(event) }
        schedule(.tick(address), after: .zero)
    }

    mutating func run(for span: Span) {
        let end = now + span
        while let event = heap.first, event.at <= end {
            popFirst()
            now = event.at
            handle(event)
        }
        now = end
    }

    /// Runs until `condition` holds; false when it does not within `limit`.
    mutating func run(atMost limit: Span, until condition: (Self) -> Bool) -> Bool {
        let end = now + limit
        while now < end {
            if condition(self) { return true }
            run(for: .milliseconds(10))
        }
        return condition(self)
    }

    /// Whether every running member holds exactly `expected` of `node`.
    func all(see node: Int, as expected: MemberStatus) -> Bool {
        guard let id = try? NodeID("n\(node)") else { return false }
        return members.values.allSatisfy { $0.node == id || $0.member(id)?.status == expected }
    }

    func allSeeAllAlive(_ indices: Range<Int>) -> Bool {
        indices.allSatisfy { all(see: $0, as: .alive) }
            && members.values.allSatisfy { member in member.members.allSatisfy(\.heard) }
    }

    private mutating func handle(_ event: Event) {
        switch event.kind {
        case .tick(let address):
            guard !stopped.contains(address), let actions = members[address]?.step(.tick, at: now) else { return }
            perform(actions, by: address)
            schedule(.tick(address), after: tuning.tick)
        case .delivery(let message, let from, let to):
            if stopped.contains(to) {
                held[to, default: []].append(event)
                return
            }
            guard let actions = members[to]?.step(.received(message, from: from), at: now) else { return }
            perform(actions, by: to)
        }
    }

    private mutating func perform(_ actions: [Swim.Action], by address: String) {
        for action in actions {
            switch action {
            case .send(let message, let to):
                messages += 1
                let weight =
                    message.rumours.reduce(0) { $0 + $1.weight } + SwimMessage.overhead(from: message.from, body: message.body)
                largestWeight = max(largestWeight, weight)
                guard passes(address, to), Double.random(in: 0..<1, using: &generator) >= loss else { continue }
                schedule(
                    .delivery(message, from: address, to: to), after: .microseconds(.random(in: 200...3_000, using: &generator))
                )
            case .memberChanged(let record): changes.append((now, address, record))
            case .reportDeath(let dead, _, _): reports.append((now, address, dead))
            case .departed: departed.insert(address)
            case .revisionHeard, .identityInUse, .dropped: break
            }
        }
    }

    // MARK: A heap

    private mutating func schedule(_ kind: Event.Kind, after span: Span) {
        number += 1
        heap.append(Event(at: now + span, number: number, kind: kind))
        var child = heap.count - 1
        while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func popFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].precedes(heap[least]) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
