// The runtime as a service: what it waits for besides callers and links (the clock, rumours, the ends of links), and its end.

import CoordinatorCore
import Consensus
import LogStorage
import Logging
import Membership
import Model
import NIOCore
import ServiceLifecycle
import Transport

extension CoordinatorRuntime: Service {
    package func run() async throws {
        await cancelWhenGracefulShutdown { await withTaskExecutorPreference(self.tasks) { await self.turn() } }
    }

    private func turn() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.settleSnapshots() }
            group.addTask { await self.takeLinkEvents() }
            group.addTask { await self.takeRumours() }
            group.addTask { await self.takeKeyNews() }
            await group.waitForAll()
        }
        // Nobody waits for ever on a coordinator that has stopped.
        hasEnded = true
        alarm?.task.cancel()
        for caller in callers.values { caller.resume(returning: .unknown) }
        callers = [:]
        for reader in readers.values { reader.resume(returning: false) }
        readers = [:]
        for steerer in steerers.values { steerer.resume(returning: .unknown) }
        steerers = [:]
    }

    // MARK: - Time

    /// A deadline that came nearer moves the alarm. One that moved away does not: the alarm then rings for nothing, once.
    func setAlarm() {
        let due = core.nextDeadline
        if let alarm {
            guard due < alarm.due else { return }
            alarm.task.cancel()
        }
        let wait = min(max(due - BootClock.now(), .milliseconds(1)), Self.longestSleep)
        let task = loop.scheduleTask(in: .microseconds(wait.microseconds)) { self.assumeIsolated { $0.ring() } }
        alarm = (due, task)
    }

    /// The disk is looked at so often, whatever else happens; and a clock that has jumped is noticed.
    private static let longestSleep = Span.milliseconds(500)

    private func ring() {
        alarm = nil
        guard !hasEnded else { return }
        lookAtSpace()
        for member in beliefs.news(among: { gossip.members.map(ToldBeliefs.Held.init) }, at: BootClock.now()) { tell(member) }
        if core.nextDeadline <= BootClock.now() { step(.tick) } else { setAlarm() }
    }

    /// Before the disk is full, only what keeps the cluster serving is taken on.
    private func lookAtSpace() {
        let space = store.space
        guard space.admits != admits else { return }
        admits = space.admits
        if admits {
            logger.notice("changes are taken again: the disk has room", metadata: ["space": "\(space)"])
        } else {
            logger.error("changes are refused: the disk is nearly full", metadata: ["space": "\(space)"])
        }
        step(.diskSpace(isLow: !admits))
    }

    private func tell(_ member: ToldBeliefs.Held) {
        let record = member.record
        step(
            .believed(
                record.node, generation: record.life.generation, session: record.profile.session,
                isAlive: record.status == .alive, isHeard: member.isHeard))
    }

    private func takeLinkEvents() async {
        for await event in links.events {
            let peer: NodeID
            switch event {
            case .disconnected(let node):
                peer = node
                gossip.linkEnded(to: peer)
            case .refused(let node):
                peer = node
                gossip.linkRefused(by: peer)
            case .ended(let node): peer = node
            case .connected:
                // Whoever has started again knows nothing of what was said before.
                step(.gossipKeysHeld(keys.held))
                continue
            }
            let members = core.raft.configuration.members.filter { $0.node == peer }
            // Somebody who is no member yet is gone too.
            for member in members.isEmpty ? [MemberID(peer)] : members { step(.connectionLost(member)) }
        }
    }

    private func takeKeyNews() async {
        for await held in keys.news { step(.gossipKeysHeld(held)) }
    }

    private func takeRumours() async {
        var told = ToldDeaths()
        for await event in gossip.events {
            switch event {
            case .memberChanged(let record):
                guard record.profile.kind == .agent else { continue }
                // As it is now: where the reader is behind, this has been overtaken.
                let current = gossip.member(record.node).map(ToldBeliefs.Held.init) ?? .init(record: record, isHeard: false)
                beliefs.note(current)
                tell(current)
            case .deathsFound(let deaths):
                for death in deaths {
                    logger.log(
                        level: told.isNews(death) ? .warning : .debug, "death found",
                        metadata: ["member": "\(death.node)", "session": "\(death.session)"])
                }
                noteDeaths(DeathReport(deaths, witness: node))
            case .revisionHeard, .identityInUse: break
            }
        }
    }
}
