// Where tables are: the routes that are known, who may know newer ones, and one question at a time for each table.
//
// Any gateway knows all routes, so the coordinators are asked only for a gateway, and only when none is known. When they do not
// answer either, agents that the caller named are asked at their status endpoints.

actor RouteSource {
    private let calls: HTTPCalls
    private let control: ControlClient
    private let clusterID: String
    /// Status endpoints of agents on this machine: `http://127.0.0.1:7471`.
    private let agents: [String]
    private var gateways: KnownGateways
    private var routes: [String: TableRoute] = [:]
    private let questions = SharedQuestions<TableRoute>()
    private let clock: ClientClock
    private var random = SystemRandomNumberGenerator()

    typealias Instant = ContinuousClock.Instant

    /// How long one gateway or agent, and all coordinators together, are waited for.
    private static let patience = (of: Int64(1_000), ofCoordinators: Int64(5_000))

    /// - Parameter seeds: gateways as `host:port`, and status endpoints of agents as `http://host:port`.
    init(calls: HTTPCalls, control: ControlClient, clusterID: String, seeds: [String], clock: ClientClock) {
        self.clock = clock
        self.calls = calls
        self.control = control
        self.clusterID = clusterID
        agents = seeds.filter { $0.hasPrefix("http://") }
        gateways = KnownGateways(seeds.filter { !$0.hasPrefix("http://") })
    }

    /// The table's route: the known one, or a new one, if it can be had until then.
    func route(of table: String, token: String, until deadline: Instant) async throws(ClientError) -> TableRoute {
        if let known = routes[table] { return known }
        return try await ask(table, token: token, avoiding: nil, until: deadline)
    }

    /// Takes in what a refusal says of one partition; the whole route is asked for anew when that is not enough.
    ///
    /// - Returns: whether it said something new.
    func mend(_ table: String, with json: JSONValue?) -> Bool {
        guard var route = routes[table], let json, let newer = PartitionRoute(json, layout: route.layout),
            route.mend(with: newer)
        else {
            routes[table] = nil
            return false
        }
        routes[table] = route
        return true
    }

    func forget(_ table: String) { routes[table] = nil }

    /// Asks somebody else than `gateway`. The old route serves until somebody knows a newer one.
    func refresh(_ table: String, token: String, avoiding gateway: String, until deadline: Instant) async {
        _ = try? await ask(table, token: token, avoiding: gateway, until: deadline)
    }

    /// Some gateway, when no route can be had: it will refuse what is not its own, and say whose it is.
    func anyGateway(until deadline: Instant) async throws(ClientError) -> String {
        try await learnGateways(until: deadline)
        guard let one = gateways.shuffled(using: &random).first else { throw .unreachable("no gateway is known") }
        return one
    }

    // MARK: - Asking

    private func ask(
        _ table: String, token: String, avoiding gateway: String?, until deadline: Instant
    ) async throws(ClientError) -> TableRoute {
        try await questions.ask(table, until: deadline) { [self] () async throws(ClientError) in
            try await fetch(table, token: token, avoiding: gateway, until: deadline)
        }
    }

    private func fetch(
        _ table: String, token: String, avoiding gateway: String?, until deadline: Instant
    ) async throws(ClientError) -> TableRoute {
        try await learnGateways(until: deadline)
        var failure = ClientError.unreachable("no gateway is known")
        for candidate in gateways.shuffled(using: &random) where candidate != gateway {
            let left = clock.left(until: deadline)
            guard left > 0 else { throw failure }
            let answer: HTTPCalls.Answer
            do throws(HTTPCalls.Failure) {
                answer = try await calls.call(
                    .get, "https://\(candidate)/v1/tables/\(table)/routes", headers: [("authorization", "Bearer \(token)")],
                    milliseconds: min(left, Self.patience.of))
            } catch {
                // Who had less time than that is not silent yet.
                if left >= Self.patience.of { gateways.failed(candidate) }
                failure = .unreachable("\(candidate): \(error)")
                continue
            }
            gateways.answered(candidate)
            if answer.status == 200, let body = answer.body { return adopt(try TableRoute(body), of: table) }
            let problem = Problem(status: answer.status, body: answer.body)
            failure = problem.isRetryable ? .unreachable(problem.detail) : .refused(problem)
        }
        if case .unreachable = failure { await renewGateways(until: deadline) }
        throw failure
    }

    private func adopt(_ route: TableRoute, of table: String) -> TableRoute {
        routes[table] = route
        gateways.add(route.partitions.flatMap(\.replicas))
        return route
    }

    private func learnGateways(until deadline: Instant) async throws(ClientError) {
        guard gateways.isEmpty else { return }
        // Whoever named agents expects them to be nearer than the coordinators.
        gateways.replace(by: await gatewaysOfAgents(until: deadline))
        if gateways.isEmpty { gateways.replace(by: try await gatewaysOfCoordinators(until: deadline)) }
    }

    /// After nobody of those that are known has answered.
    private func renewGateways(until deadline: Instant) async {
        var fresh = await gatewaysOfAgents(until: deadline)
        if let known = try? await gatewaysOfCoordinators(until: deadline) { fresh += known.filter { !fresh.contains($0) } }
        if !fresh.isEmpty { gateways.replace(by: fresh) }
    }

    private func gatewaysOfCoordinators(until deadline: Instant) async throws(ClientError) -> [String] {
        try await control.gateways(of: clusterID, milliseconds: min(clock.left(until: deadline), Self.patience.ofCoordinators))
    }

    private func gatewaysOfAgents(until deadline: Instant) async -> [String] {
        var found: [String] = []
        for agent in agents {
            let left = clock.left(until: deadline)
            guard left > 0 else { break }
            let answer = try? await calls.call(.get, agent + "/status", milliseconds: min(left, Self.patience.of))
            if let gateway = answer?.body?["identity"]?["gateway"]?.string { found.append(gateway) }
        }
        return found
    }
}
