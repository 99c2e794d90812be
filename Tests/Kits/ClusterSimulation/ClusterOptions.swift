// What a seed chooses of a cluster: how large it is, where its machines stand, and how its processes are set.

import AgentCore
import Consensus
import CoordinatorCore
package import Model
import Movement
import Planning
import Replication

package struct ClusterOptions: Sendable {
    package let coordinators = 3
    package var agents: Int
    /// Coordinators that belong to no group before an operator has them taken in.
    package var spares = 0
    package var hosts: Int { coordinators + agents + spares }
    package var zones: Int
    package var copies: Int
    package var clients: Int
    package var splitKeys: [Key]
    var raft: RaftSettings
    var coordinator: CoordinatorSettings
    var agent = AgentSettings()
    package var mutant: ClusterMutant?
    /// Agents note what they do for operations.
    var isWatched = false
    /// How long an engine takes to put a snapshot in the place of its rows.
    var importTime = Span.milliseconds(20)
    /// After so many bytes the log goes on in another file, and so often those that nobody needs are dropped.
    var segmentBytes: Int
    var truncation: Span
    /// How long writes under keys are remembered.
    var writeKeyAge: Span
    /// Coordinators lose their disks, one at a time.
    var losesDisks = true
    /// When all has come to rest, one agent goes, and never comes back.
    var sparesAgent = false
    /// Clients write without keys, and give up what is not answered.
    var isPlain = false
    /// Every snapshot comes with a row that its sender does not have.
    var spoilsSnapshots = false
    /// A host's disk holds a copy from elsewhere, of which nobody knows.
    var hasOrphan = false
    /// Clients show tokens and gossip is sealed, and the keys of both are exchanged.
    var exchangesKeys = false
    static let orphanHost = 5

    /// How many registers clients use.
    static let keys = 24
    static func key(_ index: Int) -> Key { Key([UInt8(index * 10)]) }
    /// What a wall clock shows that is right.
    static func wall(at now: LogicalInstant) -> WallTime { WallTime(milliseconds: 1_000_000 + now.microseconds / 1_000) }

    package init(seed: UInt64) {
        var random = SeededGenerator(seed: seed ^ 0xC105_7E12)
        agents = 4 + Int(random.next() % 3)
        zones = 1 + Int(random.next() % 3)
        copies = [3, 3, 3, 2][Int(random.next() % 4)]
        clients = 3 + Int(random.next() % 6)
        splitKeys = [[], [Key([80])], [Key([60]), Key([150])]][Int(random.next() % 3)]
        raft = RaftSettings(
            electionTimeout: .milliseconds(300 + Int64(random.next() % 400)), heartbeatInterval: .milliseconds(80),
            trailingEntries: random.next() % 40)
        coordinator = CoordinatorSettings(
            repairs: RepairLimits(delay: .seconds(2 + Int64(random.next() % 6))),
            leadershipDelay: .seconds(2 + Int64(random.next() % 8)),
            snapshotEntries: [15, 60, 400][Int(random.next() % 3)])
        // So that what the log has forgotten is copied, and not only replayed.
        agent.replication.historyBytes = 1 << (8 + Int(random.next() % 8))
        agent.replication.replayedEntries = random.next() % 64
        segmentBytes = [1_024, 2_048, 8_192][Int(random.next() % 3)]
        truncation = .milliseconds(200 + Int64(random.next() % 1_000))
        // So that learners need more than is kept for them, and writers meet a log that has no room.
        agent.replication.learnerBytes = agent.replication.historyBytes << (2 * Int(random.next() % 4))
        importTime = [.milliseconds(20), .milliseconds(20), .milliseconds(400)][Int(random.next() % 3)]
        if random.next() % 2 == 0 { agent.replication.pendingBytes = 2_048 }
        // So that some are asked for again when they are forgotten.
        writeKeyAge = [.seconds(2), .seconds(4), .seconds(10)][Int(random.next() % 3)]
    }

    /// - Precondition: no rule's mutant, or a build with the condition MUTANTS.
    mutating func plant(_ bug: ClusterBug?) {
        switch bug {
        case .shell(let mutant)?:
            self.mutant = mutant
            if mutant == .neverRepairs { coordinator.repairs.delay = .seconds(3_600) }
        case .rule(let mutant)?:
            #if MUTANTS
                agent.mutant = mutant
                agent.replication.mutant = mutant
                agent.leases.mutant = mutant
                agent.movement.mutant = mutant
                coordinator.mutant = mutant
            #else
                preconditionFailure("\(mutant) needs a build with MUTANTS")
            #endif
        case nil: break
        }
    }
}

/// Who is where: the founding coordinators are the first hosts, the agents those behind them, and the spare coordinators the last.
struct ClusterPlaces: Sendable {
    /// Those who found the group.
    let members: [MemberID]
    let agents: [NodeID]
    private let spares: [MemberID]
    let zones: [ZoneName]

    init(_ options: ClusterOptions) throws(InvalidValue) {
        var members: [MemberID] = []
        var agents: [NodeID] = []
        var zones: [ZoneName] = []
        for index in 0..<options.coordinators { members.append(MemberID(try NodeID("c\(index)"))) }
        for index in 0..<options.agents { agents.append(try NodeID("n\(index + options.coordinators)")) }
        var spares: [MemberID] = []
        for host in options.coordinators + options.agents..<options.hosts {
            spares.append(MemberID(try NodeID("c\(host)"), store: StoreID(UInt64(host) + 1)))
        }
        self.spares = spares
        for index in 0..<options.hosts { zones.append(try ZoneName("z\(index % options.zones)")) }
        (self.members, self.agents, self.zones) = (members, agents, zones)
    }

    func isCoordinator(_ host: Int) -> Bool { host < members.count || host >= members.count + agents.count }
    /// The hosts of all of them.
    var coordinators: [Int] { Array(members.indices) + spares.indices.map { members.count + agents.count + $0 } }
    /// The coordinator with the store with which it begins.
    func member(_ host: Int) -> MemberID { host < members.count ? members[host] : spares[host - members.count - agents.count] }
    func node(_ host: Int) -> NodeID { isCoordinator(host) ? member(host).node : agents[host - members.count] }
    /// The number is the host's.
    func host(of node: NodeID) -> Int? { Int(node.name.dropFirst()) }
    func store(_ host: Int) -> StoreID { StoreID(UInt64(host) + 1) }

    /// Addresses are the host's number, with the door behind it.
    func addresses(_ host: Int) -> NodeAddresses {
        NodeAddresses(gossip: "\(host):1", link: "\(host):2", service: "\(host):3")
    }
    static func host(at address: String) -> Int? { address.split(separator: ":").first.flatMap { Int($0) } }
}
