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
    private var asking: [String: Task<Result<TableRoute, ClientError>, Never>] = [:]
    private var random = SystemRandomNumberGenerator()

    /// - Parameter seeds: gateways as `host:port`, and status endpoints of agents as `http://host:port`.
    init(calls: HTTPCalls, control: ControlClient, clusterID: String, seeds: [String]) {
        self.calls = calls
        self.control = control
        self.clusterID = clusterID
        agents = seeds.filter { $0.hasPrefix("http://") }
        gateways = KnownGateways(seeds.filter { !$0.hasPrefix("http://") })
    }

    /// The table's route: the known one, or a new one.
    func route(of table: String, token: String) async throws(ClientError) -> TableRoute {
        if let known = routes[table] { return known }
        return try await ask(table, token: token, avoiding: nil)
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
    func refresh(_ table: String, token: String, avoiding gateway: String) async {
        _ = try? await ask(table, token: token, avoiding: gateway)
    }

    /// Some gateway, when no route can be had: it will refuse what is not its own, and say whose it is.
    func anyGateway() async throws(ClientError) -> String {
        try await learnGateways()
        guard let one = gateways.shuffled(using: &random).first else { throw .unreachable("no gateway is known") }
        return one
    }

    // MARK: - Asking

    private func ask(_ table: String, token: String, avoiding gateway: String?) async throws(ClientError) -> TableRoute {
        if let question = asking[table] { return try await question.value.get() }
        let question = Task { () async -> Result<TableRoute, ClientError> in
            do throws(ClientError) { return .success(try await fetch(table, token: token, avoiding: gateway)) } catch {
                return .failure(error)
            }
        }
        asking[table] = question
        let answer = await question.value
        asking[table] = nil
        let route = try answer.get()
        routes[table] = route
        return route
    }

    private func fetch(_ table: String, token: String, avoiding gateway: String?) async throws(ClientError) -> TableRoute {
        try await learnGateways()
        var failure = ClientError.unreachable("no gateway is known")
        for candidate in gateways.shuffled(using: &random) where candidate != gateway {
            let answer: HTTPCalls.Answer
            do throws(HTTPCalls.Failure) {
                answer = try await calls.call(
                    .get, "https://\(candidate)/v1/tables/\(table)/routes", headers: [("authorization", "Bearer \(token)")],
                    milliseconds: 1_000)
            } catch {
                gateways.failed(candidate)
                failure = .unreachable("\(candidate): \(error)")
                continue
            }
            gateways.answered(candidate)
            if answer.status == 200, let body = answer.body { return adopt(try TableRoute(body)) }
            let problem = Problem(status: answer.status, body: answer.body)
            failure = problem.isRetryable ? .unreachable(problem.detail) : .refused(problem)
        }
        if case .unreachable = failure { await renewGateways() }
        throw failure
    }

    private func adopt(_ route: TableRoute) -> TableRoute {
        gateways.add(route.partitions.flatMap(\.replicas))
        return route
    }

    private func learnGateways() async throws(ClientError) {
        guard gateways.isEmpty else { return }
        // Whoever named agents expects them to be nearer than the coordinators.
        gateways.replace(by: await gatewaysOfAgents())
        if gateways.isEmpty { gateways.replace(by: try await control.gateways(of: clusterID)) }
    }

    /// After nobody of those that are known has answered.
    private func renewGateways() async {
        var fresh = await gatewaysOfAgents()
        if let known = try? await control.gateways(of: clusterID) { fresh += known.filter { !fresh.contains($0) } }
        if !fresh.isEmpty { gateways.replace(by: fresh) }
    }

    private func gatewaysOfAgents() async -> [String] {
        var found: [String] = []
        for agent in agents {
            let answer = try? await calls.call(.get, agent + "/status", milliseconds: 1_000)
            if let gateway = answer?.body?["identity"]?["gateway"]?.string { found.append(gateway) }
        }
        return found
    }
}
