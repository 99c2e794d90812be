// What only the simulation knows: which stores have lost what they held, and which configurations are about. From it follow what may
// still be destroyed, and which change an operator in his senses would order.

package import Consensus
import Model

package struct GroupOptions: Sendable {
    package var members: Int
    /// Hosts with an empty disk, which ask to be taken in.
    package var spares: Int
    package var hosts: Int { members + spares }
    package var settings: RaftSettings
    /// Entries after which a member takes a snapshot.
    package var snapshotEvery: UInt64
    package var clients: Int
    package var mutant: ShellMutant?

    /// What a seed chooses.
    package init(seed: UInt64) {
        var random = SeededGenerator(seed: seed ^ 0x0971_0175)
        members = [1, 3, 3, 3, 5, 5][Int(random.next() % 6)]
        spares = [0, 0, 1, 2][Int(random.next() % 4)]
        snapshotEvery = [8, 30, 120, 1_000][Int(random.next() % 4)]
        clients = 1 + Int(random.next() % 6)
        settings = RaftSettings(
            electionTimeout: .milliseconds(200 + Int64(random.next() % 500)), heartbeatInterval: .milliseconds(60),
            inFlightMessages: 1 + Int(random.next() % 16), inFlightBytes: 4_000, appendBytes: 100 + Int(random.next() % 2_000),
            uncommittedBytes: 20_000, commandBytes: 1_000, snapshotChunkBytes: 64 + Int(random.next() % 500),
            snapshotBytes: 1 << 20, trailingEntries: random.next() % 20, waitingReads: 100)
        // Not drawn, so that nothing else of a seed depends on it; and none of the seeds that once failed is among them.
        if seed % 7 == 2 { settings.commitNewsDelay = .milliseconds(3) }
    }
}

/// Shared by the processes and the checks of one run.
final class GroupLedger {
    /// Members whose disk was wiped, or holds what it was never given.
    private(set) var lost: Set<MemberID> = []
    /// Members that never come back, or hear nobody for ever.
    private(set) var abandoned: Set<MemberID> = []
    /// The newest configuration in the log of each host, running or not, and where it stands.
    private var newest: [PlacedConfiguration]
    /// The newest one that is committed: what stands before it has no say any more.
    private(set) var committed: PlacedConfiguration
    /// The member that each host runs or ran last.
    var members: [MemberID]

    struct PlacedConfiguration {
        let index: LogIndex
        let configuration: MemberConfiguration
    }

    init(_ founding: MemberConfiguration, hosts: Int) {
        committed = PlacedConfiguration(index: .zero, configuration: founding)
        newest = Array(repeating: committed, count: hosts)
        members = (0..<hosts).compactMap { try? MemberID(NodeID("m\($0)")) }
        precondition(members.count == hosts, "names of hosts are names of nodes")
    }

    static func host(of member: MemberID) -> Int? { Int(member.node.name.dropFirst()) }

    func note(_ log: RaftLog, of host: Int) {
        newest[host] = PlacedConfiguration(index: log.configurationIndex, configuration: log.configuration)
    }

    func noteCommitted(_ configuration: MemberConfiguration, at index: LogIndex) {
        committed = PlacedConfiguration(index: index, configuration: configuration)
    }

    /// The committed one and those that may follow it.
    private var configurations: [MemberConfiguration] {
        [committed.configuration] + newest.filter { $0.index > committed.index }.map(\.configuration)
    }

    /// Whether `member` has a vote in any of them.
    func mayVote(_ member: MemberID) -> Bool { configurations.contains { $0.hasVoter(member) } }

    /// Whether every set of voters that may have a say can do without those that are lost, and `more`.
    func tolerates(losing more: MemberID? = nil) -> Bool {
        configurations.allSatisfy { halves($0).allSatisfy { tolerates($0, losing: more) } }
    }

    func tolerates(_ voters: [MemberID], losing more: MemberID? = nil) -> Bool {
        let gone = voters.count { lost.contains($0) || abandoned.contains($0) || $0 == more }
        return gone == 0 || gone <= (voters.count - 1) / 2
    }

    /// Whether a quorum of each half of every configuration is among `present`.
    func suffices(_ present: Set<MemberID>) -> Bool { configurations.allSatisfy { $0.isQuorum(present.subtracting(lost)) } }

    func lose(_ member: MemberID) { lost.insert(member) }

    /// From here on nobody but these hosts can be counted on.
    func keepOnly(_ core: [Int]) {
        abandoned = Set(members.indices.filter { !core.contains($0) }.map { members[$0] })
    }

    private func halves(_ configuration: MemberConfiguration) -> [[MemberID]] {
        configuration.isJoint ? [configuration.voters, configuration.outgoing] : [configuration.voters]
    }
}
