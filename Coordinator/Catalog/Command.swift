// What may be asked of the catalog. A command carries every choice that was made for it (placements, sessions read, times), so that
// applying it needs nothing but the state: every coordinator comes to the same result (rule C4).

package import Model

/// A change that somebody proposes to the coordinator group.
package enum Command: Hashable, Sendable {
    /// An agent's start: see `NodeRegistration`.
    case registerNode(NodeRegistration)
    /// Makes a node known before its agent has ever started, or updates what people say of it.
    case declareNode(NodeID, zone: ZoneName, host: String, instanceType: String)
    /// What an agent asks for one of its partitions, in the name of its session (rule E6).
    case partition(PartitionProposal, from: NodeID, session: SessionID)
    case createTable(TableCreation)
    case dropTable(RelationName)
    case setCapacity(RelationName, Capacity)
    case beginMove(MovePlan)
    case beginSplit(PartitionID, at: Key, expecting: Epoch)
    /// The left partition and the right one, each at the epoch that was seen. Who does not know this command finds it unreadable in the
    /// log, as the next but one.
    case beginMerge(PartitionID, expecting: Epoch, with: PartitionID, at: Epoch)
    case beginTransfer(PartitionID, to: NodeID, session: SessionID, expecting: Epoch)
    /// Ends an operation before its switch, at an operator's or a planner's wish.
    case abortOperation(OperationID, reason: String)
    /// Lets an operation stand still at its step, until it is resumed, ends or is ended.
    ///
    /// Who does not know this command and the next finds them unreadable in the log, and stops there: members are of one version before
    /// anybody pauses anything.
    case pauseOperation(OperationID)
    case resumeOperation(OperationID)
    /// Has a node remove a copy that no descriptor places there.
    case removeOrphan(OrphanRemoval)
    /// An operator's last resort: a copy outside of the in-sync set leads, and what that set alone held is given up. Who does not know
    /// this command finds it unreadable in the log, as `beginMerge`.
    case forcePromotion(ForcedPromotion)
    /// On at least two independent witnesses (rule F2). `silentZones`: in which nobody is left who could be a witness, as the leader
    /// found; named only where the witnesses stand in one zone.
    case nodeFailed(NodeID, session: SessionID, witnesses: [Witness], silentZones: [ZoneName] = [])
    /// The node answers again in the same session.
    case nodeReturned(NodeID, session: SessionID)
    /// No new replicas; planners move away what it has.
    case drain(NodeID)
    /// The node is as any other again. Who does not know this command finds it unreadable in the log, as `beginMerge`.
    case undrain(NodeID)
    /// The node is gone for good. Refused while it holds a replica that counts.
    case decommission(NodeID)
    case setPolicy(table: RelationName, principal: Principal, actions: [TableAction], effect: AccessPolicy.Effect)
    case removePolicy(table: RelationName, principal: Principal)
    case addSigningKey(SigningKey)
    case retireSigningKey(String)
    /// An operator token is about to be signed. Changes nothing: it puts into the log who gave which role to whom, before anybody
    /// can use it, and names the token so that it can be revoked.
    case grantRole(String, to: Principal, token: String, until: WallTime)
    case revokeToken(RevokedToken)
    /// All or none of the writes of one scope.
    case configure(ConfigurationScope, [ConfigurationWrite])
    case createJoinToken(JoinToken)
    /// One use of a join token by `node`; `secretDigest` is what the secret that it showed hashes to (rule S2).
    case useJoinToken(String, secretDigest: [UInt8], node: NodeID, zone: ZoneName)
    /// Somebody wants this node in the coordinator group, to be reached at these addresses. It is no member by that.
    case declareCoordinator(CoordinatorDescriptor)
    /// The node is to be no member any more, whatever store it comes with.
    case dismissCoordinator(NodeID)
    /// The node was dismissed, and no store of it is a member: where it was reached is of no use now.
    case forgetCoordinator(NodeID)
    /// What is about to be asked of Raft. Changes nothing: members and leaders are Raft's to change, and this puts into the log who
    /// wanted it, and why.
    case steerGroup(String, NodeID)
    /// The ring that stands in the members' files becomes the record; refused where there is one.
    case seedGossipKeys([GossipKey], primary: UInt8)
    /// A new key begins to take the place of all others.
    case rotateGossipKey(GossipSecret)
    /// Every live member has done this step of the key's rotation.
    case advanceGossipRotation(GossipKeyID, past: GossipRotation.Step)
    /// As long as nobody seals with the new key.
    case cancelGossipRotation(GossipKeyID)

    /// The name under which logs, metrics and the audit trail speak of it.
    package var name: String {
        switch self {
        case .registerNode: "register-node"
        case .declareNode: "declare-node"
        case .partition(let proposal, _, _): proposal.name
        case .createTable: "create-table"
        case .dropTable: "drop-table"
        case .setCapacity: "set-capacity"
        case .beginMove: "begin-move"
        case .beginSplit: "begin-split"
        case .beginMerge: "begin-merge"
        case .beginTransfer: "begin-transfer"
        case .abortOperation: "abort-operation"
        case .pauseOperation: "pause-operation"
        case .resumeOperation: "resume-operation"
        case .removeOrphan: "remove-orphan"
        case .forcePromotion: "force-promotion"
        case .nodeFailed: "node-failed"
        case .nodeReturned: "node-returned"
        case .drain: "drain-node"
        case .undrain: "undrain-node"
        case .decommission: "decommission-node"
        case .setPolicy: "set-policy"
        case .removePolicy: "remove-policy"
        case .addSigningKey: "add-signing-key"
        case .retireSigningKey: "retire-signing-key"
        case .grantRole: "grant-role"
        case .revokeToken: "revoke-token"
        case .configure: "configure"
        case .createJoinToken: "create-join-token"
        case .useJoinToken: "use-join-token"
        case .declareCoordinator: "declare-coordinator"
        case .dismissCoordinator: "dismiss-coordinator"
        case .forgetCoordinator: "forget-coordinator"
        case .steerGroup(let verb, _): "raft-\(verb)"
        case .seedGossipKeys: "seed-gossip-keys"
        case .rotateGossipKey: "rotate-gossip-key"
        case .advanceGossipRotation(_, let step): "gossip-key-past-\(step.rawValue)"
        case .cancelGossipRotation: "cancel-gossip-rotation"
        }
    }

    /// What it is about, for the audit trail.
    package var subject: String {
        switch self {
        case .registerNode(let registration): "nodes/\(registration.node)"
        case .declareNode(let node, _, _, _), .nodeFailed(let node, _, _, _), .nodeReturned(let node, _), .drain(let node),
            .undrain(let node), .decommission(let node):
            "nodes/\(node)"
        case .partition(let proposal, _, _): proposal.subject
        case .createTable(let creation): "tables/\(creation.name)"
        case .dropTable(let name), .setCapacity(let name, _): "tables/\(name)"
        case .beginMove(let plan): "partitions/\(plan.partition)"
        case .beginSplit(let id, _, _), .beginMerge(let id, _, _, _), .beginTransfer(let id, _, _, _): "partitions/\(id)"
        case .abortOperation(let id, _), .pauseOperation(let id), .resumeOperation(let id): "operations/\(id)"
        case .removeOrphan(let orphan): "nodes/\(orphan.node.node)/replicas/\(orphan.held.partition)"
        case .forcePromotion(let promotion):
            "partitions/\(promotion.partition)/primary/\(promotion.target.node)/lost/"
                + promotion.lost.map(\.name).joined(separator: ",")
        case .setPolicy(let table, let principal, _, _), .removePolicy(let table, let principal):
            "tables/\(table)/access-policies/\(principal)"
        case .addSigningKey(let key): "signing-keys/\(key.id)"
        case .retireSigningKey(let id): "signing-keys/\(id)"
        case .grantRole(let role, let principal, let token, _): "\(principal)/roles/\(role)/tokens/\(token)"
        case .revokeToken(let token): "tokens/\(token.id)"
        case .configure(let scope, _): "config/\(scope)"
        case .createJoinToken(let token): "join-tokens/\(token.id)"
        case .useJoinToken(let id, _, _, _): "join-tokens/\(id)"
        case .declareCoordinator(let coordinator): "raft/members/\(coordinator.node)"
        case .dismissCoordinator(let node), .forgetCoordinator(let node), .steerGroup(_, let node): "raft/members/\(node)"
        case .seedGossipKeys: "gossip-keys"
        case .rotateGossipKey(let secret): "gossip-keys/\(secret.id)"
        case .advanceGossipRotation(let key, _), .cancelGossipRotation(let key): "gossip-keys/\(key)"
        }
    }
}

extension PartitionProposal {
    package var name: String {
        switch self {
        case .replicaReady: "replica-ready"
        case .evict: "evict"
        case .joinInSync: "join-in-sync"
        case .switchPrimary: "switch-primary"
        case .removeReplica: "remove-replica"
        case .commitSplit: "commit-split"
        case .commitMerge: "commit-merge"
        case .abort: "abort"
        case .cleaned: "cleaned"
        case .requestSplit: "request-split"
        }
    }

    package var subject: String {
        switch self {
        case .replicaReady(let id, _), .evict(let id, _, _), .joinInSync(let id, _, _, _), .switchPrimary(let id, _, _, _, _),
            .removeReplica(let id, _, _, _), .commitSplit(let id, _, _, _, _, _), .requestSplit(let id, _, _):
            "partitions/\(id)"
        case .commitMerge(_, let left, _, _): "partitions/\(left.partition)"
        case .abort(let id, _, _, _), .cleaned(let id, _): "operations/\(id)"
        }
    }
}

/// An agent's start, in its own words (rules E4, E6).
package struct NodeRegistration: Hashable, Sendable {
    package let node: NodeID
    package let store: StoreID
    package let generation: Generation
    package let zone: ZoneName
    package let addresses: NodeAddresses
    package let instanceType: String
    package let version: String
    /// Whether every replica was read back whole.
    package let isLogIntact: Bool
    /// If not: the partitions whose replicas were not; none named: all are in doubt.
    package let damaged: [PartitionID]

    package init(
        node: NodeID, store: StoreID, generation: Generation, zone: ZoneName, addresses: NodeAddresses,
        instanceType: String = "", version: String = "", isLogIntact: Bool = true, damaged: [PartitionID] = []
    ) {
        self.node = node
        self.store = store
        self.generation = generation
        self.zone = zone
        self.addresses = addresses
        self.instanceType = instanceType
        self.version = version
        self.isLogIntact = isLogIntact
        self.damaged = damaged
    }
}

/// A node and the session in which a plan saw it (rule M7).
package struct NodeSession: Hashable, Comparable, Sendable {
    package let node: NodeID
    package let session: SessionID

    package init(node: NodeID, session: SessionID) {
        self.node = node
        self.session = session
    }

    package static func < (a: Self, b: Self) -> Bool { (a.node, a.session) < (b.node, b.session) }
}

/// Who holds one new partition.
package struct Placement: Hashable, Sendable {
    package let primary: NodeID
    /// All holders, the primary included; sorted.
    package let nodes: [NodeID]

    package init(primary: NodeID, nodes: [NodeID]) {
        self.primary = primary
        self.nodes = nodes.sorted()
    }
}

/// A new table with its placements, as planned.
package struct TableCreation: Hashable, Sendable {
    package let name: RelationName
    package let columns: [Column]
    package let partitionKey: RelationName
    package let sortKey: RelationName?
    package let replicationFactor: Int
    package let minInSync: Int
    package let capacity: Capacity
    /// Where the partitions meet; rising. One placement more than keys.
    package let splitKeys: [Key]
    package let placements: [Placement]
    /// The nodes that the plan uses, as it saw them.
    package let sessions: [NodeSession]

    package init(
        name: RelationName, columns: [Column], partitionKey: RelationName, sortKey: RelationName?, replicationFactor: Int,
        minInSync: Int, capacity: Capacity, splitKeys: [Key], placements: [Placement], sessions: [NodeSession]
    ) {
        self.name = name
        self.columns = columns
        self.partitionKey = partitionKey
        self.sortKey = sortKey
        self.replicationFactor = replicationFactor
        self.minInSync = minInSync
        self.capacity = capacity
        self.splitKeys = splitKeys
        self.placements = placements
        self.sessions = sessions.sorted()
    }
}

/// A move, or without a source a repair, as planned.
package struct MovePlan: Hashable, Sendable {
    package let partition: PartitionID
    package let source: NodeID?
    package let target: NodeSession
    package let epoch: Epoch

    package init(partition: PartitionID, source: NodeID?, target: NodeSession, epoch: Epoch) {
        self.partition = partition
        self.source = source
        self.target = target
        self.epoch = epoch
    }
}

/// Who is to lead a partition whose in-sync set is lost, as an operator saw it.
package struct ForcedPromotion: Hashable, Sendable {
    package let partition: PartitionID
    package let target: NodeSession
    /// The whole in-sync set, sorted: named, so that nobody gives up what he has not looked at.
    package let lost: [NodeID]
    package let epoch: Epoch

    package init(partition: PartitionID, target: NodeSession, lost: [NodeID], epoch: Epoch) {
        self.partition = partition
        self.target = target
        self.lost = lost.sorted()
        self.epoch = epoch
    }
}

/// A copy to be removed from where nobody wants it, as it was reported.
package struct OrphanRemoval: Hashable, Sendable {
    package let node: NodeSession
    package let held: StrayReplica

    package init(node: NodeSession, held: StrayReplica) {
        self.node = node
        self.held = held
    }
}

/// A member that found a node dead, and where it stands.
package struct Witness: Hashable, Comparable, Sendable {
    package let id: NodeID
    package let zone: ZoneName

    package init(id: NodeID, zone: ZoneName) {
        self.id = id
        self.zone = zone
    }

    package static func < (a: Self, b: Self) -> Bool { (a.id, a.zone) < (b.id, b.zone) }
}

/// One value to set (a JSON text) or to remove (nil).
package struct ConfigurationWrite: Hashable, Sendable {
    package let key: String
    package let value: String?
    /// The version that the writer saw; zero: the entry must not exist; nil: whatever it is.
    package let expecting: UInt64?

    package init(key: String, value: String?, expecting: UInt64? = nil) {
        self.key = key
        self.value = value
        self.expecting = expecting
    }
}

/// The right of a new node to ask for a certificate (rule S2). Only the secret's digest is kept.
package struct JoinToken: Hashable, Sendable {
    package let id: String
    /// SHA-256 of the secret.
    package let secretDigest: [UInt8]
    package let expiresAt: WallTime
    package var usesLeft: Int
    /// The only zone in which it is good; nil: any.
    package let zone: ZoneName?
    /// The only node whose name it is good for; nil: any that is not in use.
    package let node: NodeID?
    package let createdBy: Principal

    package init(
        id: String, secretDigest: [UInt8], expiresAt: WallTime, usesLeft: Int, zone: ZoneName?, node: NodeID? = nil,
        createdBy: Principal
    ) {
        self.id = id
        self.secretDigest = secretDigest
        self.expiresAt = expiresAt
        self.usesLeft = usesLeft
        self.zone = zone
        self.node = node
        self.createdBy = createdBy
    }
}

/// A command with who, why, under which name and when: what stands in the coordinators' log (rule C5).
package struct CatalogEntry: Hashable, Sendable {
    package let command: Command
    package let actor: Principal
    package let reason: String
    package let requestID: RequestID
    /// Tells two requests under one id apart: a digest of what the caller sent. Empty: not compared.
    package let fingerprint: [UInt8]
    package let traceID: String
    /// The leader's clock when it proposed; never goes back in what is applied (rule C4).
    package let time: WallTime

    package init(
        command: Command, actor: Principal, reason: String = "", requestID: RequestID, fingerprint: [UInt8] = [],
        traceID: String = "", time: WallTime
    ) {
        self.command = command
        self.actor = actor
        self.reason = reason
        self.requestID = requestID
        self.fingerprint = fingerprint
        self.traceID = traceID
        self.time = time
    }
}
