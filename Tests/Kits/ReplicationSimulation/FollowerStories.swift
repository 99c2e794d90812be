// Conversations with one replica, or one lease book, by others that are not ours: what they say here, ours say only when rare things
// meet.

package import Model
import Replication
package import SimulationKit

package enum FollowerStories {
    private static let names = ["a", "b", "c"].compactMap { try? NodeID($0) }
    private static let id = PartitionID(7)
    private static let now = LogicalInstant(microseconds: 60_000_000)

    /// The three of them, of whom `primary` leads at `epoch`.
    private static func descriptor(_ epoch: UInt64, primary: NodeID?, learner: NodeID? = nil) -> PartitionDescriptor {
        let replicas = names.map {
            ReplicaDescriptor(
                node: $0, store: StoreID(1), storage: StorageID(7), role: $0 == learner ? .learner : .inSync)
        }
        return PartitionDescriptor(
            id: id, table: TableID(1), range: .all, epoch: Epoch(epoch), primary: primary, replicas: replicas, status: .active)
    }

    /// The second of them, told by hand, at one moment.
    private struct Follower {
        var replica: Replica
        /// Of the last append.
        private var ticket: UInt64 = 0
        private let leases = LeaseBook(startedAt: .origin, generation: Generation(1))

        init(_ mutant: RuleMutant?, hard: HardState = HardState()) throws(Violation) {
            guard FollowerStories.names.count == 3 else { throw Violation("three nodes are a partition's") }
            replica = Replica(
                id: FollowerStories.id, node: FollowerStories.names[1], incarnation: 1, hard: hard,
                settings: ReplicationSettings().with(mutant))
        }

        @discardableResult
        mutating func step(_ input: Replica.Input) -> [Replica.Action] {
            let actions = replica.step(input, at: FollowerStories.now, leases: leases)
            for action in actions { if case .append(_, let ticket) = action { self.ticket = ticket } }
            return actions
        }

        /// Its disk has all that it wrote.
        mutating func sync() { step(.persisted(ticket: ticket)) }

        mutating func learn(_ descriptor: PartitionDescriptor) {
            step(.learned(descriptor, minInSync: 1, grants: [:]))
            sync()
        }

        mutating func prepare(_ entries: [Entry], after point: LogPoint, in term: Term) -> [Replica.Action] {
            let prepare = ReplicationMessage.Prepare(
                term: term, previous: point, entries: entries, commit: 0, wantsReply: true)
            let message = ReplicationMessage(partition: FollowerStories.id, epoch: term.epoch, body: .prepare(prepare))
            return step(.received(message, from: FollowerStories.names[term.epoch == Epoch(1) ? 0 : 2]))
        }
    }

    /// An opening and two writes.
    private static func entries(of term: Term, after point: LogPoint = .start) -> [Entry] {
        var (entries, last) = ([Entry](), point)
        for number in 0..<3 {
            let body: EntryBody = number == 0 ? .opening : .write([UInt8(number)], nil)
            let entry = Entry(position: Position(term, last.sequence + 1), body: body, after: last.checksum)
            entries.append(entry)
            last = entry.point
        }
        return entries
    }

    private static func isAcknowledgement(_ action: Replica.Action) -> Bool {
        guard case .send(let message, _) = action, case .ack = message.body else { return false }
        return true
    }

    private static func records(_ actions: [Replica.Action]) -> [PartitionRecord] {
        actions.flatMap { action in if case .append(let records, _) = action { records } else { [PartitionRecord]() } }
    }

    // MARK: - A follower

    /// A later primary does not have the end of what this follower took from the one before.
    package static func cutsFirst(_ mutant: RuleMutant?) throws(Violation) {
        var follower = try Follower(mutant)
        let (old, new) = (Term(epoch: Epoch(1), run: 1), Term(epoch: Epoch(2), run: 2))
        let kept = entries(of: old)
        follower.learn(descriptor(1, primary: names[0]))
        _ = follower.prepare(kept, after: .start, in: old)
        follower.sync()
        follower.learn(descriptor(2, primary: names[2], learner: names[0]))
        let said = follower.prepare([entries(of: new, after: kept[0].point)[0]], after: kept[0].point, in: new)
        guard records(said).contains(.cut(id, through: 1)) else {
            throw Violation("a follower does not cut what its primary does not have")
        }
        if said.contains(where: isAcknowledgement) {
            throw Violation("a follower acknowledges in a new epoch, and what it cut is still on its disk")
        }
    }

    /// The deposed primary goes on to send.
    package static func deposedSender(_ mutant: RuleMutant?) throws(Violation) {
        var follower = try Follower(mutant)
        let old = Term(epoch: Epoch(1), run: 1)
        follower.learn(descriptor(1, primary: names[0]))
        follower.learn(descriptor(2, primary: names[2], learner: names[0]))
        let said = follower.prepare(entries(of: old), after: .start, in: old)
        guard records(said).isEmpty else { throw Violation("a follower of epoch 2 takes what the primary of epoch 1 orders") }
    }

    /// This disk acknowledged in epoch 5; a start finds a topology of epoch 3, in which this node led.
    package static func olderTopology(_ mutant: RuleMutant?) throws(Violation) {
        var follower = try Follower(mutant, hard: HardState(epoch: Epoch(5), run: 1))
        follower.learn(descriptor(3, primary: names[1]))
        if follower.replica.isPrimary { throw Violation("a node leads epoch 3, and its own disk has been in epoch 5") }
    }

    /// A snapshot begins to replace the rows, and the process dies before it is whole.
    package static func tornSnapshot(_ mutant: RuleMutant?) throws(Violation) {
        var follower = try Follower(mutant)
        follower.learn(descriptor(1, primary: names[0], learner: names[1]))
        let term = Term(epoch: Epoch(1), run: 1)
        var found = RecoveredPartition()
        for record in records(follower.prepare(entries(of: term), after: .start, in: term)) { found.add(record) }
        follower.sync()
        for record in records(follower.step(.snapshotBegun(copy: 1))) { found.add(record) }
        let log = try? found.log(origin: .start, applied: .zero)
        guard found.isDropped || log?.lastSequence == 0 else {
            throw Violation("a start counts on a log whose rows a snapshot has begun to replace")
        }
    }

    // MARK: - A lease

    private static func book(_ mutant: RuleMutant?, startedAt: LogicalInstant = .origin) -> LeaseBook {
        LeaseBook(startedAt: startedAt, generation: Generation(1), settings: LeaseSettings().with(mutant))
    }

    private static func request(_ holder: inout LeaseBook) throws(Violation) -> LeaseRequest {
        holder.ownLogSynced(at: now)
        guard let request = holder.requests(to: [names[1]], knowing: .none, at: now).first?.request else {
            throw Violation("nothing is asked for")
        }
        return request
    }

    /// The grant takes its time to come back.
    package static func slowGrant(_ mutant: RuleMutant?) throws(Violation) {
        var (holder, grantor) = (book(mutant), book(mutant))
        let grant = grantor.grant(try request(&holder), to: names[0], excluding: [], at: now)
        holder.granted(grant, by: names[1], at: now + .milliseconds(400))
        let end = grantor.lastGrantEnds(for: names[0])
        holder.ownLogSynced(at: end)
        if holder.holds(id, at: Epoch(1), from: names[1], now: end) {
            throw Violation("a lease is used when its grantor is free already")
        }
    }

    /// The grantor's process dies, and the next one is promoted at once.
    package static func grantorStartsAgain(_ mutant: RuleMutant?) throws(Violation) {
        var (holder, grantor) = (book(mutant), book(mutant))
        holder.granted(grantor.grant(try request(&holder), to: names[0], excluding: [], at: now), by: names[1], at: now)
        let end = book(mutant, startedAt: now + .milliseconds(10)).lastGrantEnds(for: names[0])
        holder.ownLogSynced(at: end)
        if holder.holds(id, at: Epoch(1), from: names[1], now: end) {
            throw Violation("a lease is used when its grantor, which has started again, believes to be free")
        }
    }
}
