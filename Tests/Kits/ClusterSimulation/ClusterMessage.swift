// What travels in a simulated cluster: what the real processes say to one another, as values and not as bytes.

import AgentCore
import Catalog
import Consensus
import CoordinatorCore
import Membership
import Model
import Replication

enum ClusterMessage: Sendable {
    case coordinators(CoordinatorMessage, from: MemberID, to: MemberID)
    case agents(PeerMessage, from: NodeID)
    /// The key that seals it; nil where none does.
    case gossip(SwimMessage, sealedBy: GossipKeyID?)
    /// Gossip's ping over a link, and its answer.
    case linkPing(UInt64, from: NodeID)
    case linkPong(UInt64, from: NodeID)
    /// `link` names the connection on which an agent asks: answers on an older one have nobody who waits for them.
    case question(SessionQuestion, link: UInt64, from: NodeID)
    case answer(SessionAnswer, link: UInt64)
    case snapshot(SnapshotParcel)
    case snapshotEnded(UInt64, isWhole: Bool)
    case request(ClusterRequest)
    case reply(ClusterReply)
    case routesWanted
    case routes([PartitionDescriptor])
    case errand(Errand)
}

/// What an agent says in its session.
enum SessionQuestion: Sendable {
    /// It lives, and has the topology at this revision: what came after it is wanted.
    case watch(Revision)
    case register(RequestID, generation: Generation, store: StoreID)
    case propose(RequestID, PartitionProposal, SessionID)
    case confirmQuorum(UInt64)
    case deaths([FoundDeath])
    case load(NodeReport)
}

/// What a coordinator says in it.
enum SessionAnswer: Sendable {
    /// Nil when nobody is known to lead.
    case alive(leader: NodeID?)
    case registered(SessionID)
    case registrationRefused
    /// Another disk of the node has had this start.
    case preceded(Generation)
    case outcome(RequestID, PartitionProposal, ProposalOutcome)
    case quorumConfirmed(UInt64, Revision)
    case delta(TopologyDelta)
    case topology(Topology)
}

/// A snapshot for a learner, in one piece.
struct SnapshotParcel: Sendable {
    /// The sender's name for it.
    let number: UInt64
    let partition: PartitionID
    let storage: StorageID
    let epoch: Epoch
    let term: Replication.Term
    let from: NodeID
    let held: EnginePartition
    let point: LogPoint
}

struct ClusterRequest: Hashable, Sendable {
    enum Operation: Hashable, Sendable {
        /// Under a key it happens once, however often it is asked for (rule R8).
        case write(UInt64, under: IdempotencyKey?)
        case read(Reading)
    }
    /// How new the answer must be (rules R2, M9).
    enum Reading: Hashable, Sendable {
        case strong
        case bounded(within: Span)
        case eventual
    }
    let number: UInt64
    let attempt: Int
    let partition: PartitionID
    let epoch: Epoch
    let key: Int
    let operation: Operation
    /// Which key has signed the caller's token; nil where callers need none.
    var tokenKey: String?
}

struct ClusterReply: Hashable, Sendable {
    enum Outcome: Hashable, Sendable {
        case written
        case value(UInt64)
        /// Nothing was done.
        case refused
        case unknown
        /// The write's key is too old, or not of this time. Nothing was done; what an earlier request under it did is not known any more.
        case expired
    }
    let number: UInt64
    let attempt: Int
    let outcome: Outcome
}

/// What an operator asks for; whoever leads does it.
enum Errand: Hashable, Sendable {
    /// The one table, if it is not there.
    case createTable(copies: Int, splitKeys: [Key])
    case resumeAll
    case move(seed: UInt64)
    case transfer(seed: UInt64)
    case split(seed: UInt64)
    case merge(seed: UInt64)
    case drain(seed: UInt64)
    /// As the API does it: a node is drained, and once it holds nothing, asked again, gone for good.
    case decommission(seed: UInt64)
    case abdicate
    /// Declares a coordinator that belongs to no group: it is let in as a learner.
    case addCoordinator(seed: UInt64)
    case promoteCoordinator(seed: UInt64)
    case demoteCoordinator(seed: UInt64)
    case removeCoordinator(seed: UInt64)
    /// Brings to its end what was begun of those.
    case settleGroup
    /// Somebody exchanges the key that signs tokens.
    case exchangeTokenKey
    case rotateGossipKey(seed: UInt64)
    case cancelGossipRotation
    case pause(seed: UInt64)
    case cancel(seed: UInt64)
    /// This and nothing else.
    case exactly(Command)

    /// Those that a plan of faults draws. Moves and splits come more than once: they have the most steps to be disturbed in.
    static let kinds = 11
    /// Those of them that bring no copy anywhere: splits, merges, and what gets in their way.
    static let kindsInPlace = [2, 3, 9, 9, 10, 10, 4, 6, 7, 8]
    /// Those of an operator who takes nodes out.
    static let departures = [5, 11, 11, 11]
    /// Those that change the coordinators' group.
    static let groupChanges = [12, 12, 12, 13, 13, 13, 13, 14, 15, 15]
    /// Those that exchange keys.
    static let keyChanges = [16, 16, 17, 17, 18]

    init(kind: Int, seed: UInt64) {
        self =
            switch kind {
            case 0, 1: .move(seed: seed)
            case 2, 3: .split(seed: seed)
            case 4: .transfer(seed: seed)
            case 5: .drain(seed: seed)
            case 6: .abdicate
            case 9, 10: .merge(seed: seed)
            case 11: .decommission(seed: seed)
            case 12: .addCoordinator(seed: seed)
            case 13: .promoteCoordinator(seed: seed)
            case 14: .demoteCoordinator(seed: seed)
            case 15: .removeCoordinator(seed: seed)
            case 16: .exchangeTokenKey
            case 17: .rotateGossipKey(seed: seed)
            case 18: .cancelGossipRotation
            case 7: seed % 3 == 0 ? .resumeAll : .pause(seed: seed)
            default: .cancel(seed: seed)
            }
    }
}
