// What a seed is a seed of, and which bugs can be planted in it.

import ClusterSimulation
import RaftSimulation

enum Subject: Hashable, Sendable {
    /// A coordinators' Raft group.
    case group
    /// A whole cluster: coordinators, agents, clients.
    case cluster
    /// The replicas of one partition, in the hunt for mutants alone: the tests of replication run its seeds.
    case partition

    /// What `make sim` runs.
    static let campaign: [Subject] = [.group, .cluster]

    /// What says so on the command line.
    var arguments: [String] {
        switch self {
        case .group: []
        case .cluster: ["--cluster"]
        case .partition: ["--partition"]
        }
    }
    /// How a person asks for one seed again.
    func command(for seed: UInt64) -> String { "make sim \(self == .cluster ? "CLUSTER=1 " : "")SEED=\(seed)" }
}

/// One planted bug, in whichever of them.
enum Bug: Hashable, Sendable, CustomStringConvertible {
    case group(PlantedBug)
    case cluster(ClusterBug)

    static var all: [Bug] { PlantedBug.all.map(Bug.group) + ClusterBug.all.map(Bug.cluster) }

    /// Where seeds must notice it, the cheapest first.
    var subjects: [Subject] {
        switch self {
        case .group: [.group]
        case .cluster(.shell): [.cluster]
        case .cluster(.rule): [.partition, .cluster]
        }
    }

    var description: String {
        switch self {
        case .group(let bug): bug.description
        case .cluster(let bug): bug.description
        }
    }

    init?(_ text: String) {
        guard let bug = Self.all.first(where: { $0.description == text }) else { return nil }
        self = bug
    }
}
