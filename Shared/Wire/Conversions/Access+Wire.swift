import FoundationEssentials
package import Model

extension SignatureAlgorithm: WireEnumeration {
    package var wire: ProtoSignatureAlgorithm {
        switch self {
        case .es256: .es256
        case .edDSA: .eddsa
        }
    }
}

extension SigningKey: WireCodable {
    package init(wire: ProtoSigningKey) throws(WireError) {
        self.init(
            id: try Check.text(wire.id, "SigningKey.id"),
            algorithm: try SignatureAlgorithm(wire: wire.algorithm, "SigningKey.algorithm"),
            publicKey: try Check.bytes(wire.publicKey, "SigningKey.public_key", atMost: WireLimits.publicKeyBytes),
            createdAt: try Check.wallTime(wire.createdAtMs, "SigningKey.created_at_ms"))
    }

    package var wire: ProtoSigningKey {
        var wire = ProtoSigningKey()
        wire.id = id
        wire.algorithm = algorithm.wire
        wire.publicKey = Data(publicKey)
        wire.createdAtMs = createdAt.milliseconds
        return wire
    }
}

extension RevokedToken: WireCodable {
    package init(wire: ProtoRevokedToken) throws(WireError) {
        self.init(
            id: try Check.text(wire.id, "RevokedToken.id"),
            expiresAt: try Check.wallTime(wire.expiresAtMs, "RevokedToken.expires_at_ms"))
    }

    package var wire: ProtoRevokedToken {
        var wire = ProtoRevokedToken()
        wire.id = id
        wire.expiresAtMs = expiresAt.milliseconds
        return wire
    }
}

extension TableAction: WireEnumeration {
    package var wire: ProtoTableAction {
        switch self {
        case .read: .read
        case .write: .write
        case .admin: .admin
        }
    }
}

extension AccessPolicy.Effect: WireEnumeration {
    package var wire: ProtoPolicyEffect {
        switch self {
        case .allow: .allow
        case .deny: .deny
        }
    }
}

extension AccessPolicy: WireCodable {
    package init(wire: ProtoAccessPolicy) throws(WireError) {
        self.init(
            table: try Check.identifier(wire.table, "AccessPolicy.table"),
            principal: try Check.formed(wire.principal, "AccessPolicy.principal", as: Principal.init(_:)),
            actions: try Check.list(wire.actions, "AccessPolicy.actions", atMost: 16) { (action) throws(WireError) in
                try TableAction(wire: action, "AccessPolicy.actions")
            },
            effect: try Effect(wire: wire.effect, "AccessPolicy.effect"),
            version: try Check.counter(wire.version, "AccessPolicy.version"))
    }

    package var wire: ProtoAccessPolicy {
        var wire = ProtoAccessPolicy()
        wire.table = table.number
        wire.principal = principal.name
        wire.actions = actions.map(\.wire)
        wire.effect = effect.wire
        wire.version = version
        return wire
    }
}

extension PolicyKey: WireCodable {
    package init(wire: ProtoPolicyKey) throws(WireError) {
        self.init(
            table: try Check.identifier(wire.table, "PolicyKey.table"),
            principal: try Check.formed(wire.principal, "PolicyKey.principal", as: Principal.init(_:)))
    }

    package var wire: ProtoPolicyKey {
        var wire = ProtoPolicyKey()
        wire.table = table.number
        wire.principal = principal.name
        return wire
    }
}

extension ConfigurationScope: WireCodable {
    package init(wire: ProtoConfigurationScope) throws(WireError) {
        switch try Check.present(wire.scope, "ConfigurationScope.scope") {
        case .global(let marker):
            try Check.marker(marker, "ConfigurationScope.global")
            self = .global
        case .zone(let name): self = .zone(try Check.formed(name, "ConfigurationScope.zone", as: ZoneName.init(_:)))
        case .node(let name): self = .node(try Check.node(name, "ConfigurationScope.node"))
        }
    }

    package var wire: ProtoConfigurationScope {
        var wire = ProtoConfigurationScope()
        switch self {
        case .global: wire.global = true
        case .zone(let zone): wire.zone = zone.name
        case .node(let node): wire.node = node.name
        }
        return wire
    }
}

extension ConfigurationEntry: WireCodable {
    package init(wire: ProtoConfigurationEntry) throws(WireError) {
        guard wire.hasScope else { throw WireError("ConfigurationEntry.scope", .missing) }
        self.init(
            scope: try ConfigurationScope(wire: wire.scope),
            key: try Check.text(wire.key, "ConfigurationEntry.key"),
            value: try Check.text(wire.value, "ConfigurationEntry.value", atMost: Limits.configurationValueBytes),
            version: try Check.counter(wire.version, "ConfigurationEntry.version"))
    }

    package var wire: ProtoConfigurationEntry {
        var wire = ProtoConfigurationEntry()
        wire.scope = scope.wire
        wire.key = key
        wire.value = value
        wire.version = version
        return wire
    }
}

extension ConfigurationKey: WireCodable {
    package init(wire: ProtoConfigurationKey) throws(WireError) {
        guard wire.hasScope else { throw WireError("ConfigurationKey.scope", .missing) }
        self.init(scope: try ConfigurationScope(wire: wire.scope), key: try Check.text(wire.key, "ConfigurationKey.key"))
    }

    package var wire: ProtoConfigurationKey {
        var wire = ProtoConfigurationKey()
        wire.scope = scope.wire
        wire.key = key
        return wire
    }
}
