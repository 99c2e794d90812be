package import Model

/// What a replica holds only while it is primary; all of it may be lost with the process.
struct PrimaryState: Hashable, Sendable {
    enum Phase: Hashable, Sendable {
        /// Waits until the raised run is on disk, all in-sync logs are compared, and nobody else can hold a lease. *Can move to:
        /// opening.*
        case preparing
        /// The term's first entry is under way to all of the in-sync set. *Can move to: serving.*
        case opening(UInt64)
        /// That entry is committed and applied: every write ever acknowledged is here. *Ends with the role.*
        case serving
    }

    struct Writer: Hashable, Sendable {
        let sequence: UInt64
        let caller: CallerID
    }

    struct Reader: Hashable, Sendable {
        let caller: CallerID
        /// The commit point at its arrival.
        let through: UInt64
    }

    var term: Term
    /// The append that raises the run (rule R1).
    var runTicket: UInt64
    /// Until when others may believe that they hold a lease from here (rule R5).
    var waits: [NodeID: LogicalInstant]
    var phase = Phase.preparing
    /// For measuring only.
    var servingSince: LogicalInstant?
    var engine = EngineProgress()
    var comparison: LogComparison
    var peers: [NodeID: PeerProgress] = [:]
    var stores: [NodeID: StoreID] = [:]
    /// The in-sync set as of the last descriptor.
    var inSync: [NodeID] = []
    var writers: [Writer] = []
    var readers: [Reader] = []
    var verification: Verification?
    var joinTicket: UInt64 = 0
    var fenceTicket: UInt64 = 0
    var fencedAt: LogicalInstant?
    /// Since when this node's log has been seen not to reach its disk.
    var unfitSince: LogicalInstant?

    init(term: Term, runTicket: UInt64, waits: [NodeID: LogicalInstant], comparison: LogComparison) {
        self.comparison = comparison
        self.term = term
        self.runTicket = runTicket
        self.waits = waits
    }
}

/// Whether a replica's engine takes in what is committed.
struct EngineProgress: Hashable, Sendable {
    private(set) var applied: UInt64 = 0
    /// Since when it owes something and has done nothing; nil when it owes nothing.
    private var owesSince: LogicalInstant?

    mutating func note(_ applied: UInt64, of committed: UInt64, at now: LogicalInstant) {
        if applied >= committed {
            owesSince = nil
        } else if applied > self.applied || owesSince == nil {
            owesSince = now
        }
        self.applied = max(self.applied, applied)
    }

    func isStuck(for span: Span, at now: LogicalInstant) -> Bool { owesSince.map { now >= $0 + span } ?? false }
}

/// One comparison of all replicas at one position (rule M6).
package struct Verification: Hashable, Sendable {
    package let operation: OperationID
    package let position: Position
    package let orderedAt: LogicalInstant
    /// Unanswered for so long, it is taken again.
    let patience: Span
    package private(set) var checksums: [NodeID: UInt64] = [:]

    init(operation: OperationID, position: Position, orderedAt: LogicalInstant, patience: Span) {
        self.operation = operation
        self.position = position
        self.orderedAt = orderedAt
        self.patience = patience
    }

    func isRunning(at now: LogicalInstant) -> Bool { now < orderedAt + patience }

    mutating func taken(_ report: ReplicationMessage.VerifyReport, by node: NodeID) {
        if report.position == position { checksums[node] = report.checksum }
    }

    /// Whether the two nodes' rows were equal; nil while one has not said.
    package func agree(_ a: NodeID, _ b: NodeID) -> Bool? {
        guard let first = checksums[a], let second = checksums[b] else { return nil }
        return first == second
    }
}
