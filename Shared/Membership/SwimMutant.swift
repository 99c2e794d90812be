// Rules of the protocol that can be turned off one at a time, so that each can be shown to matter: some scenario fails without it. Only
// a build with the condition MUTANTS can plant one; in every other, `mutated` is false and costs nothing.

package enum SwimMutant: String, CaseIterable, Sendable {
    /// A suspect that hears of its suspicion says nothing. (SWIM 4.2)
    case refutesNothing
    /// A suspect is not told of its suspicion by the ping that could clear it. (Lifeguard, buddy system)
    case hidesAccusations
    /// A helper that heard nothing says nothing. (Lifeguard, LHA-Probe)
    case sendsNoNacks
    /// What a suspect is told counts as told.
    case countsDeafEars
    /// Who confirms a suspicion is left to the order of probes.
    case confirmsByLuck
    /// Where some have fallen, nobody looks for more.
    case looksNowhereElse
    /// Who has missed what became of a suspect waits for the next comparison.
    case waitsInDoubt
    /// Such a one asks once, whether it is answered or not.
    case asksOnce
    /// Comparisons are asked of those too who are suspect, and unlikely to answer.
    case asksTheDeaf
    /// Who hears that one of those whom it held dead is back does not ask for the others.
    case asksForNoOthers
    /// Our own health changes none of our times. (Lifeguard, LHA-Probe)
    case ignoresOwnHealth
    /// A suspicion has its shortest time from the first accuser on. (Lifeguard, LHA-Suspicion; K = 0)
    case needsNoConfirmation
    /// A pause of our own is taken for our peers' silence. (restate #5156)
    case ignoresLateness
    /// A probe that was under way when we stood still is judged by its time.
    case keepsProbeOverPause
    /// A refused link that was being looked into then is judged by its time.
    case keepsRefusalsOverPause
    /// A suspicion ends when it would have ended without the pause.
    case keepsDeadlinesOverPause
    /// A pause of our own says nothing of our health.
    case staysWellOverPause
    /// A verdict is passed though nobody has answered us. (memberlist #242)
    case judgesUnheard
    /// Who was cut off goes on suspecting those whom it did not hear meanwhile.
    case blamesOthersForItsCut
    /// Who hears nobody gossips as fast as one who is heard.
    case talksToItself
    /// A heard verdict counts at once, about whomever.
    case believesVerdicts
    /// A heard verdict counts though we have not called the suspect.
    case believesUncalled
    /// One call that is lost is enough to believe a verdict.
    case callsOnce
    /// A judge that is sick itself judges as fast as a healthy one.
    case judgesWhenSick
    /// The incarnation alone orders lives. (memberlist #311)
    case ignoresGenerations
    /// What is held of a member may go back. (al8n/memberlist #197)
    case acceptsOldNews
    /// What members hold is never compared.
    case neverCompares
    /// A newcomer compares no sooner than others.
    case waitsToCompare
    /// Rumours travel on probes alone.
    case gossipsOnProbesAlone
    /// How often a rumour is told goes by who is there, not by who should be.
    case countsThePresent
    /// The dead are never called again. (memberlist #222, serf #605)
    case forgetsTheDead
    /// Who is dead or gone is never forgotten. (memberlist #253)
    case neverReaps
    /// Who has forgotten a dead member learns of it again.
    case remindsOfTheDead
    /// A silent member is not asked over a link.
    case asksNoLink
    /// Nobody is asked to ping for us.
    case asksNoHelpers
    /// A refused link is no reason to look.
    case ignoresRefusals
    /// However many links are refused at once, all are looked into.
    case looksIntoAllRefusals
    /// One refused link is a death.
    case trustsOneRefusal
    /// Two whose links were refused are believed by those who have not called.
    case believesRefusers
    /// An incarnation, or a generation, is believed, however high.
    case believesAnyNumber
    /// A member's own word counts for nothing where it is higher than can be believed.
    case believesNoLeap
    /// Who hears that a later life of it is dead is silent for as many starts.
    case outlivesNothing
    /// Who hears that its copy, started later elsewhere, is dead stays dead with it.
    case diesWithItsCopy
    /// Who has heard from others that a member left reports that as its own finding.
    case believesFarewells
    /// Of members whom no roster names there may be any number.
    case takesAnyStranger
    /// A refused link is not looked into while an earlier one was, though that call was answered.
    case looksOnceAtRefusals
    /// Of two copies the one that was met first is kept, though the other is registered.
    case keepsToTheCopy
    /// Whoever is refused, and whose helpers say nothing, is believed.
    case needsNoHelpers
    /// Who hears of another process under its own name and generation refutes it.
    case outbidsItsCopy
    /// Newcomers have no longer time than others.
    case sparesNoYouth
    /// The profile of one incarnation may change.
    case changesProfiles
    /// Whoever has a member's name and life is that member. (consul #733)
    case ignoresDisputes
    /// An old life of a member is not told that it is over.
    case tellsNoZombies
    /// An old life of a member is told so as often as it speaks.
    case tellsZombiesAlways
    /// A decommissioned node may come back.
    case ignoresTombstones
    /// Datagrams may grow. (libnetwork #2247)
    case ignoresBudget
    /// Everybody reports every death at once. (rule F7)
    case reportsAtOnce
    /// Who has heard of a death reports it as its own finding. (rule F2)
    case reportsRumours
    /// Every death is a report of its own.
    case reportsSingly
    /// A death that the control plane knows is reported on. (rule F7)
    case reportsTheSettled
    /// Who was never heard is reported as soon as it is held dead.
    case sparesNoLatecomers
    /// A member that says good-bye is held dead.
    case takesLeavingForDeath
    /// The newest routing revision is not told. (rule T2)
    case hidesRevision
}

extension Swim {
    #if MUTANTS
        func mutated(_ mutant: SwimMutant) -> Bool { tuning.mutant == mutant }
    #else
        @inline(__always) func mutated(_ mutant: SwimMutant) -> Bool { false }
    #endif
}
