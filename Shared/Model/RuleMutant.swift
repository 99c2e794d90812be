// Rules of replication, leases, movement and the catalog that can be turned off one at a time, so that each can be shown to matter: a
// story, a partition or a cluster breaks without it. Only a build with the condition MUTANTS can plant one; in every other, `mutated`
// is false and costs nothing.

package enum RuleMutant: String, CaseIterable, Sendable {
    /// A write is acknowledged as soon as the primary has it on disk. (R1)
    case acknowledgesAlone
    /// One member is not waited for. (R1)
    case acknowledgesOneShort
    /// What a member has received counts as what it has on disk. (R1)
    case countsReceivedForDurable
    /// A primary that starts again goes on in the run that it was in. (R1)
    case keepsRun
    /// Entries are applied as soon as they are on this disk. (R2)
    case appliesUncommitted
    /// A strong read does not wait for the engine. (R2)
    case readsWithoutWaiting
    /// Who is silent for too long is waited for no more, and is in sync still. (R3)
    case acknowledgesBeforeEviction
    /// A write is taken with fewer members than the table asks for. (R3)
    case servesBelowMinimum
    /// A pending learner is not waited for. (R4)
    case forgetsPendingJoin
    /// A join is settled by whatever answer comes first. (R4)
    case settlesJoinByAnswer
    /// A learner is proposed before it has all that is committed. (R4)
    case joinsTooEarly
    /// A learner is proposed for what it said before the epoch rose for the loss of its copy. (R4, E4)
    case joinsUnheard
    /// A new primary waits for nobody's lease. (R5)
    case skipsLeaseWait
    /// A new primary serves before its in-sync set has its tail. (R5)
    case servesBeforeOpened
    /// A new primary does not look at the others' logs. (R5)
    case comparesNoLogs
    /// What a follower cut is acknowledged over before the cut is on disk. (R5)
    case acknowledgesBeforeCut
    /// A follower takes entries in any epoch, of whoever sends them. (E2)
    case followsAnybody
    /// A request of another epoch is served. (E3)
    case servesOtherEpochs
    /// Strong reads need no grants. (L1)
    case readsWithoutGrants
    /// A grant says nothing of what its holder does not know. (L1)
    case grantsWithoutExclusions
    /// A grant counts from when it came. (L2)
    case countsGrantFromArrival
    /// A start has granted nothing. (L2)
    case startForgetsGrants
    /// A node whose disk stands still asks for leases, and uses them. (L3)
    case holdsLeasesOnStalledDisk
    /// A last member serves without anybody's leave. (R6)
    case servesAlone
    /// A fence that has stood too long is lifted where it stands. (M4)
    case liftsFenceByItself
    /// Nobody asks for the end of a fence that has stood too long. (M4)
    case neverAborts
    /// A fence does not outlive the process. (M4)
    case forgetsFence
    /// A copy joins whatever its rows are. (M6)
    case skipsComparison
    /// A snapshot is taken whoever sends it, for whatever term. (M5)
    case takesAnySnapshot
    /// Rows are replaced by a snapshot while the log still counts for them. (M5)
    case keepsLogUnderSnapshot
    /// A copy is removed before the log has given it up. (M3, E4)
    case dropsBeforeLog
    /// A copy is removed before the mirror on disk says that it is over. (M3)
    case dropsBeforeMirror
    /// Children are installed before their first records are on disk. (M2)
    case installsBeforeLog
    /// A write that is sent again is looked for in the engine alone, and not in what is on its way there. (R8)
    case looksOnlyInEngine
    /// What was vouched for counts as here before it is applied. (M9)
    case takesVouchedForApplied
    /// Who has no right to read vouches for others all the same. (M9, L1)
    case vouchesWithoutRight
    /// What was proposed at an epoch that is over is remembered for ever. (M4)
    case keepsEndedProposals
    /// A writer who was told is remembered for ever. (R1)
    case keepsToldWriters
    /// Entries leave the log before the engine has them on disk. (R9)
    case forgetsUnsynced
    /// The record that stands for older ones in the log says nothing of epochs, runs and fences. (R9)
    case checkpointsNoState
    /// A learner is waited for, however long the log becomes. (R9)
    case keepsLogForLearners
    /// A member whose log has lost what it acknowledged is sent it again, and stays in sync. (E4)
    case believesShortLogs
    /// A copy that the engine found damaged goes on. (F6)
    case servesDamaged
    /// A damaged learner is made anew in the epoch in which it has spoken. (R4)
    case rebuildsAtOnce
    /// A change of the topology is applied to another one than it was made from. (T3)
    case takesGaps
    /// A descriptor older than what the disk has acknowledged under gives a role. (E1)
    case takesOlderDescriptors

    /// A proposal is taken at whatever epoch. (E1)
    case ignoresEpochs
    /// A member leaves the in-sync set and the epoch stays. (E1)
    case keepsEpoch
    /// A proposal of a process that was replaced is taken. (E6)
    case ignoresSessions
    /// A plan is carried out, though a node that it counts on has started again since. (M7)
    case ignoresPlannedSessions
    /// Any replica may be promoted. (R6)
    case promotesAnybody
    /// A copy is forced into the lead while an in-sync member is there. (R6)
    case forcesOverMembers
    /// Learners follow a primary that was forced, though they may have more than it has. (R6)
    case keepsForcedLearners
    /// Who was forced into the lead waits as one who was in sync does. (R6)
    case skipsForcedWait
    /// Who was forced into the lead serves whatever there is of its copy. (R6)
    case servesHalfCopies
    /// The last member leaves its in-sync set too. (F2)
    case losesLastMember
    /// A node that has failed stays primary of what it led. (F2)
    case leavesPrimary
    /// A split is committed whoever held its record. (M2)
    case splitsWithoutRecord
    /// A merge is committed whoever held its records. (M2)
    case mergesWithoutRecords
    /// What two are merged into starts where the left one ended. (M2)
    case startsAtLeftEnd
    /// A merge that is undone goes on at the right half. (M3, M4)
    case undoesLeftHalf
    /// What is to be removed is not recorded. (M1, M3)
    case recordsNoCleanup
    /// The halves of a split do not meet. (M8)
    case losesKeys
    /// Another disk under a known name keeps the places of the one before. (E4)
    case trustsOtherStores
    /// The registration of a process that was replaced is taken when it comes late. (E4, E6)
    case believesLateRegistrations
    /// A learner that has lost its copy joins for what it had before. (R4, E4)
    case joinsLostCopies
    /// Who returns in the same session leads what it said it does not have. (E4, F2)
    case forgetsDamage
    /// A death is believed that only one has found. (F2)
    case believesOneWitness
    /// Who has failed and started again since is failed by the old news. (F2, E6)
    case failsLaterLives
    /// A move's source may leave before it has given its role away. (M2)
    case dropsBeforeSwitch
    /// What a leader proposed of its own accord is remembered when it was answered. (C5)
    case keepsOwnProposals
}
