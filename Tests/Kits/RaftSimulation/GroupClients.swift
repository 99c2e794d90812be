// Clients with unique writes: each asks one thing at a time, asks again elsewhere when it hears nothing or no, and remembers what it was
// told. A time-out is not a no: such a call may take effect at any time, or never.

import Model
import SimulationKit

package enum ClientEvent {
    case think(Int)
    case timeout(Int, number: UInt64, attempt: Int)
}

struct GroupClients {

    private struct Client {
        /// A new one after each request whose end is unknown: the state machine remembers one request for each session.
        var session: UInt64
        var number: UInt64 = 0
        var pending: ClientRequest?
        var calledAt = LogicalInstant.origin
        var attempt = 0
        var patience = 1
        var target = 0
    }

    private struct Finished {
        let client: Int
        let request: ClientRequest
        let called: LogicalInstant
        /// Nil: unknown.
        let end: (at: LogicalInstant, outcome: ClientReply.Outcome)?
    }

    private var clients: [Client]
    private var finished: [Finished] = []
    private var random: SeededGenerator
    private let hosts: Int
    private var nextSession: UInt64
    private var nextValue: UInt64 = 0
    /// When each request first took effect, and with what outcome, by the state machine's own account.
    private var effects: [UInt64: (at: LogicalInstant, outcome: ClientReply.Outcome?)] = [:]
    var isStopped = false

    init(count: Int, hosts: Int, seed: UInt64) {
        random = SeededGenerator(seed: seed)
        self.hosts = hosts
        clients = (0..<count).map { Client(session: UInt64($0) + 1) }
        nextSession = UInt64(count) + 1
    }

    static func address(of client: Int) -> Int { 100 + client }
    private static func name(_ request: ClientRequest) -> UInt64 { request.session << 24 | request.number }

    var firstEvents: [ClientEvent] { clients.indices.map(ClientEvent.think) }
    var acknowledged: Int {
        finished.count { done in
            switch done.end?.outcome {
            case .written?, .swapped?, .value?: true
            case .refused?, nil: false
            }
        }
    }

    mutating func fired(_ event: ClientEvent, now: LogicalInstant, _ outside: inout RaftGroup.Outside) {
        switch event {
        case .think(let client): if clients[client].pending == nil, !isStopped { ask(client, now, &outside) }
        case .timeout(let client, let number, let attempt):
            guard let request = clients[client].pending, request.number == number, clients[client].attempt == attempt else {
                return
            }
            clients[client].target = Int(random.next() % UInt64(hosts))
            again(client, now, &outside)
        }
    }

    private mutating func ask(_ client: Int, _ now: LogicalInstant, _ outside: inout RaftGroup.Outside) {
        clients[client].number += 1
        let key = Int(random.next() % UInt64(KeyValueMachine.keys))
        let operation: ClientRequest.Operation
        switch random.next() % 10 {
        case 0..<4:
            nextValue += 1
            operation = .put(key: key, value: nextValue)
        case 4:
            nextValue += 1
            operation = .swap(key: key, expected: lastSeen(key), new: nextValue)
        default: operation = .get(key: key)
        }
        clients[client].pending = ClientRequest(
            session: clients[client].session, number: clients[client].number, operation: operation)
        clients[client].calledAt = now
        clients[client].attempt = 0
        clients[client].patience = 1 + Int(random.next() % 6)
        if random.next() % 8 == 0 { clients[client].target = Int(random.next() % UInt64(hosts)) }
        send(client, &outside)
    }

    private func lastSeen(_ key: Int) -> UInt64 {
        for done in finished.reversed().prefix(20) {
            switch (done.request.operation, done.end?.outcome) {
            case (.get(key), .value(let value)?): return value
            case (.put(key, let value), .written?): return value
            default: continue
            }
        }
        return 0
    }

    private mutating func send(_ client: Int, _ outside: inout RaftGroup.Outside) {
        guard let request = clients[client].pending else { return }
        clients[client].attempt += 1
        outside.send(.request(request), from: Self.address(of: client), to: clients[client].target)
        let patience = Span.milliseconds(100 + Int64(random.next() % 900))
        outside.schedule(
            .client(.timeout(client, number: request.number, attempt: clients[client].attempt)), after: patience)
    }

    private mutating func again(_ client: Int, _ now: LogicalInstant, _ outside: inout RaftGroup.Outside) {
        if clients[client].attempt >= clients[client].patience {
            end(client, with: nil, now, &outside)
        } else {
            send(client, &outside)
        }
    }

    private mutating func end(
        _ client: Int, with outcome: ClientReply.Outcome?, _ now: LogicalInstant, _ outside: inout RaftGroup.Outside
    ) {
        guard let request = clients[client].pending else { return }
        finished.append(
            Finished(client: client, request: request, called: clients[client].calledAt, end: outcome.map { (now, $0) }))
        clients[client].pending = nil
        if outcome == nil {
            clients[client].session = nextSession
            nextSession += 1
        }
        outside.schedule(.client(.think(client)), after: .milliseconds(Int64(random.next() % 400)))
    }

    mutating func received(
        _ reply: ClientReply, from host: Int, at address: Int, now: LogicalInstant, _ outside: inout RaftGroup.Outside
    ) {
        let client = address - 100
        guard clients.indices.contains(client), let request = clients[client].pending, request.session == reply.session,
            request.number == reply.number
        else { return }
        switch reply.outcome {
        // Asked once and told no: taken at its word by some. Asked again, an earlier copy may still take effect.
        case .refused where clients[client].attempt == 1 && request.number % 3 == 0:
            end(client, with: reply.outcome, now, &outside)
        case .refused(let hint):
            clients[client].target = hint ?? Int(random.next() % UInt64(hosts))
            // A while, so that a group without a leader is not asked without end.
            clients[client].attempt += 1
            clients[client].patience += 1
            let number = request.number
            outside.schedule(
                .client(.timeout(client, number: number, attempt: clients[client].attempt)),
                after: .milliseconds(5 + Int64(random.next() % 50)))
            if now - clients[client].calledAt > .seconds(20) { end(client, with: nil, now, &outside) }
        case .written, .swapped, .value: end(client, with: reply.outcome, now, &outside)
        }
    }

    /// The state machine says that a request has taken effect.
    mutating func tookEffect(_ request: ClientRequest, at now: LogicalInstant) {
        if effects[Self.name(request)] == nil { effects[Self.name(request)] = (now, nil) }
    }

    // MARK: - The verdict

    /// No acknowledged write is missing, no refused one took effect, and there is an order of all calls that explains every answer.
    /// - Returns: on how many registers the search for that order was given up.
    func verdict() throws(Violation) -> Int {
        for done in finished {
            guard let end = done.end else { continue }
            if case .get = done.request.operation { continue }
            if case .refused = end.outcome {
                guard effects[Self.name(done.request)] == nil else {
                    throw Violation("\(done.request) was refused, and took effect")
                }
                continue
            }
            guard effects[Self.name(done.request)] != nil else {
                throw Violation("\(done.request) was acknowledged, and no state machine has applied it")
            }
        }
        switch Linearizability.check(history, limit: 400_000) {
        case .linearizable: return 0
        case .undecided(let keys): return keys.count
        case .violated(let key, let placed, let stuck):
            throw Violation("no order of the calls on key \(key) explains the answers: \(placed) placed, then \(stuck)")
        }
    }

    /// What was called and what was answered. Of calls without an answer, the state machines tell which took effect and by when:
    /// that keeps the search short and is no less strict.
    var history: [Call] {
        let pending = clients.indices.compactMap { client in
            clients[client].pending.map { Finished(client: client, request: $0, called: clients[client].calledAt, end: nil) }
        }
        return (finished + pending).compactMap { done in
            let effect = effects[Self.name(done.request)]
            let key: Int
            let operation: RegisterOperation
            switch (done.request.operation, done.end?.outcome) {
            case (_, .refused?): return nil
            case (.get(let asked), .value(let value)?): (key, operation) = (asked, .read(value))
            case (.get, _): return nil
            case (.put(let asked, let value), let outcome):
                guard outcome != nil || effect != nil else { return nil }
                (key, operation) = (asked, .write(value))
            case (.swap(let asked, let expected, let new), .swapped(let succeeded)?):
                (key, operation) = (asked, .swap(expected: expected, new: new, succeeded: succeeded))
            case (.swap(let asked, let expected, let new), _):
                guard effect != nil else { return nil }
                (key, operation) = (asked, .swap(expected: expected, new: new, succeeded: nil))
            }
            return Call(
                client: done.client, key: key, operation: operation, called: done.called,
                returned: done.end?.at ?? effect.map { max($0.at, done.called) })
        }
    }
}
