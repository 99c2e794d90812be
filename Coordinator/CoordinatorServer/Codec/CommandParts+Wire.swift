package import Catalog
import FoundationEssentials
import Model
package import Wire

// What commands are made of.

extension NodeSession: WireCodable {
    package init(wire: ProtoCatalogNodeSession) throws(WireError) {
        self.init(
            node: try Check.node(wire.node, "NodeSession.node"),
            session: try Check.identifier(wire.session, "NodeSession.session"))
    }

    package var wire: ProtoCatalogNodeSession {
        var wire = ProtoCatalogNodeSession()
        wire.node = node.name
        wire.session = session.number
        return wire
    }
}

extension NodeRegistration: WireCodable {
    package init(wire: ProtoCatalogCommand.RegisterNode) throws(WireError) {
        let said = try AgentRegistration(wire: wire.registration)
        self.init(
            node: try Check.node(wire.node, "RegisterNode.node"), store: said.store, generation: said.generation,
            zone: said.zone, addresses: said.addresses, instanceType: said.instanceType, version: said.version,
            isLogIntact: said.isLogIntact, damaged: said.damaged)
    }

    package var wire: ProtoCatalogCommand.RegisterNode {
        var wire = ProtoCatalogCommand.RegisterNode()
        wire.node = node.name
        wire.registration =
            AgentRegistration(
                store: store, generation: generation, zone: zone, addresses: addresses, instanceType: instanceType,
                version: version, isLogIntact: isLogIntact, damaged: damaged, canBeginLater: false
            ).wire
        return wire
    }
}

extension Placement: WireCodable {
    package init(wire: ProtoCatalogPlacement) throws(WireError) {
        self.init(
            primary: try Check.node(wire.primary, "Placement.primary"),
            nodes: try Check.list(wire.nodes, "Placement.nodes", atMost: Limits.replicationFactor) {
                (name) throws(WireError) in try Check.node(name, "Placement.nodes")
            })
    }

    package var wire: ProtoCatalogPlacement {
        var wire = ProtoCatalogPlacement()
        wire.primary = primary.name
        wire.nodes = nodes.map(\.name)
        return wire
    }
}

extension TableCreation: WireCodable {
    package init(wire: ProtoCatalogCommand.CreateTable) throws(WireError) {
        self.init(
            name: try relationName(wire.name, "CreateTable.name"),
            columns: try Check.list(wire.columns, "CreateTable.columns", atMost: Limits.columns, Column.init(wire:)),
            partitionKey: try relationName(wire.partitionKey, "CreateTable.partition_key"),
            sortKey: wire.hasSortKey ? try relationName(wire.sortKey, "CreateTable.sort_key") : nil,
            replicationFactor: try Check.count(
                wire.replicationFactor, "CreateTable.replication_factor", atMost: Limits.replicationFactor),
            minInSync: try Check.count(wire.minInSync, "CreateTable.min_in_sync", atMost: Limits.replicationFactor),
            capacity: try Capacity(wire: wire.capacity),
            splitKeys: try Check.list(wire.splitKeys, "CreateTable.split_keys", atMost: Limits.partitionsPerCreate) {
                (data) throws(WireError) in try Check.key(data, "CreateTable.split_keys")
            },
            placements: try Check.list(
                wire.placements, "CreateTable.placements", atMost: Limits.partitionsPerCreate, Placement.init(wire:)),
            sessions: try Check.list(wire.sessions, "CreateTable.sessions", NodeSession.init(wire:)))
    }

    package var wire: ProtoCatalogCommand.CreateTable {
        var wire = ProtoCatalogCommand.CreateTable()
        wire.name = name.name
        wire.columns = columns.map(\.wire)
        wire.partitionKey = partitionKey.name
        if let sortKey { wire.sortKey = sortKey.name }
        wire.replicationFactor = UInt32(clamping: replicationFactor)
        wire.minInSync = UInt32(clamping: minInSync)
        wire.capacity = capacity.wire
        wire.splitKeys = splitKeys.map { Data($0.bytes) }
        wire.placements = placements.map(\.wire)
        wire.sessions = sessions.map(\.wire)
        return wire
    }
}

extension Witness: WireCodable {
    package init(wire: ProtoCatalogWitness) throws(WireError) {
        self.init(id: try Check.node(wire.id, "Witness.id"), zone: try zoneName(wire.zone, "Witness.zone"))
    }

    package var wire: ProtoCatalogWitness {
        var wire = ProtoCatalogWitness()
        wire.id = id.name
        wire.zone = zone.name
        return wire
    }
}

extension ConfigurationWrite: WireCodable {
    package init(wire: ProtoCatalogCommand.Write) throws(WireError) {
        self.init(
            key: try Check.text(wire.key, "Write.key"),
            value: wire.hasValue
                ? try Check.text(wire.value, "Write.value", atMost: Limits.configurationValueBytes) : nil,
            expecting: wire.hasExpecting ? try Check.counter(wire.expecting, "Write.expecting") : nil)
    }

    package var wire: ProtoCatalogCommand.Write {
        var wire = ProtoCatalogCommand.Write()
        wire.key = key
        if let value { wire.value = value }
        if let expecting { wire.expecting = expecting }
        return wire
    }
}

extension JoinToken: WireCodable {
    package init(wire: ProtoCatalogJoinToken) throws(WireError) {
        self.init(
            id: try Check.text(wire.id, "JoinToken.id"),
            secretDigest: try Check.bytes(wire.secretDigest, "JoinToken.secret_digest", atMost: 64),
            expiresAt: try Check.wallTime(wire.expiresAtMs, "JoinToken.expires_at_ms"),
            usesLeft: try Check.count(wire.usesLeft, "JoinToken.uses_left", atMost: 1_000_000),
            zone: wire.hasZone ? try zoneName(wire.zone, "JoinToken.zone") : nil,
            node: wire.hasNode ? try Check.node(wire.node, "JoinToken.node") : nil,
            createdBy: try principalName(wire.createdBy, "JoinToken.created_by"))
    }

    package var wire: ProtoCatalogJoinToken {
        var wire = ProtoCatalogJoinToken()
        wire.id = id
        wire.secretDigest = Data(secretDigest)
        wire.expiresAtMs = expiresAt.milliseconds
        wire.usesLeft = UInt32(clamping: usesLeft)
        if let zone { wire.zone = zone.name }
        if let node { wire.node = node.name }
        wire.createdBy = createdBy.name
        return wire
    }
}

extension CoordinatorDescriptor: WireCodable {
    package init(wire: ProtoCatalogCoordinator) throws(WireError) {
        guard wire.hasAddresses else { throw WireError("CatalogCoordinator.addresses", .missing) }
        self.init(
            node: try Check.node(wire.node, "CatalogCoordinator.node"),
            zone: try zoneName(wire.zone, "CatalogCoordinator.zone"), addresses: try NodeAddresses(wire: wire.addresses),
            isLeaving: wire.isLeaving)
    }

    package var wire: ProtoCatalogCoordinator {
        var wire = ProtoCatalogCoordinator()
        wire.node = node.name
        wire.zone = zone.name
        wire.addresses = addresses.wire
        wire.isLeaving = isLeaving
        return wire
    }
}
