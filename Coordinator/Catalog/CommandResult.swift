package import Model

/// What a command gave to its caller.
package enum CommandPayload: Hashable, Sendable {
    case nothing
    case session(SessionID)
    case table(TableID, OperationID)
    case operation(OperationID)
    /// The index of the change: what a policy or a configuration entry is versioned with.
    case version(UInt64)
}

/// The answer to a command; the same to every repetition of its request.
package enum CommandResult: Hashable, Sendable {
    case accepted(CommandPayload)
    case refused(CatalogRejection)
}

/// What applying one entry came to.
package struct AppliedEntry: Hashable, Sendable {
    package let result: CommandResult
    /// The change of the topology; nil when there was none.
    package let delta: TopologyDelta?
    /// The audit trail's new record; nil for a repetition, which changes nothing.
    package let audit: AuditRecord?

    package init(result: CommandResult, delta: TopologyDelta?, audit: AuditRecord?) {
        self.result = result
        self.delta = delta
        self.audit = audit
    }
}
