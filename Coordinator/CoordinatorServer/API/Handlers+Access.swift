import Access
import Catalog
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Identity
import KeyEncoding
import Model

extension Handlers {
    // MARK: - Policies and tokens

    private func principal(_ text: String, _ call: Call, field: String) throws(Problem) -> Principal {
        let prefix = "coxswain:\(settings.clusterName):principal/"
        let name = text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text
        return try call.checked({ () throws(InvalidValue) in try Principal(name) }, field: field)
    }

    func setPolicy(_ call: Call) async throws(Problem) -> Response {
        let table = try call.checked({ () throws(InvalidValue) in try RelationName(call.parameter("name")) }, field: "name")
        let who = try principal(call.parameter("principal"), call, field: "principal")
        var fields = try call.document()
        var actions: [TableAction] = []
        for (place, node) in (try fields.optionalList("actions") ?? []).enumerated() {
            guard case .scalar(.string(let text)) = node, let action = TableAction(rawValue: text) else {
                throw .invalid("actions[\(place)]", "expected read, write or admin")
            }
            actions.append(action)
        }
        guard let effect = AccessPolicy.Effect(rawValue: try fields.optionalText("effect") ?? "allow") else {
            throw .invalid("effect", "expected allow or deny")
        }
        try fields.finish()
        let payload = try await propose(.setPolicy(table: table, principal: who, actions: actions, effect: effect), call)
        guard case .version(let version) = payload else {
            throw Problem(.internalServerError, "UNEXPECTED_ANSWER", "the policy has no version")
        }
        return Response(json: .object(["policy_version": .number(version)]))
    }

    func removePolicy(_ call: Call) async throws(Problem) -> Response {
        let table = try call.checked({ () throws(InvalidValue) in try RelationName(call.parameter("name")) }, field: "name")
        let who = try principal(call.parameter("principal"), call, field: "principal")
        _ = try await propose(.removePolicy(table: table, principal: who), call)
        return Response(status: .noContent)
    }

    /// A token for what the policy of the principal allows at this moment, and nothing when there is none.
    func issueToken(_ call: Call) async throws(Problem) -> Response {
        var fields = try call.document()
        let who = try principal(try fields.text("principal_arn"), call, field: "principal_arn")
        let ttl = try fields.optionalInteger("ttl_seconds") ?? 900
        try fields.finish()
        let longest = TokenAudience.data.longestLife
        guard (1...Int(longest)).contains(ttl) else { throw .invalid("ttl_seconds", "expected 1 to \(longest)") }
        let state = try await catalog(call)
        let table = try tableNamed(call, in: state)
        let policy = state.topology.policies[PolicyKey(table: table.id, principal: who)]
        let actions: [TableAction]
        switch policy?.effect {
        case .allow: actions = policy?.actions ?? []
        case .deny: actions = []
        // Who may set any policy may do without one for himself; saying so costs him one more request.
        case nil:
            actions = call.caller.map { $0.role == .root && isSame(who, $0.principal) } == true ? TableAction.allCases : []
        }
        guard !actions.isEmpty else {
            throw Problem(
                .forbidden, "NO_POLICY", "no policy allows \(who) anything on table \(table.name)",
                hint: "coxctl policy set \(table.name) \(who) --actions read,write", field: "principal_arn")
        }
        if try call.isDryRun { return .rehearsed(["actions": .array(actions.map { .string($0.rawValue) })]) }
        try requirePublishedKey(in: state)
        // What a token begets does not outlive it.
        var seconds = Int64(ttl)
        if case .token(let expiry)? = call.caller?.credential { seconds = max(1, min(seconds, expiry - now.seconds)) }
        do throws(IdentityError) {
            let made = try issuer.issue(to: who, table: table.name, actions: actions, seconds: seconds, at: now)
            return Response(
                json: .object([
                    "token": .string(made.token), "expires_at": Documents.time(made.expiresAt), "jti": .string(made.id),
                    "actions": .array(actions.map { .string($0.rawValue) }),
                ]), status: .created)
        } catch { throw Problem(.internalServerError, "SIGNING_FAILED", "\(error)") }
    }

    private func isSame(_ who: Principal, _ caller: Principal) -> Bool {
        who == caller || caller.name == "operator/\(who.name)"
    }

    /// `{token}`, or `{jti, expires_at_seconds?}`.
    func revokeToken(_ call: Call) async throws(Problem) -> Response {
        var fields = try call.document()
        let token = try fields.optionalText("token")
        let named = try fields.optionalText("jti")
        let seconds = try fields.optionalInteger("expires_at_seconds")
        try fields.finish()
        var id = named
        var expiry = seconds.map { Int64($0) }
        if let token {
            do throws(TokenRefusal) {
                let claims = try TokenText(token).claims()
                (id, expiry) = (claims.id, claims.expiresAt)
            } catch { throw .invalid("token", error.detail) }
        }
        guard let id, !id.isEmpty else { throw .invalid("token", "give a token or its jti") }
        // Whatever a token says, none lives longer than issuers grant; of one that is only named, nobody knows the kind.
        let longest = now.seconds + TokenAudience.longestLife + TokenForm.skew
        let expires = WallTime(milliseconds: min(max(expiry ?? longest, now.seconds), longest) * 1_000)
        _ = try await propose(.revokeToken(RevokedToken(id: id, expiresAt: expires)), call)
        return Response(json: .object(["jti": .string(id), "revoked": .boolean(true), "until": Documents.time(expires)]))
    }

    // MARK: - Configuration

    /// Every name that an entry may have, and what holds for the whole cluster.
    func configurationTable(_ call: Call) async throws(Problem) -> Response {
        let topology = try await committedTopology(call)
        let names = ConfigurationRules.all.map { Documents.rule($0, in: topology) }
        return Response(
            json: .object(["entries": .array(names), "foreign_prefix": .string(ConfigurationRules.foreignPrefix)]))
    }

    private func entries(_ scope: ConfigurationScope, _ topology: Topology) -> [ConfigurationEntry] {
        topology.configuration.values.filter { $0.scope == scope }.sorted { $0.key < $1.key }
    }

    private func show(_ scope: ConfigurationScope, _ topology: Topology) -> Response {
        let entries = entries(scope, topology)
        var members = Dictionary(entries.map { ($0.key, Documents.value($0)) }) { first, _ in first }
        members["_versions"] = .object(
            Dictionary(entries.map { ($0.key, JSONNode.number($0.version)) }) { first, _ in first })
        return Response(json: .object(members))
    }

    func configuration(_ call: Call, _ scope: ConfigurationScope) async throws(Problem) -> Response {
        show(scope, try await committedTopology(call))
    }

    /// Sets the entries that the body names, all or none; null removes one. Where `_versions` names an entry too, it must still have
    /// that version: what was read can be changed and sent back without overwriting what others did meanwhile.
    func configure(_ call: Call, _ scope: ConfigurationScope) async throws(Problem) -> Response {
        var members = try call.members()
        var seen: [String: UInt64] = [:]
        switch members.removeValue(forKey: "_versions") {
        case nil, .scalar(.null)?: break
        case .object(let versions)?:
            for (key, version) in versions.sorted(by: { $0.key < $1.key }) {
                guard case .scalar(.number(let digits)) = version, let number = UInt64(digits) else {
                    throw .invalid("_versions.\(key)", "expected an entry's version")
                }
                seen[key] = number
            }
        default: throw .invalid("_versions", "expected an object of entries' versions")
        }
        let writes = members.sorted { $0.key < $1.key }.map { key, value in
            ConfigurationWrite(key: key, value: value == .null ? nil : value.text, expecting: seen[key])
        }
        _ = try await propose(.configure(scope, writes), call)
        return show(scope, try await committedTopology(call))
    }

    private func find(_ call: Call, _ scope: ConfigurationScope, in topology: Topology) throws(Problem) -> ConfigurationEntry {
        let key = call.parameter("key")
        guard let entry = topology.configuration[ConfigurationKey(scope: scope, key: key)] else {
            throw Problem(CatalogRejection(.entryNotFound, "there is no entry \(key) in \(scope)", field: "key"))
        }
        return entry
    }

    private func show(_ entry: ConfigurationEntry) -> Response {
        Response(json: Documents.entry(entry), headers: [.eTag: "\"\(entry.version)\""])
    }

    func configurationEntry(_ call: Call, _ scope: ConfigurationScope) async throws(Problem) -> Response {
        show(try find(call, scope, in: try await committedTopology(call)))
    }

    /// The version in `If-Match`, that of now for `If-Match: *`, zero for `If-None-Match: *`.
    private func expectation(_ call: Call, _ scope: ConfigurationScope) async throws(Problem) -> UInt64? {
        if let text = call.headers[.ifNoneMatch] {
            guard text == "*" else { throw .invalid("If-None-Match", "expected *: that there is no such entry yet") }
            return 0
        }
        guard let text = call.headers[.ifMatch] else { return nil }
        if text == "*" {
            let known = try await committedTopology(call).configuration[
                ConfigurationKey(scope: scope, key: call.parameter("key"))]
            guard let known else {
                throw Problem(
                    CatalogRejection(.versionMismatch, "there is no entry \(call.parameter("key")) in \(scope)", field: "key"))
            }
            return known.version
        }
        guard let version = UInt64(text.filter { $0 != "\"" }) else {
            throw .invalid("If-Match", "expected an entry's version")
        }
        return version
    }

    func setEntry(_ call: Call, _ scope: ConfigurationScope) async throws(Problem) -> Response {
        var fields = try call.document()
        guard let value = fields.take("value") else { throw .invalid("value", "is missing; to remove an entry, delete it") }
        try fields.finish()
        let (key, text) = (call.parameter("key"), value.text)
        let write = ConfigurationWrite(key: key, value: text, expecting: try await expectation(call, scope))
        guard case .version(let version) = try await propose(.configure(scope, [write]), call) else {
            throw Problem(.internalServerError, "UNEXPECTED_ANSWER", "the command gave no version")
        }
        // As this request made it: the catalog may hold a newer one already, and reading it would cost a round with the leader.
        return show(ConfigurationEntry(scope: scope, key: key, value: text, version: version))
    }

    func deleteEntry(_ call: Call, _ scope: ConfigurationScope) async throws(Problem) -> Response {
        let write = ConfigurationWrite(key: call.parameter("key"), value: nil, expecting: try await expectation(call, scope))
        _ = try await propose(.configure(scope, [write]), call)
        return Response(status: .noContent)
    }
}
