// Rows, from a program's point of view: a key, a value, and where they are found out and kept up to date behind its back.
//
// Each request goes straight to the gateway of the partition's primary. Routes come from any gateway, which needs no coordinator;
// coordinators are asked for gateways only when none is known, and for tokens. A refusal mends the route; a pause of the partition
// (a fence, a promotion) is waited out within the budget; a write whose fate is not known is reported so and never repeated here.

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

    package enum Consistency: String, Sendable { case strong, eventual }

    /// What an acknowledged write is known by.
    package struct Receipt: Hashable, Sendable {
        package let partition: UInt64
        package let position: Position
    }

    package struct Page: Sendable {
        package let rows: [JSONValue]
        /// The key, as JSON text, from which the scan goes on; nil at its end.
        package let next: String?
    }

    private struct Token {
        let text: String
        let renewAt: ContinuousClock.Instant
    }

    private let calls: HTTPCalls
    private let control: ControlClient
    private let clusterID: String
    private let principal: String
    private let settings: Settings
    private let policy = RetryPolicy()
    private var random = SystemRandomNumberGenerator()
    private var routes: [String: TableRoute] = [:]
    private var gateways: [String] = []
    private var tokens: [String: Token] = [:]

    /// - Parameter fixedToken: used for every table instead of tokens asked of the coordinators.
    package init(
        calls: HTTPCalls, control: ControlClient, clusterID: String, principal: String, settings: Settings = Settings(),
        fixedToken: String? = nil, gateways: [String] = []
    ) {
        self.calls = calls
        self.control = control
        self.clusterID = clusterID
        self.principal = principal
        self.settings = settings
        self.fixedToken = fixedToken
        self.gateways = gateways
    }

    private let fixedToken: String?

    // MARK: - Rows

    /// - Parameter key: a JSON array of the key columns' values.
    package func put(_ row: JSONValue, key: String, in table: String) async throws(ClientError) -> Receipt {
        try receipt(of: try await send(.put, table, key: key, isWrite: true, body: row.text))
    }

    package func delete(key: String, in table: String) async throws(ClientError) -> Receipt {
        try receipt(of: try await send(.delete, table, key: key, isWrite: true))
    }

    /// The row, or nil when there is none.
    package func get(
        key: String, in table: String, consistency: Consistency = .strong
    ) async throws(ClientError) -> JSONValue? {
        do throws(ClientError) {
            let answer = try await send(.get, table, key: key, isWrite: false, query: "&consistency=\(consistency.rawValue)")
            return answer["row"] ?? answer
        } catch {
            if case .refused(let problem) = error, problem.code == "ROW_NOT_FOUND" { return nil }
            throw error
        }
    }

    /// One page, which never leaves one partition: go on at `next` until it is nil.
    package func scan(
        _ table: String, from: String?, to: String?, limit: Int, consistency: Consistency = .strong
    ) async throws(ClientError) -> Page {
        let query =
            "&limit=\(limit)&consistency=\(consistency.rawValue)"
            + (from.map { "&from=" + ControlClient.encode($0) } ?? "") + (to.map { "&to=" + ControlClient.encode($0) } ?? "")
        let answer = try await send(.get, table, bound: from ?? "[]", isWrite: false, query: query)
        return Page(
            rows: answer["rows"]?.array ?? [], next: answer["next"].flatMap { $0 == .null ? nil : $0.string ?? $0.text })
    }

    /// Writes rows of one partition as one change.
    package func batch(_ operations: [JSONValue], firstKey: String, in table: String) async throws(ClientError) -> Receipt {
        let body = JSONValue.object(["operations": .array(operations)])
        return try receipt(of: try await send(.post, table, key: firstKey, isWrite: true, path: "rows:batch", body: body.text))
    }

    private func receipt(of answer: JSONValue) throws(ClientError) -> Receipt {
        guard let partition = answer["partition"]?.unsigned, let position = answer["position"],
            let epoch = position["epoch"]?.unsigned, let run = position["run"]?.unsigned,
            let sequence = position["sequence"]?.unsigned
        else { throw .unexpectedAnswer("an acknowledgement without its position: \(answer.text)") }
        return Receipt(partition: partition, position: Position(epoch: Epoch(epoch), run: run, sequence: sequence))
    }

    // MARK: - Sending

    private func send(
        _ method: HTTPCalls.Method, _ table: String, key: String? = nil, bound: String? = nil, isWrite: Bool,
        path: String = "rows", query: String = "", body: String? = nil
    ) async throws(ClientError) -> JSONValue {
        let clock = ContinuousClock()
        let deadline = clock.now + .milliseconds(settings.budgetMilliseconds)
        var attempt = 0
        var hasRenewedToken = false
        var last = ClientError.unreachable("no gateway is known")
        while clock.now < deadline {
            let wait: Span
            do throws(ClientError) {
                let route = try await route(of: table)
                guard let partition = try self.partition(in: route, key: key, bound: bound) else {
                    throw ClientError.unexpectedAnswer("the route of \(table) has a gap")
                }
                let token = try await token(for: table)
                guard let gateway = partition.gateway else {
                    throw ClientError.unreachable("partition \(partition.id) has no primary")
                }
                let parameter = key.map { path == "rows" ? "key=" + ControlClient.encode($0) : "" } ?? ""
                let url = "https://\(gateway)/v1/tables/\(table)/\(path)?\(parameter)\(query)"
                let left = ControlClient.milliseconds(deadline - clock.now)
                let (outcome, answer) = await exchange(
                    method, url, body: body, token: token, epoch: partition.epoch,
                    milliseconds: min(left, settings.attemptMilliseconds))
                switch policy.decide(
                    outcome, isWrite: isWrite, attempt: attempt, hasRenewedToken: hasRenewedToken, random: &random)
                {
                case .accept: return answer.body
                case .refuse: throw .refused(answer.problem)
                case .unknown: throw .outcomeUnknown(answer.problem.detail)
                case .renewToken:
                    hasRenewedToken = true
                    tokens[table] = nil
                    wait = .zero
                case .mend(let pause):
                    mend(table, with: answer.problem.partition)
                    wait = pause
                case .refresh(let pause):
                    await refresh(table, avoiding: gateway)
                    wait = pause
                case .again(let pause): wait = pause
                }
                last = .refused(answer.problem)
            } catch {
                guard case .unreachable = error else { throw error }
                last = error
                routes[table] = nil
                wait = policy.pause(attempt, random: &random)
            }
            attempt += 1
            if wait > .zero {
                do { try await Task.sleep(for: .microseconds(wait.microseconds)) } catch { throw last }
            }
        }
        throw last
    }

    private struct Reply {
        let body: JSONValue
        let problem: Problem
    }

    private func exchange(
        _ method: HTTPCalls.Method, _ url: String, body: String?, token: String, epoch: UInt64, milliseconds: Int64
    ) async -> (RetryPolicy.Outcome, Reply) {
        do throws(HTTPCalls.Failure) {
            let answer = try await calls.call(
                method, url, headers: [("authorization", "Bearer \(token)"), ("coxswain-epoch", String(epoch))], body: body,
                milliseconds: milliseconds)
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

    // MARK: - Routes and tokens

    /// The table's route: the cached one, or a new one.
    package func route(of table: String) async throws(ClientError) -> TableRoute {
        if let known = routes[table] { return known }
        let route = try await fetchRoute(of: table, avoiding: nil)
        routes[table] = route
        return route
    }

    private func partition(in route: TableRoute, key: String?, bound: String?) throws(ClientError) -> PartitionRoute? {
        do throws(KeyTextError) {
            if let key { return route.partition(of: try route.layout.key(text: key)) }
            return route.partition(of: try route.layout.bound(text: bound ?? "[]"))
        } catch {
            throw .invalid("key: \(error)")
        }
    }

    private func mend(_ table: String, with json: JSONValue?) {
        guard var route = routes[table], let json, let newer = PartitionRoute(json, layout: route.layout),
            route.mend(with: newer)
        else {
            routes[table] = nil
            return
        }
        routes[table] = route
    }

    private func refresh(_ table: String, avoiding gateway: String) async {
        // The old route serves until somebody knows a newer one.
        do throws(ClientError) { routes[table] = try await fetchRoute(of: table, avoiding: gateway) } catch { return }
    }

    private func fetchRoute(of table: String, avoiding gateway: String?) async throws(ClientError) -> TableRoute {
        if gateways.isEmpty { gateways = try await control.gateways(of: clusterID) }
        let token = try await token(for: table)
        var failure = ClientError.unreachable("no gateway is known")
        for candidate in gateways.shuffled(using: &random) where candidate != gateway {
            let answer: HTTPCalls.Answer
            do throws(HTTPCalls.Failure) {
                answer = try await calls.call(
                    .get, "https://\(candidate)/v1/tables/\(table)/routes", headers: [("authorization", "Bearer \(token)")],
                    milliseconds: 1_000)
            } catch {
                failure = .unreachable("\(candidate): \(error)")
                continue
            }
            if answer.status == 200, let body = answer.body { return adopt(try TableRoute(body)) }
            let problem = Problem(status: answer.status, body: answer.body)
            failure = problem.isRetryable ? .unreachable(problem.detail) : .refused(problem)
        }
        if case .unreachable = failure, let fresh = try? await control.gateways(of: clusterID) { gateways = fresh }
        throw failure
    }

    private func adopt(_ route: TableRoute) -> TableRoute {
        for gateway in route.partitions.flatMap(\.replicas) where !gateways.contains(gateway) { gateways.append(gateway) }
        return route
    }

    private func token(for table: String) async throws(ClientError) -> String {
        if let fixedToken { return fixedToken }
        let now = ContinuousClock.now
        if let known = tokens[table], now < known.renewAt { return known.text }
        do throws(ClientError) {
            let text = try await control.token(table: table, principal: principal, seconds: settings.tokenSeconds)
            // At two thirds of its life, so that the coordinators may be away for the last third.
            tokens[table] = Token(text: text, renewAt: now + .seconds(settings.tokenSeconds * 2 / 3))
            return text
        } catch {
            // Old, but perhaps still good: the agents decide.
            guard let known = tokens[table], case .unreachable = error else { throw error }
            tokens[table] = Token(text: known.text, renewAt: now + .seconds(5))
            return known.text
        }
    }
}
