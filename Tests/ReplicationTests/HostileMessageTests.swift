// What a peer sends may be wrong in any way: a fault of its own, another version, a bit that flipped before it was sealed. It ends no
// process, and what is committed stays (rules R5, S6).

import Model
import Testing

@testable import Replication
@testable import ReplicationSimulation

@Suite struct HostileMessageTests {
    /// Draws messages out of what the log holds and of numbers that stand at edges.
    private struct Forger {
        let partition: PartitionID
        let descriptor: PartitionDescriptor
        let log: ReplicaLog
        let terms: [Term]
        var random: SeededGenerator

        mutating func sequence() -> UInt64 {
            let near = log.lastSequence
            let choices: [UInt64] = [
                0, 1, log.base.sequence, log.base.sequence &- 1, log.base.sequence + 1, near, near &- 1, near + 1, near + 2,
                1 << 62 - 1,
            ]
            return Bool.random(using: &random)
                ? choices.randomElement(using: &random)! : UInt64.random(in: 0...near + 2, using: &random)
        }

        mutating func term() -> Term { terms.randomElement(using: &random)! }
        mutating func position() -> Position { Position(term(), sequence()) }

        mutating func point() -> LogPoint {
            let sequence = sequence()
            if let own = log.point(at: sequence), Int.random(in: 0..<4, using: &random) > 0 { return own }
            return LogPoint(position: position(), checksum: UInt32.random(in: 0...3, using: &random))
        }

        /// Entries of which each follows the one before it, or not.
        mutating func entries(after point: LogPoint) -> [Entry] {
            var entries: [Entry] = []
            var last = point
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                switch Int.random(in: 0..<5, using: &random) {
                case 0: entries.append(log.entry(at: sequence()) ?? Entry(position: position(), body: .opening, checksum: 0))
                case 1: entries.append(Entry(position: position(), body: .opening, after: last.checksum))
                case 2:
                    entries.append(
                        log.entry(at: last.sequence &+ 1) ?? Entry(position: position(), body: .opening, checksum: 1))
                default:
                    let next = Position(max(term(), last.position.term), last.sequence &+ 1)
                    entries.append(Entry(position: next, body: .write([7]), after: last.checksum))
                }
                last = entries.last!.point
            }
            return entries
        }

        mutating func instant() -> LogicalInstant {
            LogicalInstant(microseconds: Int64(truncatingIfNeeded: sequence()) &- 2)
        }

        mutating func voucher() -> Voucher { Voucher(incarnation: sequence(), spokenAt: instant()) }

        mutating func message() -> ReplicationMessage {
            let number = sequence()
            let body: ReplicationMessage.Body
            switch Int.random(in: 0..<8, using: &random) {
            case 0...2:
                let previous = point()
                body = .prepare(
                    ReplicationMessage.Prepare(
                        term: term(), previous: previous, entries: entries(after: previous), commit: sequence(),
                        wantsReply: Bool.random(using: &random),
                        voucher: Bool.random(using: &random) ? voucher() : nil))
            case 3:
                let report = ReplicationMessage.VerifyReport(position: position(), checksum: 1)
                body = .ack(
                    ReplicationMessage.Ack(
                        term: term(), received: sequence(), durable: sequence(),
                        verified: Bool.random(using: &random) ? report : nil,
                        incarnation: number, applied: sequence(), spokenAt: instant()))
            case 4:
                body = .nack(
                    ReplicationMessage.Nack(
                        term: term(), refused: sequence(), hint: position(), committed: position(),
                        wantsSnapshot: Bool.random(using: &random), incarnation: number, heard: term()))
            case 5: body = .survey(ReplicationMessage.Survey(number: number, point: point()))
            case 6:
                let common = Bool.random(using: &random) ? point() : nil
                body = .standing(
                    ReplicationMessage.Standing(
                        number: number, last: point(), heard: term(), common: common, entries: entries(after: common ?? point())
                    ))
            default: body = Bool.random(using: &random) ? .stale : .yielded
            }
            let epochs = [descriptor.epoch, descriptor.epoch, descriptor.epoch, Epoch(0), descriptor.epoch.next]
            return ReplicationMessage(partition: partition, epoch: epochs.randomElement(using: &random)!, body: body)
        }
    }

    @Test("no message takes away what is committed, or ends the process, at a follower or at a primary", arguments: 1...20)
    func anyMessage(seed: UInt64) throws {
        let cluster = try ReplicaGroup(seed: seed, nodes: 3, fault: .none)
        #expect(cluster.run(until: { $0.node(0).replica.isServing }))
        for _ in 0..<40 {
            cluster.write(at: cluster.order[0])
            cluster.run(.milliseconds(5))
        }
        for index in [0, 1] {
            let replica = cluster.node(index).replica
            let leases = cluster.node(index).leases
            var now = cluster.now
            var forger = Forger(
                partition: cluster.partition, descriptor: cluster.descriptor, log: replica.log,
                terms: [
                    replica.log.last.position.term, replica.log.last.position.term, Term(epoch: Epoch(0), run: 0),
                    Term(epoch: cluster.descriptor.epoch, run: 1 << 40), Term(epoch: cluster.descriptor.epoch.next, run: 0),
                ], random: SeededGenerator(seed: seed &+ 1_000))
            var victim = replica
            for number in 0..<2_000 {
                // What one message broke is no excuse for what the next one finds.
                if number % 20 == 0 { victim = replica }
                let committed = victim.log.point(at: victim.settled)
                now = now + .milliseconds(1)
                let message = forger.message()
                let sender = cluster.order[Bool.random(using: &forger.random) ? 2 - 2 * index : 2]
                let actions = victim.step([.received(message, from: sender), .tick], at: now, leases: leases)
                if let ticket = actions.compactMap({ if case .append(_, let ticket) = $0 { ticket } else { nil } }).last {
                    _ = victim.step([.persisted(ticket: ticket)], at: now, leases: leases)
                }
                guard let committed, committed.sequence > victim.log.base.sequence else { continue }
                #expect(victim.log.point(at: committed.sequence) == committed, "after \(message)")
            }
        }
    }
}
