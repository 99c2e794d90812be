/// Every bound in one place, with its unit and its reason.
package enum Limits {
    /// Bytes of an encoded key: fits a SQLite index page and a gossip-free frame many times over.
    package static let keyBytes = 4 * 1_024
    /// Bytes of one row as it is logged.
    package static let rowBytes = 1_024 * 1_024
    /// Mutations in one batch.
    package static let batchMutations = 1_000
    /// Bytes of one batch as it is logged: one log record.
    package static let batchBytes = 4 * 1_024 * 1_024
    /// Columns of a table.
    package static let columns = 256
    /// Rows in one page of a scan.
    package static let scanRows = 10_000
    /// Bytes of one page of a scan.
    package static let scanBytes = 4 * 1_024 * 1_024
    /// Bytes of one frame on a link: a batch, or a block of a copy, with room for its envelope.
    package static let frameBytes = 8 * 1_024 * 1_024
    /// Bytes of one gossip datagram, sealed: below the smallest usual path MTU.
    package static let datagramBytes = 1_400
    /// Starts of one node, on disk and in what others say of it: one every ten seconds for two and a half years. Numbers that no two
    /// starts may share are made of it by a shift of 40 bits, and must fit 63.
    package static let generation = UInt64(1) << 23
    /// The last start of a node that its peers believe in: what a new disk of the node begins behind must leave it one that a disk keeps,
    /// and another that may follow.
    package static let latestStart = generation - 2
    /// Starts that are left to whoever's count is raised because another disk, or a mistake, was further: enough to run the node until it
    /// is replaced by one of another name.
    package static let startsLeft: UInt64 = 1_024
    /// Partitions that one `POST /tables` may make.
    package static let partitionsPerCreate = 4_096
    /// Bytes of a bearer token.
    package static let tokenBytes = 8 * 1_024
    /// Bytes of one configuration entry's value.
    package static let configurationValueBytes = 64 * 1_024
    /// How long a write's key is remembered, counted from when it was made (rule R8): many times longer than a client tries.
    package static let writeKeyAge = Span.seconds(600)
    /// How far a client's clock may be ahead of the primary's for its keys to be taken.
    package static let writeKeyLead = Span.seconds(300)
    /// Replicas of one partition.
    package static let replicationFactor = 9
}
