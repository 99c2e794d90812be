// What a coordinator is given at its start, and what it keeps of an agent's report.

package import Catalog
package import Model
package import Planning

/// What the core needs of the world: forms of bytes and one digest.
package struct CoordinatorCodec: Sendable {
    package let encode: @Sendable (CatalogEntry) -> [UInt8]
    package let decode: @Sendable ([UInt8]) throws(MalformedEntry) -> CatalogEntry
    package let encodeSnapshot: @Sendable (CatalogSnapshot) -> [UInt8]
    package let decodeSnapshot: @Sendable ([UInt8]) -> CatalogSnapshot?
    package let digest: AuditDigest

    package init(
        encode: @escaping @Sendable (CatalogEntry) -> [UInt8],
        decode: @escaping @Sendable ([UInt8]) throws(MalformedEntry) -> CatalogEntry,
        encodeSnapshot: @escaping @Sendable (CatalogSnapshot) -> [UInt8],
        decodeSnapshot: @escaping @Sendable ([UInt8]) -> CatalogSnapshot?, digest: @escaping AuditDigest
    ) {
        self.encode = encode
        self.decode = decode
        self.encodeSnapshot = encodeSnapshot
        self.decodeSnapshot = decodeSnapshot
        self.digest = digest
    }

    /// The entry's bytes, and what every member will read from them. What no reader accepts must never be committed: no member could
    /// apply it, and none could ever start again.
    package func written(_ entry: CatalogEntry) throws(MalformedEntry) -> (bytes: [UInt8], entry: CatalogEntry) {
        let bytes = encode(entry)
        return (bytes, try decode(bytes))
    }
}

/// Why no reader takes an entry.
package struct MalformedEntry: Error, Hashable, Sendable {
    /// The field at fault, as the entry's form names it.
    package let field: String
    package let detail: String

    package init(field: String, detail: String) {
        self.field = field
        self.detail = detail
    }

    /// What whoever wrote it is told.
    package var rejection: CatalogRejection {
        CatalogRejection(.invalidValue, "the request is outside what the cluster keeps: \(detail)", field: field)
    }
}

/// An agent's report and when it arrived here, by this member's clock.
package struct ReceivedReport: Hashable, Sendable {
    package let report: NodeReport
    package let at: LogicalInstant

    package init(_ report: NodeReport, at: LogicalInstant) {
        self.report = report
        self.at = at
    }
}

/// What holds for one member from its start. Where a configuration entry of the same meaning is committed, that stands over it.
package struct CoordinatorSettings: Sendable {
    /// How long a caller waits at most. Three election time-outs outlast a change of leader (two until the silence is noticed at the
    /// latest, and the votes): who asks meanwhile is answered by the next leader, instead of being told that there is none.
    package var answerTime: Span
    package var planInterval: Span
    package var repairs: RepairLimits
    /// How long the cluster must have been calm before a primary role is transferred to even out the spread, and again before each
    /// further one.
    package var leadershipDelay: Span
    /// How long a transfer that a planner began may take: most take less than a second, but the gate of one may never open.
    package var transferPatience: Span
    /// How long the planners leave a partition where it is led, after a transfer of theirs came to nothing; twice as long after each
    /// further one, up to the longest.
    package var transferRest: Span
    package var longestTransferRest: Span
    /// How long what a split or a merge has made is neither drained nor led elsewhere by the planners.
    package var restAfterSplit: Span
    /// Entries between two snapshots.
    package var snapshotEntries: UInt64
    /// After so long without a command, so many entries are enough, however large the state.
    package var snapshotRest: Span
    /// Bytes of commands between two snapshots.
    package var snapshotBytes: Int
    /// Commands that may wait here, for a leader or for its answer; and as many beside them that may end a fence.
    package var waitingCommands: Int
    /// Operators' wishes about the group that may wait here.
    package var groupRequests: Int
    /// How often a leader whose disk is nearly full asks the others to take over.
    package var handOverInterval: Span
    #if MUTANTS
        /// The planted bug.
        package var mutant: RuleMutant?
    #endif

    package init(
        answerTime: Span = .milliseconds(900), planInterval: Span = .milliseconds(100), repairs: RepairLimits = RepairLimits(),
        leadershipDelay: Span = .seconds(Int64(ConfigurationRules.leadershipDelay.standard)),
        transferPatience: Span = .seconds(60), transferRest: Span = .seconds(60), longestTransferRest: Span = .seconds(3_600),
        restAfterSplit: Span = .seconds(10), snapshotEntries: UInt64 = 5_000, snapshotRest: Span = .seconds(2),
        snapshotBytes: Int = 32 << 20, waitingCommands: Int = 16_384, groupRequests: Int = 64,
        handOverInterval: Span = .seconds(30)
    ) {
        self.answerTime = answerTime
        self.planInterval = planInterval
        self.repairs = repairs
        self.leadershipDelay = leadershipDelay
        self.transferPatience = transferPatience
        self.transferRest = transferRest
        self.longestTransferRest = longestTransferRest
        self.restAfterSplit = restAfterSplit
        self.snapshotEntries = snapshotEntries
        self.snapshotRest = snapshotRest
        self.snapshotBytes = snapshotBytes
        self.waitingCommands = waitingCommands
        self.groupRequests = groupRequests
        self.handOverInterval = handOverInterval
    }
}

extension CoordinatorSettings {
    #if MUTANTS
        func mutated(_ mutant: RuleMutant) -> Bool { self.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: RuleMutant) -> Bool { false }
    #endif
}
