// Clients of a simulated cluster: each reads and writes registers, one call at a time, by routes of its own that it mends when it is
// refused. What nobody answers in time has an unknown outcome. Some leave it at that; the others write under keys (rule R8), ask again
// under the same one until they know, wherever the register's partition is by then, and now and then once more when they do know. What
// they were told is judged at the end.

import Model
import SimulationKit

struct ClusterClients: Sendable {
    enum Event: Sendable {
        case think(Int)
        case again(Int, number: UInt64, attempt: Int)
        case timeout(Int, number: UInt64, attempt: Int)
        /// What was answered long ago is asked for once more.
        case echo(Int, Echo)
    }

    struct Echo: Sendable {
        let number: UInt64
        let key: Int
        let operation: ClusterRequest.Operation
    }

    private struct Pending {
        let number: UInt64
        let key: Int
        let operation: ClusterRequest.Operation
        let calledAt: LogicalInstant
        var attempt = 0
        var sentAt: LogicalInstant
        /// A request for it may have had an effect.
        var isInDoubt = false
    }

    private struct Client {
        var routes: [PartitionDescriptor] = []
        var pending: Pending?
        /// Writes under keys.
        let asksAgain: Bool

        func route(to key: Int) -> PartitionDescriptor? { routes.first { $0.range.contains(ClusterOptions.key(key)) } }
    }

    private let places: ClusterPlaces
    private var clients: [Client]
    private var random: SeededGenerator
    /// For the keys of writes, and who uses them.
    private var luck: SeededGenerator
    private var lastNumber: UInt64 = 0
    private var lastValue: UInt64 = 0
    private var history: [Call] = []
    /// Writes whose callers never learned how they ended, and since when.
    private var open: [UInt64: (client: Int, key: Int, called: LogicalInstant)] = [:]
    /// When a value was first applied anywhere. Whoever reads after that reads it, or what came later: a primary knows a commit first, and
    /// reads wait for it.
    private var effects: [UInt64: LogicalInstant] = [:]
    private(set) var answered = 0
    /// Reads that copies answered by themselves.
    private(set) var copyReads = 0
    private let isPlain: Bool
    /// Requests under a key that was used before.
    private(set) var repeats = 0
    /// Registers that were written, and acknowledged, since calm returned.
    private(set) var writtenInCalm: Set<Int> = []
    /// Which key signs the tokens that are given out now.
    var tokenKey: String?
    var isCalm = false
    var isStopped = false

    init(_ options: ClusterOptions, places: ClusterPlaces, seed: UInt64) {
        self.places = places
        isPlain = options.isPlain
        random = SeededGenerator(seed: seed ^ 0xC11E_2715)
        luck = SeededGenerator(seed: seed ^ 0x0CE_0CE)
        // Every other one.
        clients = (0..<options.clients).map { Client(asksAgain: $0 % 2 == 0 && !options.isPlain) }
    }

    var firstEvents: [Event] { clients.indices.map(Event.think) }
    var isQuiet: Bool { clients.allSatisfy { $0.pending == nil } }
    private static func address(of client: Int) -> Int { 100 + client }

    /// What has been written so far was before the calm.
    mutating func countAnew() { writtenInCalm = [] }

    // MARK: - Asking

    mutating func fired(_ event: Event, now: LogicalInstant, _ outside: inout Cluster.Outside) {
        switch event {
        case .think(let client): if clients[client].pending == nil, !isStopped { ask(client, now, &outside) }
        case .again(let client, let number, let attempt):
            guard let pending = clients[client].pending, pending.number == number, pending.attempt == attempt else { return }
            if now - pending.calledAt > .seconds(8) { giveUp(client, &outside) } else { send(client, now, &outside) }
        case .timeout(let client, let number, let attempt):
            guard let pending = clients[client].pending, pending.number == number, pending.attempt == attempt else { return }
            clients[client].routes = []
            doubt(client, &outside)
        case .echo(let client, let echo): if !isStopped { send(echo, of: client, &outside) }
        }
    }

    /// A request may have had an effect: whoever has a key for it asks again.
    private mutating func doubt(_ client: Int, _ outside: inout Cluster.Outside) {
        clients[client].pending?.isInDoubt = true
        if case .write(_, _?)? = clients[client].pending?.operation {
            mend(client, &outside)
        } else {
            giveUp(client, &outside)
        }
    }

    /// Leaves it open whether the call had an effect; one that had none for certain never was.
    private mutating func giveUp(_ client: Int, _ outside: inout Cluster.Outside) {
        if let pending = clients[client].pending, pending.isInDoubt, case .write(let value, _) = pending.operation {
            open[value] = (client, pending.key, pending.calledAt)
        }
        end(client, &outside)
    }

    private mutating func ask(_ client: Int, _ now: LogicalInstant, _ outside: inout Cluster.Outside) {
        lastNumber += 1
        var operation = ClusterRequest.Operation.read(.strong)
        if random.next() % 2 == 0 {
            lastValue += 1
            let name = clients[client].asksAgain ? IdempotencyKey(madeAt: ClusterOptions.wall(at: now), random: &luck) : nil
            operation = .write(lastValue, under: name)
        } else if !isPlain {
            operation = .read(reading())
        }
        let key = Int(random.next() % UInt64(ClusterOptions.keys))
        clients[client].pending = Pending(number: lastNumber, key: key, operation: operation, calledAt: now, sentAt: now)
        send(client, now, &outside)
    }

    private mutating func reading() -> ClusterRequest.Reading {
        switch luck.next() % 4 {
        case 0: .eventual
        case 1: .bounded(within: .milliseconds([1, 60, 120, 250, 1_000, 5_000][Int(luck.next() % 6)]))
        default: .strong
        }
    }

    /// Who is to answer: the primary, or any copy that may.
    private mutating func server(for operation: ClusterRequest.Operation, on route: PartitionDescriptor) -> Int? {
        switch operation {
        case .write, .read(.strong): return route.primary.flatMap { places.host(of: $0) }
        case .read(.bounded), .read(.eventual):
            guard !route.replicas.isEmpty else { return nil }
            return places.host(of: route.replicas[Int(luck.next() % UInt64(route.replicas.count))].node)
        }
    }

    private mutating func send(_ client: Int, _ now: LogicalInstant, _ outside: inout Cluster.Outside) {
        guard var pending = clients[client].pending else { return }
        pending.attempt += 1
        pending.sentAt = now
        clients[client].pending = pending
        let route = clients[client].route(to: pending.key)
        guard let route, let host = server(for: pending.operation, on: route) else { return mend(client, &outside) }
        if pending.isInDoubt { repeats += 1 }
        let request = ClusterRequest(
            number: pending.number, attempt: pending.attempt, partition: route.id, epoch: route.epoch, key: pending.key,
            operation: pending.operation, tokenKey: tokenKey)
        outside.send(.request(request), from: Self.address(of: client), to: host)
        outside.schedule(
            .client(.timeout(client, number: pending.number, attempt: pending.attempt)),
            after: .milliseconds(Int64(300 + random.next() % 1_200)))
    }

    /// Nobody waits for the answer: what was written is not written again, whatever was written since.
    private mutating func send(_ echo: Echo, of client: Int, _ outside: inout Cluster.Outside) {
        let route = clients[client].route(to: echo.key)
        guard let route, let host = route.primary.flatMap({ places.host(of: $0) }) else { return }
        repeats += 1
        let request = ClusterRequest(
            number: echo.number, attempt: 1_000, partition: route.id, epoch: route.epoch, key: echo.key,
            operation: echo.operation, tokenKey: tokenKey)
        outside.send(.request(request), from: Self.address(of: client), to: host)
    }

    /// Asks some agent for its routes, and tries again in a while.
    private mutating func mend(_ client: Int, _ outside: inout Cluster.Outside) {
        guard let pending = clients[client].pending else { return }
        let host = places.members.count + Int(random.next() % UInt64(places.agents.count))
        outside.send(.routesWanted, from: Self.address(of: client), to: host)
        outside.schedule(
            .client(.again(client, number: pending.number, attempt: pending.attempt)),
            after: .milliseconds(Int64(10 + random.next() % 90)))
    }

    private mutating func end(_ client: Int, _ outside: inout Cluster.Outside) {
        clients[client].pending = nil
        outside.schedule(.client(.think(client)), after: .milliseconds(Int64(random.next() % 150)))
    }

    // MARK: - Answers

    mutating func received(_ routes: [PartitionDescriptor], at address: Int) {
        guard clients.indices.contains(address - 100), !routes.isEmpty else { return }
        clients[address - 100].routes = routes
    }

    /// - Returns: what a copy has answered by itself, which no order of calls has to explain.
    mutating func received(
        _ reply: ClusterReply, at address: Int, now: LogicalInstant, _ outside: inout Cluster.Outside
    ) -> CopyRead? {
        let client = address - 100
        guard clients.indices.contains(client), let pending = clients[client].pending, pending.number == reply.number,
            pending.attempt == reply.attempt
        else { return nil }
        switch (reply.outcome, pending.operation) {
        case (.refused, _): mend(client, &outside)
        case (.written, .write(let value, let name)):
            answered += 1
            if isCalm { writtenInCalm.insert(pending.key) }
            note(client, pending.key, .write(value), pending.calledAt, now)
            if name != nil, luck.next() % 8 == 0 {
                let echo = Echo(number: pending.number, key: pending.key, operation: pending.operation)
                outside.schedule(.client(.echo(client, echo)), after: .milliseconds(Int64(luck.next() % 4_000)))
            }
            end(client, &outside)
        case (.value(let value), .read(.strong)):
            answered += 1
            note(client, pending.key, .read(value), pending.calledAt, now)
            end(client, &outside)
        case (.value(let value), .read(let reading)):
            answered += 1
            copyReads += 1
            end(client, &outside)
            return CopyRead(register: pending.key, value: value, reading: reading, askedAt: pending.sentAt)
        case (.unknown, .write): doubt(client, &outside)
        case (.expired, .write): giveUp(client, &outside)
        case (.written, .read), (.value, .write), (.unknown, .read), (.expired, .read): end(client, &outside)
        }
        return nil
    }

    private mutating func note(
        _ client: Int, _ key: Int, _ operation: RegisterOperation, _ called: LogicalInstant, _ returned: LogicalInstant
    ) {
        history.append(Call(client: client, key: key, operation: operation, called: called, returned: returned))
    }

    /// An engine has applied the write of a value.
    mutating func tookEffect(_ value: UInt64, at now: LogicalInstant) {
        if effects[value] == nil { effects[value] = now }
    }

    /// An operator has given up what was answered before: from now on there is one history that begins with these values. A call that is
    /// still under way is a call of this one.
    mutating func beginAnew(from values: [Int: UInt64], at now: LogicalInstant) {
        history = values.sorted { $0.key < $1.key }.map { key, value in
            Call(client: clients.count, key: key, operation: .write(value), called: now, returned: now)
        }
        open = [:]
    }

    // MARK: - The verdict

    /// There is an order of all calls that explains every answer, and what the copies hold at the end (`last`).
    /// - Returns: on how many registers the search for that order was given up.
    func verdict(_ last: [Int: UInt64], at now: LogicalInstant) throws(Violation) -> Int {
        var calls = history
        for (value, write) in open.sorted(by: { $0.key < $1.key }) {
            // What no engine ever applied, nobody can have read.
            guard let effect = effects[value] else { continue }
            calls.append(
                Call(
                    client: write.client, key: write.key, operation: .write(value), called: write.called,
                    returned: max(effect, write.called)))
        }
        for key in 0..<ClusterOptions.keys {
            calls.append(
                Call(client: clients.count + 1, key: key, operation: .read(last[key] ?? 0), called: now, returned: now))
        }
        switch Linearizability.check(calls, limit: 400_000) {
        case .linearizable: return 0
        case .undecided(let keys): return keys.count
        case .violated(let key, let placed, let stuck):
            throw Violation("no order of the calls on register \(key) explains the answers: \(placed) placed, then \(stuck)")
        }
    }
}
