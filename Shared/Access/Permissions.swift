// Who may call what of the control API. Every route names one permission; who has no role has none (rule S5).

/// One thing that the control API lets somebody do.
package enum Permission: String, Hashable, Sendable, CaseIterable {
    case readCluster = "cluster:read"
    case registerNode = "node:register"
    case changeNodes = "node:write"
    case createJoinToken = "node:join-token"
    case readTables = "table:read"
    case changeTables = "table:write"
    case movePartitions = "partition:write"
    case readOperations = "operation:read"
    case changePolicies = "policy:write"
    case issueTokens = "token:issue"
    case revokeTokens = "token:revoke"
    /// Operator tokens: see `Role.mayGive`.
    case issueCredentials = "credential:issue"
    /// The keys that seal gossip; their bytes are shown to nobody.
    case rotateKeys = "key:rotate"
    case readConfiguration = "config:read"
    case changeConfiguration = "config:write"
}

/// A set of permissions that is given as a whole.
package enum Role: String, Hashable, Sendable, CaseIterable {
    case viewer
    case node
    case `operator`
    case securityAdmin = "security-admin"
    case root

    package func grants(_ permission: Permission) -> Bool {
        switch permission {
        case .readCluster, .readTables, .readOperations, .readConfiguration: true
        case .registerNode: self == .node || self == .root
        case .changeNodes, .changeTables, .movePartitions, .changeConfiguration: self == .operator || self == .root
        case .createJoinToken, .changePolicies, .revokeTokens, .issueTokens, .issueCredentials, .rotateKeys:
            self == .securityAdmin || self == .root
        }
    }

    /// Whether an operator token may bear it. What a node may do, its certificate says, and nothing else.
    package var isOperators: Bool {
        switch self {
        case .viewer, .operator, .securityAdmin, .root: true
        case .node: false
        }
    }

    /// Nobody gives what they have not: a role that may issue at all gives those that grant nothing beyond its own.
    package func mayGive(_ other: Role) -> Bool {
        grants(.issueCredentials) && other.isOperators && Permission.allCases.allSatisfy { !other.grants($0) || grants($0) }
    }
}
