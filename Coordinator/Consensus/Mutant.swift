// Bugs that consensus implementations have had, each plantable at the one line of ours that prevents it, so that the simulator can be
// proved to notice them. Only a build with the condition MUTANTS can plant one; in every other, `mutated` is false and costs nothing.

package enum Mutant: String, CaseIterable, Sendable {
    /// Entries of older terms are committed by counting. (logcabin #44; Raft §5.4.2)
    case commitsOldTerms
    /// The leader counts its own log before it is on disk. (etcd #14370)
    case countsUnwrittenLog
    /// A member votes for whoever asks, again and again. (canonical/raft #196)
    case votesTwice
    /// A vote is forgotten when the member follows somebody in the same term.
    case forgetsVoteInTerm
    /// The candidate's log is not looked at. (Raft §5.4.1)
    case votesForShorterLog
    /// Granted pre-votes are counted as votes. (canonical/raft #196)
    case countsPreVotes
    /// Messages of older terms are taken.
    case takesOldTerms
    /// A leader that hears nobody goes on leading. (thesis §6.2; Cloudflare 2020-11-02)
    case leadsAlone
    /// An append cuts what stands behind it, though it matches. (async-raft 9540c904)
    case cutsMatchingEntries
    /// An append is answered with all of the log, not with what it has shown to match.
    case acknowledgesWholeLog
    /// A follower commits what no append has shown to match. (etcd #10166)
    case commitsUnverified
    /// A heartbeat tells the leader's commit index to those that do not hold it. (etcd #10166)
    case tellsCommitToAll
    /// An append that was lost is never asked for again. (etcd #14633)
    case neverProbesAgain
    /// Only the incoming voters commit while a change is under way. (openraft #1802)
    case commitsByNewHalf
    /// Only the incoming voters elect while a change is under way. (openraft #1802)
    case electsByNewHalf
    /// Voters change without a joint configuration. (raft-dev, July 2015; redpanda #17675)
    case changesAtOnce
    /// The commit index on disk counts on entries of its own write, of which a crash may take the end.
    case countsOnThisWrite
    /// A new leader answers reads before it has committed anything. (RedisRaft #18; etcd #7331)
    case readsBeforeCommit
    /// A read is answered without asking whether this is still the leader. (thesis §6.4)
    case readsWithoutQuorum
    /// A read joins the round that is already on its way. (etcd #20418)
    case joinsOpenRound
    /// An answer to an earlier question is taken for one to the newest. (etcd #20418)
    case takesLateReadAnswers
    /// One member too many is counted. (async-raft; openraft #1802)
    case countsSilentMember
    /// A write that was under way when its entries were cut speaks for those that stand there since. (etcd/raft, the ABA race)
    case oldWritesSpeakForNew
    /// A configuration stays in force though its entry is cut. (Raft §6)
    case keepsCutConfiguration
    /// A configuration is in force only when it is committed. (etcd #7625, #11284)
    case configuresAtCommit
    /// The second half of a change begins before the first is committed. (Raft §6)
    case leavesJointEarly
    /// Who is to leave stops campaigning at once, though only its log may say that it is out. (scylla #10618)
    case leavesBeforeCommit
    /// A member that does not know that it votes refuses to. (etcd #10998)
    case learnerNeverVotes
    /// A snapshot does not say who belongs to the group. (RedisRaft #43; matrixone #24966)
    case snapshotForgetsMembers
    /// A member that has got its snapshot is still waited for. (etcd #10308)
    case staysInSnapshot
    /// A refusal does not tell the asker of a newer term. (etcd #8243, #8501; openraft #1796)
    case ignoresRefusersTerm
    /// A transfer that does not come about holds up proposals for ever. (hashicorp #581)
    case neverGivesUpTransfer
}

extension Raft {
    #if MUTANTS
        func mutated(_ mutant: Mutant) -> Bool { settings.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: Mutant) -> Bool { false }
    #endif
}

extension RaftLog {
    #if MUTANTS
        func mutated(_ mutant: Mutant) -> Bool { self.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: Mutant) -> Bool { false }
    #endif
}
