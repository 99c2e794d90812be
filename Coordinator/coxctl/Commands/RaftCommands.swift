// `coxctl raft`: who belongs to the coordinator group, and who leads it.

import ArgumentParser
import Client
import Identity
import Launching
import Model
import Settings

struct RaftGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "raft", abstract: "The coordinator group: its members and its leader.",
        subcommands: [
            RaftStatus.self, RaftAdd.self, RaftPromote.self, RaftDemote.self, RaftRemove.self, RaftTransfer.self,
        ])
}

struct RaftStatus: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "The group's members, as the leader sees them. Exit code 9 when nobody leads.")
    @OptionGroup var global: GlobalOptions

    func act(_ session: Session) async throws {
        let group = try await session.group()
        session.show(group)
        guard group.leader != nil else { throw CommandFailure(status: .noLeader, message: "nobody leads") }
    }
}

struct RaftAdd: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Declare a new coordinator, and make the folder with which it starts.",
        discussion: """
            Writes into DIR the configuration, a certificate and the keys, and tells the group to expect it. Copy the folder to its \
            machine and start it there: coxswain-coordinator --config coordinator.json. It becomes a learner by itself; when it has \
            caught up, let it vote: coxctl raft promote NODE. Needs the cluster's authority.key.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The new coordinator's name.") var node: String
    @Option(help: "Its zone.") var zone: String
    @Option(help: "The address under which others reach it.") var host: String
    @Option(help: "The folder to write.") var dir: String
    @Option(help: "The folder with authority.crt, authority.key and gossip.key; beside the context, if not given.")
    var authorityDir: String?
    @Option(help: "The port of its API.") var api: UInt16 = 7_401
    @Option(help: "The port for links.") var link: UInt16 = 7_411
    @Option(help: "The port for gossip.") var gossip: UInt16 = 7_421
    @Option(help: "The port for metrics.") var metrics: UInt16 = 7_431
    @Flag(inversion: .prefixedNo, help: "Whether to wait until it has become a learner.") var wait = false

    func act(_ session: Session) async throws {
        var spec = CoordinatorSpec(node: try NodeID(node), zone: try ZoneName(zone), host: host)
        (spec.api, spec.link, spec.gossip, spec.metrics) = (Int(api), Int(link), Int(gossip), Int(metrics))
        let path = try global.contextPath()
        let beside = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let others = try await session.group().members.filter { $0.role != "declared" }.map { try $0.file }
        let files: CoordinatorFiles
        do {
            files = try CoordinatorFiles(
                spec, cluster: .init(name: session.context.cluster, id: session.context.clusterID), others: others,
                authorityIn: authorityDir ?? beside)
            try files.write(to: dir)
        } catch let error as IdentityError { throw CommandFailure(status: .failure, message: "error: \(error)") }
        let member = files.member
        let answer = try await session.ask(
            .post, "/raft/members",
            body: .object([
                "node_id": .string(member.nodeID), "zone": .string(member.zone), "api": .string(member.api),
                "link": .string(member.link), "gossip": .string(member.gossip),
            ]))
        guard wait else {
            if session.options.output == .json { return print(answer.body.prettyText) }
            print("coordinator \(node): \(dir)/coordinator.json")
            return say("Next: copy the folder to \(host), start it, then: coxctl raft promote \(node)")
        }
        try await session.waitForGroup("\(node) is no learner yet; see: coxctl raft status") { group in
            group.members.contains { $0.node == node && ["learner", "voter"].contains($0.role) }
        }
    }
}

struct RaftPromote: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote", abstract: "Let a learner vote, as soon as it has caught up.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The learner's node.") var node: String
    @Flag(inversion: .prefixedNo, help: "Whether to wait until it votes.") var wait = true

    func act(_ session: Session) async throws {
        try await session.make(node, "voter", by: "promote", waiting: wait, else: "\(node) does not vote yet")
    }
}

struct RaftDemote: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "demote", abstract: "Make a learner of a voter: it keeps receiving, and counts for nothing.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The voter's node.") var node: String
    @Flag(inversion: .prefixedNo, help: "Whether to wait until it votes no more.") var wait = true

    func act(_ session: Session) async throws {
        try await session.make(node, "learner", by: "demote", waiting: wait, else: "\(node) votes still")
    }
}

extension Session {
    /// Gives a member another role in the group: `promote` and `demote` are one order, with a help text each.
    fileprivate func make(
        _ node: String, _ role: String, by action: String, waiting: Bool, else failure: String
    ) async throws {
        try await steer(.post, "/raft/members/\(ControlClient.encode(node)):\(action)", wait: waiting)
        guard waiting else { return }
        try await waitForGroup("\(failure); see: coxctl raft status") { group in
            group.isSettled && group.members.contains { $0.node == node && $0.role == role }
        }
    }
}

struct RaftRemove: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take a coordinator out of the group, for good.",
        discussion: "Stop its process afterwards. Its data folder is of no use to the group any more.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The coordinator's node.") var node: String
    @Flag(inversion: .prefixedNo, help: "Whether to wait until it is gone.") var wait = true

    func act(_ session: Session) async throws {
        let group = try await session.group()
        let voters = group.members.filter { $0.role == "voter" }
        let left = voters.filter { $0.node != node }.count
        let tolerates = "after it the group has \(left) voters and tolerates the loss of \(max(0, (left - 1) / 2))"
        try session.confirm("remove coordinator \(node)? \(tolerates)")
        try await session.steer(.delete, "/raft/members/\(ControlClient.encode(node))", wait: wait)
        guard wait else { return }
        try await session.waitForGroup("\(node) is a member still; see: coxctl raft status") { group in
            group.isSettled && !group.members.contains { $0.node == node }
        }
    }
}

struct RaftTransfer: ClusterCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfer", abstract: "Let another member lead: the one named, or the one that holds most of the log.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The node that is to lead.") var to: String?
    @Flag(inversion: .prefixedNo, help: "Whether to wait until it leads.") var wait = true

    func act(_ session: Session) async throws {
        let before = try await session.group().leader
        try await session.steer(
            .post, "/raft:transfer", body: .object(to.map { ["to": .string($0)] } ?? [:]), wait: wait)
        guard wait else { return }
        try await session.waitForGroup("\(to ?? "another member") does not lead yet; see: coxctl raft status") { group in
            guard let leader = group.leader else { return false }
            return to.map { $0 == leader } ?? (leader != before || group.members.filter { $0.role == "voter" }.count == 1)
        }
    }
}
