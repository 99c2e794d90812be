import Client
import Model
import Settings

/// The coordinator group as one of its members sees it.
struct GroupView {
    struct Member {
        let node: String
        /// `voter`, `learner`, `outgoing`; `declared` for one that has not come yet.
        let role: String
        private let document: JSONValue

        init?(_ document: JSONValue) {
            guard let node = document["node_id"]?.string, let role = document["role"]?.string else { return nil }
            (self.node, self.role, self.document) = (node, role, document)
        }

        /// As a settings file names it.
        /// - Throws: when the group does not know where it is reached.
        var file: CoordinatorFile.Member {
            get throws {
                guard let zone = document["zone"]?.string, let api = document["api"]?.string,
                    let link = document["link"]?.string,
                    let gossip = document["gossip"]?.string
                else { throw ClientError.unexpectedAnswer("coordinator \(node) without its addresses") }
                return CoordinatorFile.Member(nodeID: node, zone: zone, api: api, link: link, gossip: gossip)
            }
        }
    }

    let document: JSONValue
    let members: [Member]

    init(_ document: JSONValue) {
        self.document = document
        members = (document["members"]?.array ?? []).compactMap { Member($0) }
    }

    var leader: String? { document["leader"]?.string }
    /// Where the leader's API is.
    var leaderEndpoint: String? { document["leader_api"]?.string.map { "https://\($0)" } }
    /// Whether no change of members is under way.
    var isSettled: Bool { document["change_under_way"]?.isTrue == false }

    /// One line of what is, and one for each member.
    var text: String {
        func field(_ name: String) -> String { document[name]?.plain ?? "-" }
        let head =
            "RAFT leader=\(field("leader")) term=\(field("term")) commit=\(field("commit")) tolerance=\(field("tolerance"))"
            + (isSettled ? "" : "  change under way")
        let table = TextTable(
            columns: [
                .init("MEMBER", "member"), .init("ROLE", "role"), .init("LEADS", "leads"), .init("ZONE", "zone"),
                .init("CONNECTED", "connected"), .init("MATCH", "match"), .init("BEHIND", "behind"), .init("API", "api"),
            ], rows: document["members"]?.array ?? [])
        return head + "\n" + table.text
    }
}

extension Session {
    /// The group as its leader sees it; as any member does where no leader answers.
    func group() async throws -> GroupView {
        let any = GroupView(try await ask(.get, "/raft/members").body)
        guard let leader = any.leaderEndpoint, any.document["role"]?.string != "leader" else { return any }
        let client = ControlClient(endpoints: [leader], calls: calls, token: context.token)
        guard let answer = try? await client.call(.get, "/raft/members", milliseconds: 2_000) else { return any }
        return GroupView(answer.body)
    }

    func show(_ group: GroupView) {
        switch options.output {
        case .json: print(group.document.prettyText)
        case .table: print(group.text)
        }
    }

    /// Gives the leader an order.
    ///
    /// - Parameter wait: whether to ask again, until the time is up, where the answer was "not now".
    func steer(_ method: HTTPCalls.Method, _ path: String, body: JSONValue? = nil, wait: Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(options.timeout)
        var headers: [(String, String)] = []
        if let reason = options.reason { headers.append(("x-reason", reason)) }
        while true {
            do throws(ClientError) {
                guard let leader = try await found().leaderEndpoint else {
                    throw .refused(
                        Problem(status: 503, body: .object(["code": .string("NO_LEADER"), "detail": .string("nobody leads")])))
                }
                let client = ControlClient(endpoints: [leader], calls: calls, token: context.token)
                _ = try await client.call(method, path, body: body, headers: headers, milliseconds: 2_000)
                return
            } catch {
                let mayPass: Bool
                switch error {
                case .refused(let problem): mayPass = problem.isRetryable
                case .unreachable, .outcomeUnknown: mayPass = true
                case .invalid, .unexpectedAnswer: mayPass = false
                }
                guard mayPass, wait || !Self.isRefusal(error), ContinuousClock.now < deadline else { throw error }
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private static func isRefusal(_ error: ClientError) -> Bool {
        if case .refused(let problem) = error { problem.status == 409 } else { false }
    }

    private func found() async throws(ClientError) -> GroupView {
        GroupView(try await control.call(.get, "/raft/members", milliseconds: Int64(max(1, options.timeout)) * 1_000).body)
    }

    /// Waits until the group is as `condition` says, and shows it.
    /// - Throws: `waitTimedOut` with `otherwise`; what was begun goes on.
    func waitForGroup(_ otherwise: String, _ condition: (GroupView) -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(options.timeout)
        while true {
            // Between two leaders nobody answers for the group; that passes.
            if let group = try? await group(), condition(group) { return show(group) }
            guard ContinuousClock.now < deadline else { throw CommandFailure(status: .waitTimedOut, message: otherwise) }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
