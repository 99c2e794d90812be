import Model

extension Transaction {
    /// Carries out one command on the overlay.
    /// - Throws: why not; the overlay is then thrown away by the caller.
    mutating func execute(_ command: Command) throws(CatalogRejection) -> CommandPayload {
        switch command {
        case .registerNode(let registration): return try register(registration)
        case .declareNode(let node, let zone, let host, let instanceType):
            return try declare(node, zone: zone, host: host, instanceType: instanceType)
        case .partition(let proposal, let from, let session): return try consider(proposal, from: from, session: session)
        case .createTable(let creation): return try createTable(creation)
        case .dropTable(let name): return try dropTable(name)
        case .setCapacity(let name, let capacity): return try setCapacity(of: name, to: capacity)
        case .beginMove(let plan): return try beginMove(plan)
        case .beginSplit(let id, let key, let epoch): return try beginSplit(id, at: key, expecting: epoch)
        case .beginMerge(let left, let leftEpoch, let right, let rightEpoch):
            return try beginMerge(left, expecting: leftEpoch, with: right, expecting: rightEpoch)
        case .beginTransfer(let id, let target, let session, let epoch):
            return try beginTransfer(id, to: target, session: session, expecting: epoch)
        case .abortOperation(let id, let reason): return try abortOperation(id, reason: reason)
        case .pauseOperation(let id): return try pauseOperation(id)
        case .resumeOperation(let id): return try resumeOperation(id)
        case .removeOrphan(let orphan): return try removeOrphan(orphan)
        case .forcePromotion(let promotion): return try forcePromotion(promotion)
        case .nodeFailed(let node, let session, let witnesses, let silentZones):
            return try fail(node, session: session, witnesses: witnesses, silentZones: silentZones)
        case .nodeReturned(let node, let session): return try welcomeBack(node, session: session)
        case .drain(let node): return try drain(node)
        case .undrain(let node): return try undrain(node)
        case .decommission(let node): return try decommission(node)
        case .setPolicy(let table, let principal, let actions, let effect):
            return try setPolicy(table: table, principal: principal, actions: actions, effect: effect)
        case .removePolicy(let table, let principal): return try removePolicy(table: table, principal: principal)
        case .addSigningKey(let key): return try addSigningKey(key)
        case .retireSigningKey(let id): return try retireSigningKey(id)
        case .grantRole(let role, _, let token, _): return try grant(role, by: token)
        case .revokeToken(let token): return try revoke(token)
        case .configure(let scope, let writes): return try configure(scope, writes)
        case .createJoinToken(let token): return try createJoinToken(token)
        case .useJoinToken(let id, let digest, let node, let zone):
            return try useJoinToken(id, secretDigest: digest, node: node, zone: zone)
        case .declareCoordinator(let coordinator): return try declare(coordinator)
        case .dismissCoordinator(let node): return dismiss(node)
        case .forgetCoordinator(let node): return forget(node)
        case .steerGroup(let verb, _):
            try check(verb, field: "verb")
            return .nothing
        case .seedGossipKeys(let keys, let primary): return try seedGossipKeys(keys, primary: primary)
        case .rotateGossipKey(let secret): return try rotateGossipKey(to: secret)
        case .advanceGossipRotation(let key, let step): return try advanceGossipRotation(of: key, past: step)
        case .cancelGossipRotation(let key): return try cancelGossipRotation(of: key)
        }
    }

    // MARK: - What several commands ask

    func require(_ id: NodeID, field: String? = nil) throws(CatalogRejection) -> NodeDescriptor {
        guard let node = node(id) else { throw CatalogRejection(.nodeNotFound, "there is no node \(id)", field: field) }
        return node
    }

    func require(_ name: RelationName) throws(CatalogRejection) -> TableDescriptor {
        guard let table = base.table(named: name) else {
            throw CatalogRejection(.tableNotFound, "there is no table \(name)", field: "table_name")
        }
        return table
    }

    func require(_ id: OperationID) throws(CatalogRejection) -> OperationDescriptor {
        guard let operation = operation(id) else { throw CatalogRejection(.operationNotFound, "there is no operation \(id)") }
        return operation
    }

    /// The partition, if it stands at the epoch that the caller saw (rule E1).
    func require(_ id: PartitionID, expecting epoch: Epoch?) throws(CatalogRejection) -> PartitionDescriptor {
        if let retired = base.retired[id] {
            throw CatalogRejection(.partitionRetired, "partition \(id) \(retired.fate)")
        }
        guard let partition = partition(id) else {
            throw CatalogRejection(.partitionNotFound, "there is no partition \(id)")
        }
        guard epoch.map({ $0 == partition.epoch }) ?? true || mutated(.ignoresEpochs) else {
            throw CatalogRejection(
                .staleEpoch, "partition \(id) is at \(partition.epoch), not \(epoch?.description ?? "any")")
        }
        return partition
    }

    /// An active partition on which no operation is under way.
    func requireIdle(_ id: PartitionID, expecting epoch: Epoch) throws(CatalogRejection) -> PartitionDescriptor {
        let partition = try require(id, expecting: epoch)
        guard partition.status == .active else {
            throw CatalogRejection(.tableNotActive, "partition \(id) is \(partition.status.rawValue)")
        }
        if let operation = partition.operation {
            throw CatalogRejection(.partitionBusy, "operation \(operation) is under way on partition \(id)")
        }
        return partition
    }

    /// A healthy node in the session that the plan saw (rule M7).
    @discardableResult
    func requireEligible(_ seen: NodeSession, field: String? = nil) throws(CatalogRejection) -> NodeDescriptor {
        let node = try require(seen.node, field: field)
        guard node.status == .healthy, node.session != .none else {
            throw CatalogRejection(.nodeUnavailable, "node \(node.id) is \(node.status.rawValue)", field: field)
        }
        guard node.session == seen.session || mutated(.ignoresPlannedSessions) else {
            throw CatalogRejection(.stalePlan, "node \(node.id) has started again since", field: field)
        }
        return node
    }

    func check(_ text: String, field: String) throws(CatalogRejection) {
        guard text.utf8.count <= CatalogLimits.textBytes else {
            throw CatalogRejection(.limitReached, "\(field) is longer than \(CatalogLimits.textBytes) bytes", field: field)
        }
    }
}
