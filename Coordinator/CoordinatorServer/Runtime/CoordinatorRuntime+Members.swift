// The runtime and the other members: their links, their messages, and what is measured of failovers.

import Catalog
import Consensus
import CoordinatorCore
import LogStorage
import Logging
import Membership
import Metrics
import Model
package import Transport
import Wire

extension CoordinatorRuntime {
    /// Reads one member's messages until its link ends: the listener's handler for `.raft`.
    package func serve(_ link: Link) async { await withTaskExecutorPreference(tasks) { await self.read(link) } }

    private func read(_ link: Link) async {
        let peer = (node: link.peer.node, store: link.peer.store)
        guard peer.node != node else { return }
        links.noteAlive(peer.node)
        // One link is one start of one data folder.
        var isHeard: [MemberID: Bool] = [:]
        do {
            for try await bytes in link.frames {
                let frame: MemberFrame
                do { frame = try MemberFrame(bytes: bytes) } catch {
                    counters.dropped[.malformed, default: 0] += 1
                    logger.warning("malformed", metadata: ["peer": "\(link.peer.node)", "reason": "\(error)"])
                    return
                }
                if let fault = frame.fault(at: core.id, from: peer.node, store: peer.store) {
                    counters.dropped[fault, default: 0] += 1
                    logger.debug(
                        "dropped", metadata: ["peer": "\(peer.node)", "reason": "\(fault)", "to": "\(frame.to, default: "-")"])
                    continue
                }
                if isHeard[frame.from] == nil { isHeard[frame.from] = try hears(frame.from, link.peer) }
                guard isHeard[frame.from] == true else {
                    counters.dropped[.sender, default: 0] += 1
                    continue
                }
                counters.received += 1
                step(.received(frame.message, from: frame.from))
            }
        } catch {
            logger.debug("a peer's link ended", metadata: ["peer": "\(link.peer.node)", "reason": "\(error)"])
        }
    }

    /// Whether a member comes with the data folder that it had, and not with a copy of an earlier one. Written down here and now: once
    /// for each of its starts.
    private func hears(_ member: MemberID, _ peer: Hello) throws -> Bool {
        do throws(StorageError) {
            if try knownStores.admits(member, store: peer.store, generation: peer.generation) { return true }
        } catch {
            if case .syncFailed = error { stop("\(error)") }
            throw error
        }
        let known = knownStores[member]
        logger.critical(
            "a member came with a copy of its data, or with a founding folder for the second time, and is not heard",
            metadata: [
                "member": "\(member)", "store": "\(peer.store)", "known_store": "\(known?.store, default: "-")",
                "starts": "\(peer.generation.number)", "known_starts": "\(known?.generation.number, default: "-")",
            ])
        return false
    }

    func send(_ message: CoordinatorMessage, to peer: MemberID) {
        let frame = MemberFrame(from: core.id, to: peer, message: message)
        if links.send(frame.serialized(), to: peer.node) { counters.sent += 1 }
    }

    /// Said to whoever is linked: whose store is which, only members know.
    func askToBeLetIn() {
        let frame = MemberFrame(from: core.id, to: nil, message: .waiting(core.id)).serialized()
        for peer in links.connected where links.send(frame, to: peer) { counters.sent += 1 }
    }

    /// Opens and ends links as members come and go. A link to somebody who left ends by itself, or at the next change: the word that he
    /// is no member may still be on its way.
    func followGroup() {
        let configuration = core.raft.configuration
        let isDeclaredAnew = places.declare(core.catalog.coordinators)
        guard isDeclaredAnew || configuration != linked else { return }
        linked = configuration
        let peers = places.peers(of: core.id, in: configuration)
        var addresses = Dictionary(peers.map { ($0.node, $0.addresses.link) }, uniquingKeysWith: { first, _ in first })
        for node in links.connected where addresses[node] == nil { addresses[node] = places[node]?.addresses.link }
        links.setPeers(addresses)
        gossip.setCoordinators(peers.map(\.rosterEntry))
        gossip.adopt(core.catalog.topology)
    }

    func followGossipKeys() {
        if !keysFollowed.isCurrent { askForCurrentKeys() }
        let revision = core.catalog.topology.revision
        guard revision != keysFollowed.at else { return }
        keysFollowed.at = revision
        keys.follow(core.catalog.topology.gossipKeys, isCurrent: keysFollowed.isCurrent)
    }

    /// A linearizable read after the start knows all that was decided before it. That everything committed was applied says nothing: a
    /// disk from before an exchange knows of no later commit.
    private func askForCurrentKeys() {
        let now = BootClock.now()
        guard keysRead.caller == nil, now >= keysRead.due, core.raft.leader != nil else { return }
        lastCaller += 1
        keysRead = (lastCaller, now + .milliseconds(100))
        step(.read(caller: lastCaller))
    }

    func keysReadAnswered(isFresh: Bool) {
        keysRead.caller = nil
        guard isFresh, !keysFollowed.isCurrent else { return }
        keysFollowed = (core.catalog.topology.revision, true)
        keys.follow(core.catalog.topology.gossipKeys, isCurrent: true)
    }

    /// Each failover is measured once: by the member that leads when it is committed.
    func measure(_ news: FailoverNews) {
        switch news {
        case .detected(let node, let span):
            detectTimer.recordNanoseconds(span.microseconds * 1_000)
            logger.notice("failure detected", metadata: ["member": "\(node)", "detect_ms": "\(span.milliseconds)"])
        case .decided(let incident):
            guard let span = incident.clocks.decide else { return }
            decideTimer.recordNanoseconds(span.microseconds * 1_000)
            logger.notice(
                "failure decided",
                metadata: [
                    "member": "\(incident.node)", "session": "\(incident.session)", "incident": "\(incident.id.number)",
                    "decide_ms": "\(span.milliseconds)",
                ])
        case .recovered(let incident):
            let clocks = incident.clocks
            func shown(_ span: Span?) -> Logger.MetadataValue { "\(span.map { "\($0.milliseconds)" } ?? "-")" }
            logger.notice(
                "failover complete",
                metadata: [
                    "member": "\(incident.node)", "incident": "\(incident.id.number)",
                    "partitions": "\(incident.changedHands + incident.withoutPrimary)", "detect_ms": shown(clocks.detect),
                    "decide_ms": shown(clocks.decide), "recover_ms": shown(clocks.recover),
                ])
        }
    }
}
