import Model

extension Transaction {
    // MARK: - Policies

    /// What one principal may do with one table; replaces what was said before.
    /// - Throws: `tableNotFound`, `invalidValue`, `limitReached`.
    mutating func setPolicy(
        table name: RelationName, principal: Principal, actions: [TableAction], effect: AccessPolicy.Effect
    ) throws(CatalogRejection) -> CommandPayload {
        let table = try require(name)
        guard !actions.isEmpty, Set(actions).count == actions.count else {
            throw CatalogRejection(.invalidValue, "name each action once, and at least one", field: "actions")
        }
        let key = PolicyKey(table: table.id, principal: principal)
        guard base.policies[key] != nil || base.policies.count < CatalogLimits.policies else {
            throw CatalogRejection(.limitReached, "the cluster holds \(CatalogLimits.policies) policies")
        }
        append(
            .policy(AccessPolicy(table: table.id, principal: principal, actions: actions, effect: effect, version: index)))
        return .version(index)
    }

    mutating func removePolicy(table name: RelationName, principal: Principal) throws(CatalogRejection) -> CommandPayload {
        let table = try require(name)
        guard base.policies[PolicyKey(table: table.id, principal: principal)] != nil else {
            throw CatalogRejection(.policyNotFound, "there is no policy for \(principal) on \(name)", field: "principal")
        }
        append(.policyRemoved(table.id, principal))
        return .nothing
    }

    // MARK: - Keys and revocations

    /// Publishes the public half of a key that a coordinator will sign with. The same key twice is no change (rule S4).
    mutating func addSigningKey(_ key: SigningKey) throws(CatalogRejection) -> CommandPayload {
        if let known = base.signingKeys[key.id] {
            guard known.publicKey == key.publicKey, known.algorithm == key.algorithm else {
                throw CatalogRejection(.keyExists, "key \(key.id) is another one", field: "kid")
            }
            return .nothing
        }
        guard !key.id.isEmpty, key.id.utf8.count <= CatalogLimits.configurationKeyBytes, key.publicKey.count <= 1_024 else {
            throw CatalogRejection(.invalidValue, "the key's id or body has no possible length", field: "kid")
        }
        guard base.signingKeys.count < CatalogLimits.signingKeys else {
            throw CatalogRejection(.limitReached, "the cluster holds \(CatalogLimits.signingKeys) signing keys")
        }
        append(.signingKey(key))
        return .nothing
    }

    mutating func retireSigningKey(_ id: String) throws(CatalogRejection) -> CommandPayload {
        guard base.signingKeys[id] != nil else {
            throw CatalogRejection(.entryNotFound, "there is no signing key \(id)", field: "kid")
        }
        append(.signingKeyRemoved(id))
        return .nothing
    }

    /// Looks at the names only: what an audit record is made of must fit into one.
    func grant(_ role: String, by token: String) throws(CatalogRejection) -> CommandPayload {
        for (text, field) in [(role, "role"), (token, "jti")] {
            guard (1...CatalogLimits.configurationKeyBytes).contains(text.utf8.count) else {
                throw CatalogRejection(
                    .invalidValue, "\(field) has 1 to \(CatalogLimits.configurationKeyBytes) bytes", field: field)
            }
        }
        return .nothing
    }

    /// Refuses a token from now on, and forgets the revocations of those that have expired since.
    mutating func revoke(_ token: RevokedToken) throws(CatalogRejection) -> CommandPayload {
        guard !token.id.isEmpty, token.id.utf8.count <= CatalogLimits.configurationKeyBytes else {
            throw CatalogRejection(.invalidValue, "a token id has 1 to 255 bytes", field: "jti")
        }
        // An hour beyond its end: agents' clocks may be behind.
        let horizon = now.milliseconds - Span.seconds(3_600).milliseconds
        let expired = base.revokedTokens.values.filter { $0.expiresAt.milliseconds < horizon }.map(\.id).sorted()
        guard base.revokedTokens.count - expired.count < CatalogLimits.revokedTokens else {
            throw CatalogRejection(.limitReached, "\(CatalogLimits.revokedTokens) tokens are revoked already")
        }
        for id in expired where id != token.id { append(.tokenForgotten(id)) }
        // Once revoked, for as long as anybody has said that it could still be shown.
        let until = max(token.expiresAt, base.revokedTokens[token.id]?.expiresAt ?? token.expiresAt)
        append(.tokenRevoked(RevokedToken(id: token.id, expiresAt: until)))
        return .nothing
    }

    // MARK: - Configuration

    /// Sets and removes entries of one scope, all or none.
    /// - Throws: `versionMismatch`, `entryNotFound` (to remove what is not there), `unknownEntry`, `invalidValue`, `limitReached`.
    mutating func configure(_ scope: ConfigurationScope, _ writes: [ConfigurationWrite]) throws(CatalogRejection)
        -> CommandPayload
    {
        guard !writes.isEmpty, Set(writes.map(\.key)).count == writes.count else {
            throw CatalogRejection(.invalidValue, "name each key once, and at least one", field: "key")
        }
        var (entries, bytes) = (base.configuration.count, base.configuration.bytes)
        for write in writes {
            try ConfigurationAdmission.check(key: write.key)
            let known = base.configuration[ConfigurationKey(scope: scope, key: write.key)]
            if let expected = write.expecting, expected != known?.version ?? 0 {
                throw CatalogRejection(
                    .versionMismatch, "entry \(write.key) is at version \(known?.version ?? 0), not \(expected)",
                    field: write.key)
            }
            if let value = write.value {
                try ConfigurationAdmission.check(write.key, value, in: scope)
                let entry = ConfigurationEntry(scope: scope, key: write.key, value: value, version: index)
                entries += known == nil ? 1 : 0
                bytes += entry.bytes - (known?.bytes ?? 0)
                append(.configuration(entry))
            } else {
                guard known != nil else {
                    throw CatalogRejection(.entryNotFound, "there is no entry \(write.key) in \(scope)", field: write.key)
                }
                entries -= 1
                bytes -= known?.bytes ?? 0
                append(.configurationRemoved(scope, write.key))
            }
        }
        guard entries <= max(CatalogLimits.configurationEntries, base.configuration.count) else {
            throw CatalogRejection(.limitReached, "the cluster holds \(CatalogLimits.configurationEntries) entries")
        }
        guard bytes <= max(CatalogLimits.configurationBytes, base.configuration.bytes) else {
            throw CatalogRejection(
                .limitReached, "the cluster's entries may have \(CatalogLimits.configurationBytes) bytes together")
        }
        return .version(index)
    }

    // MARK: - Join tokens

    mutating func createJoinToken(_ token: JoinToken) throws(CatalogRejection) -> CommandPayload {
        joinTokens = joinTokens.filter { $0.value.expiresAt > now && $0.value.usesLeft > 0 }
        guard joinTokens[token.id] == nil else {
            throw CatalogRejection(.keyExists, "there is a join token \(token.id)", field: "id")
        }
        guard token.usesLeft > 0, token.expiresAt > now, token.secretDigest.count == 32 else {
            throw CatalogRejection(.invalidValue, "a join token needs a use, a time to live and a digest", field: "uses")
        }
        guard joinTokens.count < CatalogLimits.joinTokens else {
            throw CatalogRejection(.limitReached, "\(CatalogLimits.joinTokens) join tokens are open")
        }
        joinTokens[token.id] = token
        return .nothing
    }

    /// Takes one use of a token. One refusal for everything that can be wrong with the secret, its time and its zone: it tells a
    /// guesser nothing. Who has shown a good one is told what is wrong with the name.
    ///
    /// A certificate is the right to be a node. While a node's session is live only a token that names it makes another under its
    /// name, for then an operator has said that the node is to be replaced.
    mutating func useJoinToken(
        _ id: String, secretDigest: [UInt8], node: NodeID, zone: ZoneName
    ) throws(CatalogRejection) -> CommandPayload {
        guard var token = joinTokens[id], token.secretDigest == secretDigest, token.expiresAt > now, token.usesLeft > 0,
            token.zone.map({ $0 == zone }) ?? true
        else {
            throw CatalogRejection(
                .joinTokenRefused, "the join token is unknown, spent, expired or for another zone", field: "token")
        }
        if let named = token.node, named != node {
            throw CatalogRejection(.joinTokenRefused, "the join token is for node \(named) alone", field: "node_id")
        }
        if let known = self.node(node) {
            switch known.status {
            case .decommissioned:
                throw CatalogRejection(.nodeDecommissioned, "node \(node) is decommissioned", field: "node_id")
            case .healthy, .suspected, .draining:
                guard known.session == .none || token.node == node else {
                    throw CatalogRejection(
                        .nodeInUse, "node \(node) is \(known.status.rawValue), and the join token does not name it",
                        field: "node_id")
                }
            case .failed: break
            }
        }
        token.usesLeft -= 1
        joinTokens[id] = token.usesLeft > 0 ? token : nil
        return .nothing
    }
}

/// What the catalog refuses to keep as a configuration entry, whoever sets it (see `ConfigurationRules`).
enum ConfigurationAdmission {
    /// - Throws: `invalidValue`, for what no entry can be called.
    static func check(key: String) throws(CatalogRejection) {
        let bytes = key.utf8
        guard (1...CatalogLimits.configurationKeyBytes).contains(bytes.count), bytes.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw CatalogRejection(.invalidValue, "a key has 1 to 255 printable ASCII bytes", field: "key")
        }
        // The name under which a whole scope shows its entries' versions.
        guard key != "_versions" else {
            throw CatalogRejection(.invalidValue, "no entry may be called _versions", field: "key")
        }
    }

    /// - Throws: `unknownEntry`, `invalidValue` or `limitReached`, naming the key.
    static func check(_ key: String, _ value: String, in scope: ConfigurationScope) throws(CatalogRejection) {
        guard value.utf8.count <= Limits.configurationValueBytes else {
            throw CatalogRejection(
                .limitReached, "the value of \(key) is longer than \(Limits.configurationValueBytes) bytes", field: key)
        }
        if ConfigurationRules.isForeign(key) { return }
        guard let rule = ConfigurationRules.rule(named: key) else {
            let names = ConfigurationRules.all.map(\.name).joined(separator: ", ")
            throw CatalogRejection(
                .unknownEntry,
                "there is no entry of that name; there are \(names), and \(ConfigurationRules.foreignPrefix)* for programs of your own",
                field: key)
        }
        guard rule.reach.includes(scope) else {
            throw CatalogRejection(.invalidValue, "\(key) is one for the whole cluster: set it in global", field: key)
        }
        guard rule.takes(value) else {
            throw CatalogRejection(.invalidValue, "\(key) is \(rule.expectation)", field: key)
        }
    }
}
