// Known bugs that seeds hardly bring out, each in a short story with one end: every promise holds. Where the bug is planted, one breaks.

import ReplicationSimulation
package import SimulationKit

package struct ClusterStory: Sendable {
    package let name: String
    private let story: @Sendable (ClusterBug?) throws(Violation) -> Void

    /// In the order in which they are told.
    package static let all: [ClusterStory] = [
        ClusterStory("standing disk") { (bug) throws(Violation) in try ReplicaStories.standingDisk(bug?.rule) },
        ClusterStory("pending join") { (bug) throws(Violation) in try ReplicaStories.pendingJoin(bug?.rule) },
        ClusterStory("refused join") { (bug) throws(Violation) in try ReplicaStories.refusedJoin(bug?.rule) },
        ClusterStory("early join") { (bug) throws(Violation) in try ReplicaStories.earlyJoin(bug?.rule) },
        ClusterStory("unheard join") { (bug) throws(Violation) in try ReplicaStories.unheardJoin(bug?.rule) },
        ClusterStory("deposed reader") { (bug) throws(Violation) in try ReplicaStories.deposedReader(bug?.rule) },
        ClusterStory("deposed voucher") { (bug) throws(Violation) in try ReplicaStories.deposedVoucher(bug?.rule) },
        ClusterStory("asked twice") { (bug) throws(Violation) in try ReplicaStories.askedTwice(bug?.rule) },
        ClusterStory("restored disk") { (bug) throws(Violation) in try ReplicaStories.restoredDisk(bug?.rule) },
        ClusterStory("last member") { (bug) throws(Violation) in try ReplicaStories.lastMember(bug?.rule) },
        ClusterStory("long fence") { (bug) throws(Violation) in try ReplicaStories.longFence(bug?.rule) },
        ClusterStory("fence over restart") { (bug) throws(Violation) in try ReplicaStories.fenceOverRestart(bug?.rule) },
        ClusterStory("follower cuts") { (bug) throws(Violation) in try FollowerStories.cutsFirst(bug?.rule) },
        ClusterStory("deposed sender") { (bug) throws(Violation) in try FollowerStories.deposedSender(bug?.rule) },
        ClusterStory("older topology") { (bug) throws(Violation) in try FollowerStories.olderTopology(bug?.rule) },
        ClusterStory("torn snapshot") { (bug) throws(Violation) in try FollowerStories.tornSnapshot(bug?.rule) },
        ClusterStory("slow grant") { (bug) throws(Violation) in try FollowerStories.slowGrant(bug?.rule) },
        ClusterStory("grantor starts again") { (bug) throws(Violation) in try FollowerStories.grantorStartsAgain(bug?.rule) },
        ClusterStory("old proposal", CatalogStories.oldProposal),
        ClusterStory("replaced process", CatalogStories.replacedProcess),
        ClusterStory("other store", CatalogStories.otherStore),
        ClusterStory("late registration", CatalogStories.lateRegistration),
        ClusterStory("lost learner", CatalogStories.lostLearner),
        ClusterStory("damaged return", CatalogStories.damagedReturn),
        ClusterStory("one witness", CatalogStories.oneWitness),
        ClusterStory("late death", CatalogStories.lateDeath),
        ClusterStory("learner survives", CatalogStories.learnerSurvives),
        ClusterStory("leaving primary", CatalogStories.leavingPrimary),
        ClusterStory("what a move leaves", CatalogStories.leftovers),
        ClusterStory("unheld split", CatalogStories.unheldSplit),
        ClusterStory("unheld merge", CatalogStories.unheldMerge),
        ClusterStory("behind both halves", CatalogStories.behindBothHalves),
        ClusterStory("undone merge", CatalogStories.undoneMerge),
        ClusterStory("stalled reader", ProcessStories.stalledReader),
        ClusterStory("old route", ProcessStories.oldRoute),
        ClusterStory("asked again", ProcessStories.askedAgain),
        ClusterStory("unheard primary", ProcessStories.unheardPrimary),
        ClusterStory("slow word", ProcessStories.slowWord),
        ClusterStory("unknowing holder", ProcessStories.unknowingHolder),
        ClusterStory("strange snapshot", ProcessStories.strangeSnapshot),
        ClusterStory("lonely coordinator", ProcessStories.lonelyCoordinator),
        ClusterStory("forced over a member", CatalogStories.forcedOverMember),
        ClusterStory("forced beside learners", CatalogStories.forcedBesideLearners),
        ClusterStory("forced onto nothing", ProcessStories.forcedOntoNothing),
        ClusterStory("damaged learner", ProcessStories.damagedLearner),
        ClusterStory("forced promotion", ForcedPromotionRun.story),
        ClusterStory("forgotten fence") { (bug) throws(Violation) in try ReplicaStories.forgottenFence(bug?.rule) },
        ClusterStory("silent member") { (bug) throws(Violation) in try ReplicaStories.silentMember(bug?.rule) },
        ClusterStory("too few copies") { (bug) throws(Violation) in try ReplicaStories.tooFewCopies(bug?.rule) },
        ClusterStory("stalled primary") { (bug) throws(Violation) in try ReplicaStories.stalledPrimary(bug?.rule) },
        ClusterStory("short log") { (bug) throws(Violation) in try ReplicaStories.shortLog(bug?.rule) },
        ClusterStory("planned before a start", CatalogStories.plannedBeforeStart),
        ClusterStory("damaged copy", ProcessStories.damagedCopy),
        ClusterStory("missed change", ProcessStories.missedChange),
        ClusterStory("spoilt copy", SpoiltCopy.story),
    ]

    private init(_ name: String, _ story: @escaping @Sendable (ClusterBug?) throws(Violation) -> Void) {
        self.name = name
        self.story = story
    }

    /// Plays it with a planted bug or none.
    package func play(_ bug: ClusterBug?) throws(Violation) { try story(bug) }
}
