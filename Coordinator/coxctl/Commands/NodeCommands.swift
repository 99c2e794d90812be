import ArgumentParser
import Client
import Launching
import Model

struct Node: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Database nodes and their agents.",
        subcommands: [
            NodeList.self, NodeInit.self, NodeWait.self,
            NodeDrain.self, NodeUndrain.self, NodeDecommission.self, NodeOrphans.self,
            NodeRemoveOrphan.self, JoinToken.self,
        ])
}

struct NodeList: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "The nodes, their zones and their load.",
        discussion: """
            ST: U up, S suspected, F failed, - not started yet or out for good; then N normal, J joining, D draining, R drained, \
            - out for good.
            """)
    @OptionGroup var global: GlobalOptions

    static let columns: [TextTable.Column] = [
        .init("ST", of: state), .init("NODE", "node_id"), .init("ZONE", "zone"), .init("STATUS", "status"),
        .init("GOSSIP", "gossip.status"),
        .init("ACCUSED BY", "gossip.accusers"), .init("ENDPOINT", "endpoint"),
        .init("PARTITIONS", "partitions_owned"), .init("OPS/S", "metrics.ops_per_sec"),
        .init("LAG ms", "metrics.replication_lag_ms"), .init("DISK %", "metrics.disk_pct"),
    ]

    /// Two letters: whether it is up, and what it is there for.
    static func state(of node: JSONValue) -> String {
        let status = node["status"]?.string?.uppercased()
        let isSuspected = ["suspect", "dead"].contains(node["gossip"]?["status"]?.string)
        switch status {
        case "DECOMMISSIONED"?: return "--"
        case "JOINING"?: return "-J"
        default: break
        }
        let life = status == "FAILED" ? "F" : status == "SUSPECTED" || isSuspected ? "S" : "U"
        switch node["drain"]?.string {
        case "DRAINED"?: return life + "R"
        case "DRAINING"?: return life + "D"
        default: return life + "N"
        }
    }

    func act(_ session: Session) async throws {
        let answer = try await session.ask(.get, "/clusters/\(ControlClient.encode(session.context.clusterID))/nodes")
        session.show(answer.body, Self.columns)
    }
}

struct NodeDecommission: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "decommission", abstract: "Move everything away from a node, and take it out of the cluster for good.",
        discussion: """
            Its replicas are moved to others, a few at a time, under live writes; those of a node that is lost are made anew. Once it holds \
            nothing it is taken out: no agent joins under its name again, and there is no way back. Until then `coxctl node undrain` \
            keeps it. Ctrl-C, or --no-wait, leaves it draining; give the command again to go on.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The node's name.") var name: String
    @Flag(inversion: .prefixedNo, help: "Wait until it holds nothing, and take it out then.") var wait = true
    @Option(help: "Seconds to wait for that. Exit code 7 if they are over; it goes on draining.") var waitSeconds = 3_600
    @Flag(help: "Only say what would be done.") var dryRun = false

    func validate() throws { try Seconds.check(waitSeconds, "--wait-seconds") }

    func act(_ session: Session) async throws {
        let request = DrainRequest(session: session, verb: "decommission", name: name)
        let plan = try await request.ask(isRehearsal: true)
        if dryRun { return show(plan, in: session, would: true) }
        try session.confirm(Self.question(name, plan), typing: name)
        var answer = try await request.ask()
        while wait, !Self.isOver(answer) {
            _ = try await request.follow(answer, seconds: waitSeconds, isOver: Self.isOver, standing: Self.standing)
            answer = try await request.ask()
        }
        show(answer, in: session)
    }

    private func show(_ answer: JSONValue, in session: Session, would: Bool = false) {
        switch session.options.output {
        case .json: print(answer.prettyText)
        case .table: print(would ? Self.question(name, answer) : Self.standing(name, answer))
        }
    }

    private static func isOver(_ answer: JSONValue) -> Bool { answer["status"]?.string == "DECOMMISSIONED" }

    static func standing(_ name: String, _ answer: JSONValue) -> String {
        isOver(answer)
            ? "\(name) is decommissioned"
            : "\(name) is draining: \(answer["replicas_left"]?.plain ?? "some") replicas are left"
                + DrainRequest.obstacle(answer)
    }

    /// What is about to be done.
    static func question(_ name: String, _ plan: JSONValue) -> String {
        isOver(plan)
            ? "\(name) holds nothing that counts. It will be taken out of the cluster for good."
            : """
            \(plan["replicas_left"]?.plain ?? "Some") replicas will be moved away from \(name), and then it will be taken out of the cluster \
            for good.
            """
    }
}

struct NodeOrphans: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "orphans", abstract: "Copies on nodes' disks that nobody wants, and what becomes of them.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        session.show(
            try await session.ask(.get, "/orphans").body,
            [
                .init("NODE", "node"), .init("PARTITION", "partition"), .init("STORAGE", "storage"), .init("EPOCH", "epoch"),
                .init("STANDING", "standing"), .init("SEEN FOR s", "seen_for_seconds"), .init("FATE", "fate"),
            ])
    }
}

struct NodeRemoveOrphan: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove-orphan", abstract: "Remove a copy that `node orphans` shows.",
        discussion: """
            Copies of which the catalog knows that they are over go by themselves. One that it has never known of may be all that is \
            left of something that the coordinators have lost: look at it first. Its data is gone after this.
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var waiting: WaitOptions
    @Argument(help: "The node that holds it.") var node: String
    @Argument(help: "The partition's id.") var partition: String

    func act(_ session: Session) async throws {
        try session.confirm("The copy of partition \(partition) on \(node) will be removed from its disk.")
        let answer = try await session.ask(
            .post, "/orphans:remove", body: .object(["node": .string(node), "partition": .string(partition)]))
        try await waiting.follow(answer, in: session, done: "the copy of partition \(partition) on \(node) is removed")
    }
}

struct NodeInit: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make the folder with which a new node's agent starts.",
        discussion: """
            Asks the coordinators for a join token, good for a node of this name in this zone, once and within the hour, and writes
            DIR/agent.json and DIR/join.token. Copy the folder to the node and start it there: coxswain-agent --config agent.json. The
            agent makes its own key. A node that is running is replaced in the same way, under its name.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The node's name.") var name: String
    @Option(help: "Its zone.") var zone: String
    @Option(help: "The address under which clients and other agents reach it.") var host: String
    @Option(help: "The folder to write.") var dir: String
    @Option(help: "The port for clients.") var gateway: UInt16 = 7_441
    @Option(help: "The port for other agents.") var link: UInt16 = 7_451
    @Option(help: "The port for gossip.") var gossip: UInt16 = 7_461
    @Option(help: "The status endpoint's port, on loopback.") var status: UInt16 = 7_471

    func act(_ session: Session) async throws {
        var spec = AgentSpec(node: try NodeID(name), zone: try ZoneName(zone), host: host)
        (spec.gateway, spec.link, spec.gossip, spec.status) = (Int(gateway), Int(link), Int(gossip), Int(status))
        let answer = try await session.ask(
            .post, "/nodes/join-tokens",
            body: .object([
                "ttl_seconds": .number(3_600), "uses": .number(1), "zone": .string(zone), "node_id": .string(name),
            ]))
        guard let token = answer.body["token"]?.string, let pin = answer.body["authority_pin"]?.string else {
            throw ClientError.unexpectedAnswer("a join token without its parts")
        }
        try AgentFiles(spec, coordinators: session.context.endpoints, token: token, pin: pin).write(to: dir)
        print("node \(name): \(dir)/agent.json, \(dir)/join.token")
    }
}

struct NodeWait: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until nodes have joined and are healthy. Exit code 7 if they are not in time.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The nodes' names.") var names: [String]
    @Option(help: "Seconds to wait for them.") var waitSeconds: Int = 60

    func validate() throws { try Seconds.check(waitSeconds, "--wait-seconds") }

    func act(_ session: Session) async throws {
        let path = "/clusters/\(ControlClient.encode(session.context.clusterID))/nodes"
        let deadline = ContinuousClock.now + .seconds(waitSeconds)
        while true {
            let nodes = try await session.ask(.get, path).body.array ?? []
            let healthy = Set(nodes.filter { $0["status"]?.string == "HEALTHY" }.compactMap { $0["node_id"]?.string })
            let missing = names.filter { !healthy.contains($0) }
            if missing.isEmpty { break }
            guard ContinuousClock.now < deadline else {
                throw CommandFailure(status: .waitTimedOut, message: "not healthy: \(missing.joined(separator: " "))")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        print("\(names.joined(separator: " ")): healthy")
    }
}

struct JoinToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join-token", abstract: "Tokens with which nodes join.", subcommands: [JoinTokenCreate.self])
}

struct JoinTokenCreate: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a token; it is printed once and kept only as a digest.")
    @OptionGroup var global: GlobalOptions
    @Option(help: "Seconds until it expires.") var ttl: Int = 3_600
    @Option(help: "How many nodes may join with it.") var uses: Int = 1
    @Option(help: "The only zone in which it is good.") var zone: String?
    @Option(help: "The only node whose name it is good for; needed to replace a node that is running.") var node: String?

    func act(_ session: Session) async throws {
        var body: [String: JSONValue] = ["ttl_seconds": .number(ttl), "uses": .number(uses)]
        if let zone { body["zone"] = .string(zone) }
        if let node { body["node_id"] = .string(node) }
        let answer = try await session.ask(.post, "/nodes/join-tokens", body: .object(body))
        guard session.options.output == .table, let token = answer.body["token"]?.string else {
            print(answer.body.prettyText)
            return
        }
        print(token)
    }
}
