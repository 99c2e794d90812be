// What replicas of one partition say to each other. Every message names the partition and the epoch that its sender knows (E2).

package import Model

package struct ReplicationMessage: Hashable, Sendable {
    package let partition: PartitionID
    package let epoch: Epoch
    package let body: Body

    package init(partition: PartitionID, epoch: Epoch, body: Body) {
        self.partition = partition
        self.epoch = epoch
        self.body = body
    }

    package enum Body: Hashable, Sendable {
        case prepare(Prepare)
        case ack(Ack)
        case nack(Nack)
        case survey(Survey)
        case standing(Standing)
        /// "I know a newer epoch than yours": a reason to ask for the topology, no more.
        case stale
        /// The primary of the epoch before served, has learned this epoch, and serves nothing any more: no lease need be waited out, its
        /// own or an earlier primary's (R5).
        case yielded
    }

    /// The primary's entries after `previous`; none of them in a beacon.
    package struct Prepare: Hashable, Sendable {
        package let term: Term
        package let previous: LogPoint
        package let entries: [Entry]
        /// Everything up to this sequence is committed (rule R2).
        package let commit: UInt64
        /// An answer is wanted at once, not only when the entries are on disk.
        package let wantsReply: Bool
        /// The receiver's last words, if the sender may read strongly now: nobody has acknowledged anything past `commit` before them.
        package let voucher: Voucher?

        package init(
            term: Term, previous: LogPoint, entries: [Entry], commit: UInt64, wantsReply: Bool, voucher: Voucher? = nil
        ) {
            self.voucher = voucher
            self.term = term
            self.previous = previous
            self.entries = entries
            self.commit = commit
            self.wantsReply = wantsReply
        }
    }

    /// The sender's log agrees with the primary's up to `received`, and is on disk up to `durable` (rule R1).
    package struct Ack: Hashable, Sendable {
        package let term: Term
        package let received: UInt64
        package let durable: UInt64
        /// The sender's last comparison, repeated until a newer one (rule M6).
        package let verified: VerifyReport?
        /// Of which of the sender's logs it speaks: see `Replica.incarnation`.
        package let incarnation: UInt64
        /// The sender's engine has applied so much: one that stands still must not lead (rule F6).
        package let applied: UInt64
        /// Now, by the sender's clock: to be repeated to it in a voucher.
        package let spokenAt: LogicalInstant
        /// The sender's rows came by a snapshot, and it has not been in the in-sync set since (rule M6).
        package let isCopied: Bool

        package init(
            term: Term, received: UInt64, durable: UInt64, verified: VerifyReport?, incarnation: UInt64, applied: UInt64,
            spokenAt: LogicalInstant, isCopied: Bool = false
        ) {
            self.isCopied = isCopied
            self.spokenAt = spokenAt
            self.incarnation = incarnation
            self.applied = applied
            self.term = term
            self.received = received
            self.durable = durable
            self.verified = verified
        }
    }

    /// The sender's log does not have the prepare's predecessor.
    package struct Nack: Hashable, Sendable {
        package let term: Term
        /// The sequence that the prepare named as its predecessor: a late nack is known by it.
        package let refused: UInt64
        /// The sender's last position at or before it.
        package let hint: Position
        /// The last entry that the sender knows to be committed.
        package let committed: Position
        /// The sender holds nothing that entries could be added to.
        package let wantsSnapshot: Bool
        /// Of which of the sender's logs it speaks: see `Replica.incarnation`.
        package let incarnation: UInt64
        /// The newest term that the sender has heard of. When it is later than the primary's own, that disk has gone back (rule E4).
        package let heard: Term

        package init(
            term: Term, refused: UInt64, hint: Position, committed: Position, wantsSnapshot: Bool, incarnation: UInt64,
            heard: Term
        ) {
            self.heard = heard
            self.incarnation = incarnation
            self.term = term
            self.refused = refused
            self.hint = hint
            self.committed = committed
            self.wantsSnapshot = wantsSnapshot
        }
    }

    /// "Show me your log": a primary to be asks every in-sync member, before it opens its term (rules R5, E4).
    package struct Survey: Hashable, Sendable {
        /// Tells answers to one comparison from those to another.
        package let number: UInt64
        /// A point in the sender's log; its last one, at first.
        package let point: LogPoint

        package init(number: UInt64, point: LogPoint) {
            self.number = number
            self.point = point
        }
    }

    /// The answer to a survey.
    package struct Standing: Hashable, Sendable {
        package let number: UInt64
        /// Where the sender's log ends.
        package let last: LogPoint
        /// The newest term that the sender has heard of; never before that of its last entry.
        package let heard: Term
        /// The sender's newest point at or before the one asked about; nil when what it keeps of its log begins later.
        package let common: LogPoint?
        /// What follows `common`, when it is the point asked about; as much as fits one message.
        package let entries: [Entry]

        package init(number: UInt64, last: LogPoint, heard: Term, common: LogPoint?, entries: [Entry]) {
            self.number = number
            self.last = last
            self.heard = heard
            self.common = common
            self.entries = entries
        }
    }

    /// The checksum over the partition's rows after applying exactly the verify entry at `position`.
    package struct VerifyReport: Hashable, Sendable {
        package let position: Position
        package let checksum: UInt64

        package init(position: Position, checksum: UInt64) {
            self.position = position
            self.checksum = checksum
        }
    }
}
