package import Model

/// What the replicated state may hold: all of it must fit in a snapshot that reloads in seconds (rule C6).
package enum CatalogLimits {
    package static let nodes = 1_000
    package static let tables = 1_000
    package static let partitions = 100_000
    package static let policies = 10_000
    package static let configurationEntries = 200_000
    /// Of keys and values, all scopes together: agents hold them too.
    package static let configurationBytes = 64 << 20
    package static let signingKeys = 64
    package static let revokedTokens = 100_000
    package static let joinTokens = 1_000
    /// Declared coordinators; more than a group has members.
    package static let coordinators = 64
    /// Operations that have ended and are still told of.
    package static let endedOperations = 1_000
    /// Bytes of a text that people give: reasons, addresses, versions.
    package static let textBytes = 1_024
    package static let configurationKeyBytes = 255

    /// First answers kept, for operators' requests and for agents' proposals each: a flood of one never pushes out the other.
    package static let requests = 16_384
    /// How long a first answer is kept, in log-carried time (rule C5).
    package static let requestWindow: Span = .seconds(24 * 3_600)
    /// Audit records kept here; the whole trail is written out as it is applied (rule C7).
    package static let auditTail = 1_000
}
