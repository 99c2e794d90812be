// Who changed what, why, and what came of it: a chain of digests over the applied entries, so that a record that is altered or left
// out later shows (rule C5). Refusals stand in it like changes. Only a tail is kept here; shells write out each record.

package import Model

/// One applied entry, as it is told to auditors.
package struct AuditRecord: Hashable, Sendable {
    package let index: UInt64
    package let time: WallTime
    package let actor: Principal
    package let command: String
    package let subject: String
    package let reason: String
    package let requestID: RequestID
    package let traceID: String
    /// `OK`, or the refusal's code.
    package let outcome: String
    /// Digest of the record before and of this one.
    package let hash: [UInt8]

    package init(
        index: UInt64, time: WallTime, actor: Principal, command: String, subject: String, reason: String,
        requestID: RequestID, traceID: String, outcome: String, hash: [UInt8]
    ) {
        self.index = index
        self.time = time
        self.actor = actor
        self.command = command
        self.subject = subject
        self.reason = reason
        self.requestID = requestID
        self.traceID = traceID
        self.outcome = outcome
        self.hash = hash
    }

    /// What is digested: every field, each with its length before it, so that no two records have the same bytes.
    package func digestInput(after previous: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        func append(_ number: UInt64) {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
            }
        }
        func append(_ field: [UInt8]) {
            append(UInt64(field.count))
            bytes += field
        }
        append(previous)
        append(index)
        append(UInt64(bitPattern: time.milliseconds))
        for text in [actor.name, command, subject, reason, requestID.text, traceID, outcome] { append(Array(text.utf8)) }
        return bytes
    }
}

/// The digest that chains the trail: SHA-256 in production, given as a value because cores have no cryptography.
package typealias AuditDigest = @Sendable ([UInt8]) -> [UInt8]

package struct AuditChain: Hashable, Sendable {
    /// Records ever made.
    package private(set) var count: UInt64 = 0
    /// The newest record's hash; empty before the first.
    package private(set) var head: [UInt8] = []
    /// The newest records, oldest first: a quarter more than are kept at the most.
    package private(set) var tail: [AuditRecord] = []

    package init() {}

    package init(count: UInt64, head: [UInt8], tail: [AuditRecord]) {
        self.count = count
        self.head = head
        self.tail = tail
    }

    mutating func append(_ entry: CatalogEntry, at index: UInt64, time: WallTime, result: CommandResult, digest: AuditDigest)
        -> AuditRecord
    {
        let outcome: String =
            switch result {
            case .accepted: "OK"
            case .refused(let rejection): rejection.code.rawValue
            }
        func record(hash: [UInt8]) -> AuditRecord {
            AuditRecord(
                index: index, time: time, actor: entry.actor, command: entry.command.name, subject: entry.command.subject,
                reason: entry.reason, requestID: entry.requestID, traceID: entry.traceID, outcome: outcome, hash: hash)
        }
        let made = record(hash: digest(record(hash: []).digestInput(after: head)))
        head = made.hash
        count += 1
        tail.append(made)
        // Many at a time: an array that loses its first element moves all the others.
        if tail.count >= CatalogLimits.auditTail * 5 / 4 { tail.removeFirst(tail.count - CatalogLimits.auditTail) }
        return made
    }

    /// The first record of `records` whose hash does not follow from the one before; nil when the chain holds.
    package static func firstBreak(in records: [AuditRecord], digest: AuditDigest) -> AuditRecord? {
        guard var previous = records.first else { return nil }
        for record in records.dropFirst() {
            guard digest(record.digestInput(after: previous.hash)) == record.hash else { return record }
            previous = record
        }
        return nil
    }
}
