// Rows, from a program's point of view: a key, a value, and where they are found out and kept up to date behind its back.
//
// Each request goes straight to the gateway of the partition's primary; a read that may be a little old to that of the in-sync replica
// that answers fastest, and to the others in turn when it does not. Routes come from any gateway, which needs no coordinator;
// coordinators are asked for gateways only when none is known, and for tokens. A refusal mends the route; a pause of the partition
// (a fence, a promotion) is waited out within the budget. A write goes under a key by which it happens once (rule R8), so it is sent
// again when nobody answered; what stays open until the time is up is reported so.
// Who may not see a table's routes, because the token allows writes only, goes from refusal to refusal until somebody takes it.

import FoundationEssentials
import KeyEncoding
package import Model

package actor CoxswainClient {
    package struct Settings: Sendable {
        /// How long one request may take, all of its attempts and pauses together.
        package var budgetMilliseconds: Int64 = 10_000
        /// How long one attempt may wait for its answer.
        package var attemptMilliseconds: Int64 = 3_000
        package var tokenSeconds = 900

        package init() {}
    }

    /// What an acknowledged write is known by.
    package struct Receipt: Hashable, Sendable {
        package let partition: UInt64
        package let position: Position
        /// Whether an earlier try may have done it: then the position is of whichever partition the row was in at that time.
        package let mayBeEarlier: Bool

        package init(partition: UInt64, position: Position, mayBeEarlier: Bool = false) {
            self.partition = partition
            self.position = position
            self.mayBeEarlier = mayBeEarlier
        }
    }

    package struct Page: Sendable {
        package let rows: [JSONValue]
        /// The key, as JSON text, from which the scan goes on; nil at its end.
        package let next: String?
    }

    private let calls: HTTPCalls
    private let tokens: TokenSource
    private let routes: RouteSource
    private let settings: Settings
    private let clock: ClientClock
    private let policy = RetryPolicy()
    private let fixedToken: String?
    private var random = SystemRandomNumberGenerator()
    private var latencies = GatewayLatencies()
    /// Where the last refusal sent us, for tables whose routes may not be seen.
    private var hints: [String: String] = [:]

    /// - Parameters:
    ///   - fixedToken: used for every table instead of tokens asked of the coordinators.
    ///   - gateways: known ones, as `host:port`, or status endpoints of agents on this machine, as `http://127.0.0.1:7471`. With
    ///     one of them and a token no coordinator is needed.
    package init(
        calls: HTTPCalls, control: ControlClient, clusterID: String, principal: String, settings: Settings = Settings(),
        fixedToken: String? = nil, gateways: [String] = [], clock: ClientClock = .continuous
    ) {
        self.calls = calls
        self.clock = clock
        self.settings = settings
        self.fixedToken = fixedToken
        let seconds = settings.tokenSeconds
        tokens = TokenSource(seconds: seconds, now: clock.now) { (table, milliseconds) async throws(ClientError) in
            try await control.token(table: table, principal: principal, seconds: seconds, milliseconds: milliseconds)
        }
        routes = RouteSource(calls: calls, control: control, clusterID: clusterID, seeds: gateways, clock: clock)
    }

    // MARK: - Rows

    /// A key under which one write happens once (rule R8), for whoever wants to ask again what became of it.
    package static func onceKey() -> IdempotencyKey {
        var random = SystemRandomNumberGenerator()
        return IdempotencyKey(madeAt: WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)), random: &random)
    }

    /// - Parameters:
    ///   - key: a JSON array of the key columns' values.
    ///   - once: a fresh one unless it is given. Who gives it may ask again after `outcomeUnknown`: he is told of the write that was done,
    ///     or it is done now.
    package func put(
        _ row: JSONValue, key: String, in table: String, once: IdempotencyKey? = nil
    ) async throws(ClientError) -> Receipt {
        try await write(.put, table, key: key, body: row.text, once: once)
    }

    package func delete(key: String, in table: String) async throws(ClientError) -> Receipt {
        try await write(.delete, table, key: key)
    }

    /// The row, or nil when there is none.
    ///
    /// - Parameters:
    ///   - consistency: strong unless it is named; nil leaves it to the cluster's configuration.
    ///   - maxStaleness: how old the answer of a bounded read may be; nil leaves it to the configuration.
    package func get(
        key: String, in table: String, consistency: RowConsistency? = .strong, maxStaleness: Span? = nil
    ) async throws(ClientError) -> JSONValue? {
        do throws(ClientError) {
            let answer = try await send(
                .get, table, key: key, reading: consistency, query: Self.query(consistency, maxStaleness))
            return answer["row"] ?? answer
        } catch {
            if case .refused(let problem) = error, problem.code == "ROW_NOT_FOUND" { return nil }
            throw error
        }
    }

    /// One page, which never leaves one partition: go on at `next` until it is nil.
    package func scan(
        _ table: String, from: String?, to: String?, limit: Int, consistency: RowConsistency? = .strong,
        maxStaleness: Span? = nil
    ) async throws(ClientError) -> Page {
        let query =
            "&limit=\(limit)" + Self.query(consistency, maxStaleness)
            + (from.map { "&from=" + ControlClient.encode($0) } ?? "") + (to.map { "&to=" + ControlClient.encode($0) } ?? "")
        let answer = try await send(.get, table, bound: from ?? "[]", reading: consistency, query: query)
        return Page(
            rows: answer["rows"]?.array ?? [], next: answer["next"].flatMap { $0 == .null ? nil : $0.string ?? $0.text })
    }

    /// Writes rows of one partition as one change.
    ///
    /// - Parameters:
    ///   - operations: each `{"op":"put","row":{…}}` or `{"op":"delete","key":[…]}`, as JSON text.
    ///   - firstKey: the key of one of them, by which the partition is found.
    ///   - once: as for `put`.
    package func batch(
        _ operations: [String], firstKey: String, in table: String, once: IdempotencyKey? = nil
    ) async throws(ClientError) -> Receipt {
        let body = "{\"operations\":[" + operations.joined(separator: ",") + "]}"
        return try await write(.post, table, key: firstKey, path: "rows:batch", body: body, once: once)
    }

    private static func query(_ consistency: RowConsistency?, _ maxStaleness: Span?) -> String {
        (consistency.map { "&consistency=\($0.rawValue)" } ?? "")
            + (maxStaleness.map { "&max_staleness_ms=\($0.milliseconds)" } ?? "")
    }

    private func receipt(of answer: JSONValue, mayBeEarlier: Bool) throws(ClientError) -> Receipt {
        guard let partition = answer["partition"]?.unsigned, let position = answer["position"],
            let epoch = position["epoch"]?.unsigned, let run = position["run"]?.unsigned,
            let sequence = position["sequence"]?.unsigned
        else { throw .unexpectedAnswer("an acknowledgement without its position: \(answer.text)") }
        return Receipt(
            partition: partition, position: Position(epoch: Epoch(epoch), run: run, sequence: sequence),
            mayBeEarlier: mayBeEarlier)
    }

    // MARK: - Sending

    /// A refusal in the end says nothing of an earlier try that nobody answered.
    private func write(
        _ method: HTTPCalls.Method, _ table: String, key: String, path: String = "rows", body: String? = nil,
        once given: IdempotencyKey? = nil
    ) async throws(ClientError) -> Receipt {
        let once = given ?? Self.onceKey()
        var open: String?
        do throws(ClientError) {
            let answer = try await send(method, table, key: key, once: once, open: &open, path: path, body: body)
            return try receipt(of: answer, mayBeEarlier: open != nil)
        } catch {
            if let open { throw .outcomeUnknown(open) }
            throw error
        }
    }

    private func send(
        _ method: HTTPCalls.Method, _ table: String, key: String? = nil, bound: String? = nil,
        reading: RowConsistency? = nil, query: String = ""
    ) async throws(ClientError) -> JSONValue {
        var open: String?
        return try await send(method, table, key: key, bound: bound, reading: reading, open: &open, query: query)
    }

    /// - Parameters:
    ///   - once: the key of a write.
    ///   - reading: of a read, how fresh it must be, if the request says so.
    ///   - open: why it is not known what became of the last try of which that is not known.
    private func send(
        _ method: HTTPCalls.Method, _ table: String, key: String? = nil, bound: String? = nil, once: IdempotencyKey? = nil,
        reading: RowConsistency? = nil, open: inout String?, path: String = "rows", query: String = "", body: String? = nil
    ) async throws(ClientError) -> JSONValue {
        let deadline = clock.now() + .milliseconds(settings.budgetMilliseconds)
        var attempt = 0
        var hasRenewedToken = false
        // Two nodes that contradict each other for ever must not keep a client busy without a pause.
        var newsLeft = 4
        // Replicas that were asked in vain; when all of them were, they are asked once more.
        var tried: Set<String> = []
        var reading = reading
        let wanted = reading
        var last = ClientError.unreachable("no gateway is known")
        while clock.now() < deadline {
            let wait: Span
            do throws(ClientError) {
                let token = try await token(for: table, until: deadline)
                let gateway = try await gateway(
                    of: table, key: key, bound: bound, token: token, reading: reading, butNot: &tried, until: deadline)
                let parameter = key.map { path == "rows" ? "key=" + ControlClient.encode($0) : "" } ?? ""
                let url = "https://\(gateway)/v1/tables/\(table)/\(path)?\(parameter)\(query)"
                let asked = clock.now()
                let left = clock.left(until: deadline)
                guard left > 0 else { break }
                let (outcome, answer) = await exchange(
                    method, url, body: body, token: token, once: once,
                    milliseconds: min(left, settings.attemptMilliseconds))
                if outcome.mayHaveHappened { open = answer.problem.detail }
                measure(gateway, outcome, since: asked, until: deadline, now: clock.now())
                tried.insert(gateway)
                switch policy.decide(outcome, attempt: attempt, hasRenewedToken: hasRenewedToken, random: &random) {
                case .accept: return answer.body
                case .refuse: throw .refused(answer.problem)
                case .renewToken:
                    guard fixedToken == nil else { throw ClientError.refused(answer.problem) }
                    hasRenewedToken = true
                    await tokens.discard(token, for: table)
                    wait = .zero
                case .mend(let pause):
                    hints[table] = answer.problem.partition?["gateway"]?.string
                    if await routes.mend(table, with: answer.problem.partition), newsLeft > 0 {
                        newsLeft -= 1
                        attempt = -1
                        wait = .zero
                    } else {
                        wait = pause
                    }
                case .askPrimary(let pause):
                    latencies.failed(gateway, at: clock.now())
                    reading = .strong
                    wait = pause
                case .refresh(let pause):
                    reading = wanted
                    hints[table] = nil
                    await routes.refresh(table, token: token, avoiding: gateway, until: deadline)
                    wait = pause
                case .again(let pause):
                    if answer.problem.code == "PARTITION_FENCED" { attempt -= 1 }
                    wait = pause
                }
                last = policy.failure(after: outcome, answer.problem)
            } catch {
                guard case .unreachable = error else { throw error }
                last = error
                await routes.forget(table)
                wait = policy.pause(attempt, random: &random)
            }
            attempt += 1
            if wait > .zero {
                let next = clock.now() + .microseconds(wait.microseconds)
                // There is no time for another try behind such a pause.
                guard next < deadline else { break }
                do { try await clock.sleep(next) } catch { throw last }
            }
        }
        throw last
    }

    private func measure(
        _ gateway: String, _ outcome: RetryPolicy.Outcome, since asked: ContinuousClock.Instant,
        until deadline: ContinuousClock.Instant, now: ContinuousClock.Instant
    ) {
        switch outcome {
        case .answered: latencies.answered(gateway, after: now - asked, at: now)
        // The caller had no more time than that: nothing is known of the gateway.
        case .unanswered where now >= deadline && deadline - asked < .milliseconds(settings.attemptMilliseconds): break
        case .notSent, .unanswered: latencies.failed(gateway, at: now)
        }
    }

    /// Whom to ask for a row or a scan.
    private func gateway(
        of table: String, key: String?, bound: String?, token: String, reading: RowConsistency?,
        butNot tried: inout Set<String>, until deadline: ContinuousClock.Instant
    ) async throws(ClientError) -> String {
        let route: TableRoute
        do throws(ClientError) { route = try await routes.route(of: table, token: token, until: deadline) } catch {
            guard case .refused(let problem) = error, problem.status == 403 else { throw error }
            if let hint = hints[table] { return hint }
            return try await routes.anyGateway(until: deadline)
        }
        guard let partition = try self.partition(in: route, key: key, bound: bound) else {
            throw ClientError.unexpectedAnswer("the route of \(table) has a gap")
        }
        if let reading, reading != .strong {
            if partition.readable.allSatisfy(tried.contains) { tried = [] }
            let others = partition.readable.filter { !tried.contains($0) }
            if let nearest = latencies.nearest(of: others, at: clock.now(), random: &random) { return nearest }
        }
        guard let gateway = partition.gateway else {
            throw ClientError.unreachable("partition \(partition.id) has no primary")
        }
        return gateway
    }

    private func partition(in route: TableRoute, key: String?, bound: String?) throws(ClientError) -> PartitionRoute? {
        do throws(KeyTextError) {
            if let key { return route.partition(of: try route.layout.key(text: key)) }
            return route.partition(of: try route.layout.bound(text: bound ?? "[]"))
        } catch {
            throw .invalid("key: \(error)")
        }
    }

    /// The table's route: the known one, or a new one.
    package func route(of table: String) async throws(ClientError) -> TableRoute {
        let deadline = clock.now() + .milliseconds(settings.budgetMilliseconds)
        return try await routes.route(of: table, token: try await token(for: table, until: deadline), until: deadline)
    }

    private func token(for table: String, until deadline: ContinuousClock.Instant) async throws(ClientError) -> String {
        if let fixedToken { return fixedToken }
        return try await tokens.token(for: table, within: clock.left(until: deadline))
    }

    private struct Reply {
        let body: JSONValue
        let problem: Problem
    }

    private func exchange(
        _ method: HTTPCalls.Method, _ url: String, body: String?, token: String, once: IdempotencyKey?, milliseconds: Int64
    ) async -> (RetryPolicy.Outcome, Reply) {
        var headers = [("authorization", "Bearer \(token)")]
        if let once { headers.append(("idempotency-key", once.description)) }
        do throws(HTTPCalls.Failure) {
            let answer = try await calls.call(
                method, url, headers: headers, body: body, milliseconds: milliseconds)
            let problem = Problem(status: answer.status, body: answer.body)
            return (
                .answered(
                    status: answer.status, code: problem.code, isRetryable: problem.isRetryable,
                    retryAfterMilliseconds: problem.retryAfterMilliseconds), Reply(body: answer.body ?? .null, problem: problem)
            )
        } catch {
            let (outcome, why): (RetryPolicy.Outcome, String) =
                switch error {
                case .notSent(let why): (.notSent, why)
                case .unanswered(let why): (.unanswered, why)
                }
            let document = JSONValue.object(["code": .string("NO_ANSWER"), "detail": .string("\(url): \(why)")])
            return (outcome, Reply(body: .null, problem: Problem(status: 0, body: document)))
        }
    }
}
