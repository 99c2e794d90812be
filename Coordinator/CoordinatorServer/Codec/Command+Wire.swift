package import Catalog
import FoundationEssentials
import Model
package import Wire

// The commands in the coordinators' log. What is written here is read for as long as a log or a snapshot may be.

extension CatalogEntry: WireCodable {
    package init(wire: ProtoCatalogEntry) throws(WireError) {
        guard wire.hasCommand else { throw WireError("CatalogEntry.command", .missing) }
        self.init(
            command: try Command(wire: wire.command), actor: try principalName(wire.actor, "CatalogEntry.actor"),
            reason: try Check.text(wire.reason, "CatalogEntry.reason"),
            requestID: try Check.formed(wire.requestID, "CatalogEntry.request_id", as: RequestID.init(_:)),
            fingerprint: try Check.bytes(wire.fingerprint, "CatalogEntry.fingerprint", atMost: 64),
            traceID: try Check.text(wire.traceID, "CatalogEntry.trace_id"),
            time: try Check.wallTime(wire.timeMs, "CatalogEntry.time_ms"))
    }

    package var wire: ProtoCatalogEntry {
        var wire = ProtoCatalogEntry()
        wire.command = command.wire
        wire.actor = actor.name
        wire.reason = reason
        wire.requestID = requestID.text
        wire.fingerprint = Data(fingerprint)
        wire.traceID = traceID
        wire.timeMs = time.milliseconds
        return wire
    }
}

extension Command: WireCodable {
    package init(wire: ProtoCatalogCommand) throws(WireError) {
        switch try Check.present(wire.command, "CatalogCommand.command") {
        case .registerNode(let it): self = .registerNode(try NodeRegistration(wire: it))
        case .declareNode(let it):
            self = .declareNode(
                try Check.node(it.node, "DeclareNode.node"), zone: try zoneName(it.zone, "DeclareNode.zone"),
                host: try Check.text(it.host, "DeclareNode.host"),
                instanceType: try Check.text(it.instanceType, "DeclareNode.instance_type"))
        case .partition(let it):
            self = .partition(
                try PartitionProposal(wire: it.proposal), from: try Check.node(it.from, "Partition.from"),
                session: try Check.identifier(it.session, "Partition.session"))
        case .createTable(let it): self = .createTable(try TableCreation(wire: it))
        case .dropTable(let name): self = .dropTable(try relationName(name, "drop_table"))
        case .setCapacity(let it):
            self = .setCapacity(try relationName(it.table, "SetCapacity.table"), try Capacity(wire: it.capacity))
        case .beginMove(let it):
            self = .beginMove(
                MovePlan(
                    partition: try Check.identifier(it.partition, "BeginMove.partition"),
                    source: it.hasSource ? try Check.node(it.source, "BeginMove.source") : nil,
                    target: try NodeSession(wire: it.target), epoch: try Check.epoch(it.epoch, "BeginMove.epoch")))
        case .beginSplit(let it):
            self = .beginSplit(
                try Check.identifier(it.partition, "BeginSplit.partition"), at: try Check.key(it.at, "BeginSplit.at"),
                expecting: try Check.epoch(it.expecting, "BeginSplit.expecting"))
        case .beginMerge(let it):
            self = .beginMerge(
                try Check.identifier(it.left, "BeginMerge.left"),
                expecting: try Check.epoch(it.leftEpoch, "BeginMerge.left_epoch"),
                with: try Check.identifier(it.right, "BeginMerge.right"),
                at: try Check.epoch(it.rightEpoch, "BeginMerge.right_epoch"))
        case .beginTransfer(let it):
            let target = try NodeSession(wire: it.target)
            self = .beginTransfer(
                try Check.identifier(it.partition, "BeginTransfer.partition"), to: target.node, session: target.session,
                expecting: try Check.epoch(it.expecting, "BeginTransfer.expecting"))
        case .abortOperation(let it):
            self = .abortOperation(
                try Check.identifier(it.operation, "AbortOperation.operation"),
                reason: try Check.text(it.reason, "AbortOperation.reason"))
        case .pauseOperation(let id): self = .pauseOperation(try Check.identifier(id, "pause_operation"))
        case .resumeOperation(let id): self = .resumeOperation(try Check.identifier(id, "resume_operation"))
        case .removeOrphan(let it):
            self = .removeOrphan(
                OrphanRemoval(
                    node: try NodeSession(wire: it.node),
                    held: StrayReplica(
                        partition: try Check.identifier(it.partition, "RemoveOrphan.partition"),
                        storage: try Check.identifier(it.storage, "RemoveOrphan.storage"),
                        epoch: try Check.epoch(it.epoch, "RemoveOrphan.epoch"), isBeingRemoved: false)))
        case .forcePromotion(let it):
            self = .forcePromotion(
                ForcedPromotion(
                    partition: try Check.identifier(it.partition, "ForcePromotion.partition"),
                    target: try NodeSession(wire: it.target),
                    lost: try Check.list(it.lost, "ForcePromotion.lost", atMost: 2 * Limits.replicationFactor) {
                        (name) throws(WireError) in try Check.node(name, "ForcePromotion.lost")
                    }, epoch: try Check.epoch(it.expecting, "ForcePromotion.expecting")))
        case .nodeFailed(let it):
            let node = try NodeSession(wire: it.node)
            self = .nodeFailed(
                node.node, session: node.session,
                witnesses: try Check.list(it.witnesses, "NodeFailed.witnesses", atMost: 1_024, Witness.init(wire:)),
                silentZones: try Check.list(it.silentZones, "NodeFailed.silent_zones", atMost: 1_024) {
                    (zone) throws(WireError) in try zoneName(zone, "NodeFailed.silent_zones")
                })
        case .nodeReturned(let it):
            let node = try NodeSession(wire: it)
            self = .nodeReturned(node.node, session: node.session)
        case .drain(let name): self = .drain(try Check.node(name, "drain"))
        case .undrain(let name): self = .undrain(try Check.node(name, "undrain"))
        case .decommission(let name): self = .decommission(try Check.node(name, "decommission"))
        case .setPolicy(let it):
            self = .setPolicy(
                table: try relationName(it.table, "Policy.table"),
                principal: try principalName(it.principal, "Policy.principal"),
                actions: try Check.list(it.actions, "Policy.actions", atMost: TableAction.allCases.count) {
                    (action) throws(WireError) in try TableAction(wire: action, "Policy.actions")
                },
                effect: try AccessPolicy.Effect(wire: it.effect, "Policy.effect"))
        case .removePolicy(let it):
            self = .removePolicy(
                table: try relationName(it.table, "PolicyName.table"),
                principal: try principalName(it.principal, "PolicyName.principal"))
        case .addSigningKey(let key): self = .addSigningKey(try SigningKey(wire: key))
        case .retireSigningKey(let id): self = .retireSigningKey(try Check.text(id, "retire_signing_key"))
        case .grantRole(let it):
            self = .grantRole(
                try Check.text(it.role, "GrantRole.role"), to: try principalName(it.principal, "GrantRole.principal"),
                token: try Check.text(it.token, "GrantRole.token"),
                until: try Check.wallTime(it.expiresAtMs, "GrantRole.expires_at_ms"))
        case .revokeToken(let token): self = .revokeToken(try RevokedToken(wire: token))
        case .configure(let it):
            self = .configure(
                try ConfigurationScope(wire: it.scope),
                try Check.list(it.writes, "Configure.writes", atMost: 4_096, ConfigurationWrite.init(wire:)))
        case .createJoinToken(let token): self = .createJoinToken(try JoinToken(wire: token))
        case .useJoinToken(let it):
            self = .useJoinToken(
                try Check.text(it.id, "UseJoinToken.id"),
                secretDigest: try Check.bytes(it.secretDigest, "UseJoinToken.secret_digest", atMost: 64),
                node: try Check.node(it.node, "UseJoinToken.node"), zone: try zoneName(it.zone, "UseJoinToken.zone"))
        case .declareCoordinator(let it): self = .declareCoordinator(try CoordinatorDescriptor(wire: it))
        case .dismissCoordinator(let name): self = .dismissCoordinator(try Check.node(name, "dismiss_coordinator"))
        case .forgetCoordinator(let name): self = .forgetCoordinator(try Check.node(name, "forget_coordinator"))
        case .steerGroup(let it):
            self = .steerGroup(try Check.text(it.verb, "SteerGroup.verb"), try Check.node(it.node, "SteerGroup.node"))
        case .seedGossipKeys(let it):
            self = .seedGossipKeys(
                try Check.list(it.keys, "SeedGossipKeys.keys", atMost: GossipKeys.most, GossipKey.init(wire:)),
                primary: try Check.keyNumber(it.primary, "SeedGossipKeys.primary"))
        case .rotateGossipKey(let it):
            self = .rotateGossipKey(try Check.secret(it.id, it.secret, "RotateGossipKey.secret"))
        case .advanceGossipRotation(let it):
            self = .advanceGossipRotation(
                GossipKeyID(it.key), past: try GossipRotation.Step(wire: it.past, "AdvanceGossipRotation.past"))
        case .cancelGossipRotation(let it): self = .cancelGossipRotation(GossipKeyID(it.key))
        }
    }

    package var wire: ProtoCatalogCommand {
        var wire = ProtoCatalogCommand()
        switch self {
        case .registerNode(let registration): wire.registerNode = registration.wire
        case .declareNode(let node, let zone, let host, let instanceType):
            wire.declareNode.node = node.name
            wire.declareNode.zone = zone.name
            wire.declareNode.host = host
            wire.declareNode.instanceType = instanceType
        case .partition(let proposal, let node, let session):
            wire.partition.proposal = proposal.wire
            wire.partition.from = node.name
            wire.partition.session = session.number
        case .createTable(let creation): wire.createTable = creation.wire
        case .dropTable(let name): wire.dropTable = name.name
        case .setCapacity(let table, let capacity):
            wire.setCapacity.table = table.name
            wire.setCapacity.capacity = capacity.wire
        case .beginMove(let plan):
            wire.beginMove.partition = plan.partition.number
            if let source = plan.source { wire.beginMove.source = source.name }
            wire.beginMove.target = plan.target.wire
            wire.beginMove.epoch = plan.epoch.number
        case .beginSplit(let partition, let key, let epoch):
            wire.beginSplit.partition = partition.number
            wire.beginSplit.at = Data(key.bytes)
            wire.beginSplit.expecting = epoch.number
        case .beginMerge(let left, let leftEpoch, let right, let rightEpoch):
            wire.beginMerge.left = left.number
            wire.beginMerge.leftEpoch = leftEpoch.number
            wire.beginMerge.right = right.number
            wire.beginMerge.rightEpoch = rightEpoch.number
        case .beginTransfer(let partition, let node, let session, let epoch):
            wire.beginTransfer.partition = partition.number
            wire.beginTransfer.target = NodeSession(node: node, session: session).wire
            wire.beginTransfer.expecting = epoch.number
        case .abortOperation(let operation, let reason):
            wire.abortOperation.operation = operation.number
            wire.abortOperation.reason = reason
        case .pauseOperation(let operation): wire.pauseOperation = operation.number
        case .resumeOperation(let operation): wire.resumeOperation = operation.number
        case .removeOrphan(let orphan):
            wire.removeOrphan.node = orphan.node.wire
            wire.removeOrphan.partition = orphan.held.partition.number
            wire.removeOrphan.storage = orphan.held.storage.number
            wire.removeOrphan.epoch = orphan.held.epoch.number
        case .forcePromotion(let promotion):
            wire.forcePromotion.partition = promotion.partition.number
            wire.forcePromotion.target = promotion.target.wire
            wire.forcePromotion.lost = promotion.lost.map(\.name)
            wire.forcePromotion.expecting = promotion.epoch.number
        case .nodeFailed(let node, let session, let witnesses, let silentZones):
            wire.nodeFailed.node = NodeSession(node: node, session: session).wire
            wire.nodeFailed.witnesses = witnesses.map(\.wire)
            wire.nodeFailed.silentZones = silentZones.map(\.name)
        case .nodeReturned(let node, let session): wire.nodeReturned = NodeSession(node: node, session: session).wire
        case .drain(let node): wire.drain = node.name
        case .undrain(let node): wire.undrain = node.name
        case .decommission(let node): wire.decommission = node.name
        case .setPolicy(let table, let principal, let actions, let effect):
            wire.setPolicy.table = table.name
            wire.setPolicy.principal = principal.name
            wire.setPolicy.actions = actions.map(\.wire)
            wire.setPolicy.effect = effect.wire
        case .removePolicy(let table, let principal):
            wire.removePolicy.table = table.name
            wire.removePolicy.principal = principal.name
        case .addSigningKey(let key): wire.addSigningKey = key.wire
        case .retireSigningKey(let id): wire.retireSigningKey = id
        case .grantRole(let role, let principal, let token, let expires):
            wire.grantRole.role = role
            wire.grantRole.principal = principal.name
            wire.grantRole.token = token
            wire.grantRole.expiresAtMs = expires.milliseconds
        case .revokeToken(let token): wire.revokeToken = token.wire
        case .configure(let scope, let writes):
            wire.configure.scope = scope.wire
            wire.configure.writes = writes.map(\.wire)
        case .createJoinToken(let token): wire.createJoinToken = token.wire
        case .useJoinToken(let id, let digest, let node, let zone):
            wire.useJoinToken.id = id
            wire.useJoinToken.secretDigest = Data(digest)
            wire.useJoinToken.node = node.name
            wire.useJoinToken.zone = zone.name
        case .declareCoordinator(let coordinator): wire.declareCoordinator = coordinator.wire
        case .dismissCoordinator(let node): wire.dismissCoordinator = node.name
        case .forgetCoordinator(let node): wire.forgetCoordinator = node.name
        case .steerGroup(let verb, let node):
            wire.steerGroup.verb = verb
            wire.steerGroup.node = node.name
        case .seedGossipKeys(let keys, let primary):
            wire.seedGossipKeys.keys = keys.map(\.wire)
            wire.seedGossipKeys.primary = UInt32(primary)
        case .rotateGossipKey(let secret):
            wire.rotateGossipKey.id = secret.id.number
            wire.rotateGossipKey.secret = Data(secret.bytes)
        case .advanceGossipRotation(let key, let step):
            wire.advanceGossipRotation.key = key.number
            wire.advanceGossipRotation.past = step.wire
        case .cancelGossipRotation(let key): wire.cancelGossipRotation.key = key.number
        }
        return wire
    }
}

func relationName(_ name: String, _ field: String) throws(WireError) -> RelationName {
    try Check.formed(name, field) { (name) throws(InvalidValue) in try RelationName(name) }
}

func principalName(_ name: String, _ field: String) throws(WireError) -> Principal {
    try Check.formed(name, field, as: Principal.init(_:))
}

func zoneName(_ name: String, _ field: String) throws(WireError) -> ZoneName {
    try Check.formed(name, field, as: ZoneName.init(_:))
}
