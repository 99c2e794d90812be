// The replicated state machine of the coordinator group: the topology that agents mirror, and what only coordinators know.
//
// Every coordinator applies the same entries in the same order and holds the same state (rule C4): nothing here reads a clock,
// draws a random number, or lets the order of a dictionary show. An entry is applied in three moves: look whether its request has
// been answered; work out the new descriptors in a `Transaction`, which may refuse and then leaves nothing; commit them at the
// entry's index. Choosing (where a replica goes) is Planning's; the one choice made here is whom to promote, because it must be
// made from the state at apply (rule F2).

package import Model

/// All that a coordinator must remember, as a value: the body of a Raft snapshot.
package struct CatalogSnapshot: Hashable, Sendable {
    package var topology: Topology
    /// Rises when a coordinator group is restored from a backup (rule T3).
    package var history: UInt64
    /// The last applied entry.
    package var index: UInt64
    package var time: WallTime
    package var requests: RequestLedger
    package var proposals: RequestLedger
    package var joinTokens: [String: JoinToken]
    /// Replicas of new tables whose agents have not said yet that they exist.
    package var awaited: [PartitionID: [NodeID]]
    /// When nodes that are failed now were declared so, in log-carried time.
    package var failedAt: [NodeID: WallTime]
    /// Who was declared a member of the coordinator group after it was founded, and where those are reached.
    package var coordinators: [NodeID: CoordinatorDescriptor]
    package var audit: AuditChain

    package init(
        topology: Topology = Topology(), history: UInt64 = 1, index: UInt64 = 0, time: WallTime = WallTime(milliseconds: 0),
        requests: RequestLedger = RequestLedger(), proposals: RequestLedger = RequestLedger(),
        joinTokens: [String: JoinToken] = [:], awaited: [PartitionID: [NodeID]] = [:], failedAt: [NodeID: WallTime] = [:],
        coordinators: [NodeID: CoordinatorDescriptor] = [:], audit: AuditChain = AuditChain()
    ) {
        self.topology = topology
        self.history = history
        self.index = index
        self.time = time
        self.requests = requests
        self.proposals = proposals
        self.joinTokens = joinTokens
        self.awaited = awaited
        self.failedAt = failedAt
        self.coordinators = coordinators
        self.audit = audit
    }
}

package struct CatalogState: Sendable, Equatable {
    package private(set) var snapshot: CatalogSnapshot
    private let digest: AuditDigest
    #if MUTANTS
        /// The planted bug.
        package var mutant: RuleMutant?
    #endif

    /// - Parameter digest: chains the audit trail; the same at every coordinator.
    package init(_ snapshot: CatalogSnapshot = CatalogSnapshot(), digest: @escaping AuditDigest) {
        self.snapshot = snapshot
        self.digest = digest
    }

    package static func == (a: Self, b: Self) -> Bool { a.snapshot == b.snapshot }

    package var topology: Topology { snapshot.topology }
    package var index: UInt64 { snapshot.index }
    package var time: WallTime { snapshot.time }
    package var failedAt: [NodeID: WallTime] { snapshot.failedAt }
    package var coordinators: [NodeID: CoordinatorDescriptor] { snapshot.coordinators }
    package var audit: AuditChain { snapshot.audit }

    /// The first answer under a request id, so that a member can repeat it before it plans anything.
    package func answer(to id: RequestID) -> RequestRecord? { snapshot.requests[id] ?? snapshot.proposals[id] }

    /// Whether a request that was first applied behind the entry at `index` could be applied once more, since its answer may be forgotten.
    package func mayHaveForgotten(since index: UInt64) -> Bool {
        snapshot.requests.mayHaveForgotten(since: index) || snapshot.proposals.mayHaveForgotten(since: index)
    }

    /// Whether a join token with this secret is open: asked before a refusal would cost an entry of the log.
    package func hasJoinToken(_ id: String, secretDigest: [UInt8]) -> Bool {
        snapshot.joinTokens[id]?.secretDigest == secretDigest
    }

    /// How many replicas of a new table are still to be made.
    package func awaitedReplicas(of table: TableID) -> Int {
        snapshot.topology.partitions(of: table).reduce(0) { $0 + (snapshot.awaited[$1.id]?.count ?? 0) }
    }

    /// Applies one committed entry.
    ///
    /// Total: whatever the command says, the answer is a result and the state is valid after it. A request that was answered before
    /// gets that answer again and changes nothing; under the same id another request is refused.
    /// - Parameter index: the entry's Raft index; new tables, operations, partitions and sessions are numbered after it.
    /// - Precondition: `index` is larger than that of every entry applied before.
    /// - Returns: the answer, the topology's change if there is one (from the revision before to this index), the audit record.
    /// - Source: PROTOCOLS C4, C5, E1, M1.
    package mutating func apply(_ entry: CatalogEntry, at index: UInt64) -> AppliedEntry {
        precondition(index > snapshot.index, "entry \(index) does not follow \(snapshot.index)")
        snapshot.index = index
        snapshot.time = max(snapshot.time, entry.time)
        snapshot.requests.forget(at: snapshot.time)
        snapshot.proposals.forget(at: snapshot.time)
        if let known = answer(to: entry.requestID) {
            guard known.fingerprint == entry.fingerprint else {
                let refusal = CatalogRejection(
                    .requestReused, "request \(entry.requestID) was another one", field: "Idempotency-Key")
                return AppliedEntry(result: .refused(refusal), delta: nil, audit: nil)
            }
            return AppliedEntry(result: known.result, delta: nil, audit: nil)
        }

        let (result, changes) = execute(entry, at: index)
        var delta: TopologyDelta?
        if !changes.isEmpty {
            let from = snapshot.topology.revision
            let to = Revision(history: snapshot.history, index: index)
            snapshot.topology.commit(changes, at: to)
            assert(brokenCoverage(after: changes).isEmpty, "\(brokenCoverage(after: changes))")
            delta = TopologyDelta(from: from, to: to, changes: changes, stampedAt: snapshot.time)
        }
        let record = RequestRecord(
            id: entry.requestID, fingerprint: entry.fingerprint, index: index, time: snapshot.time, result: result)
        if case .partition = entry.command { snapshot.proposals.record(record) } else { snapshot.requests.record(record) }
        let audit = snapshot.audit.append(entry, at: index, time: snapshot.time, result: result, digest: digest)
        return AppliedEntry(result: result, delta: delta, audit: audit)
    }

    /// Tables among the changes whose ranges no longer hold each key once (rule M8).
    private func brokenCoverage(after changes: [TopologyChange]) -> [String] {
        let tables = changes.compactMap { change -> TableID? in
            guard case .partition(let partition) = change else { return nil }
            return partition.table
        }
        return Set(tables).sorted().filter { snapshot.topology.tables[$0] != nil }
            .flatMap { Invariants.coverage(of: $0, in: snapshot.topology) }
    }

    /// Works the command out against the state. Its own function, so that the transaction's hold on the old topology has ended
    /// when the new one is made: no copy of it is needed.
    private mutating func execute(_ entry: CatalogEntry, at index: UInt64) -> (CommandResult, [TopologyChange]) {
        var transaction = Transaction(on: snapshot, at: index, actor: entry.actor, reason: entry.reason)
        #if MUTANTS
            transaction.mutant = mutant
        #endif
        do throws(CatalogRejection) {
            let payload = try transaction.execute(entry.command)
            transaction.forgetEndedOperations()
            snapshot.joinTokens = transaction.joinTokens
            snapshot.awaited = transaction.awaited
            snapshot.failedAt = transaction.failedAt
            snapshot.coordinators = transaction.coordinators
            return (.accepted(payload), transaction.changes)
        } catch {
            return (.refused(error), [])
        }
    }
}
