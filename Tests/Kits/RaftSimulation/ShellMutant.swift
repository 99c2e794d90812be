// Known ways in which the shell around a consensus core has lost data elsewhere, as switches of the simulated shell: each breaks one
// rule of `RaftProcess` or `LogStore`, and the simulator must notice.

package enum ShellMutant: String, CaseIterable, Sendable {
    /// Votes and acknowledgements leave while their write is under way. (etcd #14140; CONSENSUS A1)
    case answersBeforeSync
    /// A write is said to be durable when it has been handed over. (etcd #14370; A3)
    case persistedBeforeSync
    /// Records are written and never synced. (NATS 2.12.1; A1)
    case neverSyncs
    /// Term and vote are written only beside entries. (A1, A2)
    case forgetsVote
    /// A failed sync is taken for a success. (ATC'20; A6)
    case ignoresSyncError
    /// The log ends at the first damage, wherever it stands. (NATS; A7, rule C2)
    case cutsAtDamage
    /// New records are written behind a torn tail. (etcd #11488; A7)
    case writesBehindTornTail
    /// A start counts on what it reads, though a killed process may never have synced it. (A1)
    case trustsCache
    /// A new segment's name is not made durable. (A8)
    case forgetsFolder
    /// A snapshot is renamed before its bytes are synced. (etcd #5518; A8)
    case renamesBeforeSync
    /// Entries are dropped as soon as a snapshot is begun. (A8, C23)
    case dropsBeforeSnapshot
    /// A new segment does not begin with the vote, and the old ones are dropped. (A2)
    case dropsVote
    /// A retried request takes effect again. (RedisRaft #13; E33)
    case forgetsSessions
    /// A read is answered before the state has come to its index. (etcd #7331; E31)
    case readsTooEarly
    /// A leader answers reads from its state without asking anybody. (Jepsen; E32)
    case readsWithoutRound
    /// An emptied disk comes back under its old name. (dragonboat #256; A10)
    case keepsNameOfWipedStore
    /// A request is refused, as if it had no effect, when its leader steps down. (E33)
    case refusesUnknown
    /// A snapshot from the leader is kept on disk and not given to the state machine. (dragonboat #369; A5)
    case skipsInstall
    /// One member's state machine comes to another state than the others' by the same entries. (etcd #13766; rule C4)
    case appliesOtherwise
    /// The answer goes to whoever waits at that index, whichever entry came out there. (E33)
    case answersByIndex
    /// The log after a snapshot from the leader still holds what stood before it. (C23, A7)
    case forgetsReset
    /// A start goes by a snapshot that has made the log void, and does not say so in it. (C23, A7)
    case forgetsVoidLog
}
