// Where the writes of a simulated cluster's clients stand, each at one position for ever; and what copies may answer by themselves.

import Model
import SimulationKit

/// A read that was answered without the promise of a strong one.
struct CopyRead: Sendable {
    let register: Int
    let value: UInt64
    let reading: ClusterRequest.Reading
    /// When the request left its client, in true time.
    let askedAt: LogicalInstant
}

struct WriteLedger: Sendable {
    private struct Place: Hashable, CustomStringConvertible {
        let register: Int
        let partition: PartitionID
        let position: Position

        var description: String { "\(position) of \(partition)" }
    }

    private var places: [UInt64: Place] = [:]
    /// Of each register, acknowledgements in the order of time, with the furthest until then. Positions of one register rise, through splits
    /// and merges too.
    private var acknowledged: [Int: [(at: LogicalInstant, furthest: Position)]] = [:]

    // MARK: - Writes

    /// A write was ordered there: it is applied there, or acknowledged to the first who asked.
    mutating func stands(
        _ value: UInt64, of register: Int, at position: Position, in partition: PartitionID
    ) throws(Violation) {
        let place = Place(register: register, partition: partition, position: position)
        guard let other = places.updateValue(place, forKey: value), other != place else { return }
        throw Violation("the write of \(value) is done twice: at \(other) and at \(place)")
    }

    /// Whoever asked again was told of it: what he is told is the first position, in whichever partition the row is by now.
    mutating func answered(_ done: AgentProcess.AcknowledgedWrite) throws(Violation) {
        guard let known = places[done.value] else {
            return try stands(done.value, of: done.register, at: done.position, in: done.partition)
        }
        guard known.position == done.position else {
            throw Violation("the write of \(done.value) stands at \(known), and who asks again is told of \(done.position)")
        }
    }

    mutating func note(_ done: AgentProcess.AcknowledgedWrite, at now: LogicalInstant) {
        let before = acknowledged[done.register]?.last?.furthest ?? .zero
        if before < done.position { acknowledged[done.register, default: []].append((now, done.position)) }
    }

    /// An operator has given up what was acknowledged before.
    mutating func beginAnew() { acknowledged = [:] }

    /// Nothing that was acknowledged is missing (rule R1): what a register holds at rest was written where the last acknowledged write
    /// stands, or behind it. Said of each register by itself, whether or not an order is found that explains all calls.
    func isKept(in register: Int, holding value: UInt64?) throws(Violation) {
        guard let last = acknowledged[register]?.last?.furthest else { return }
        let place = value.flatMap { places[$0] }
        guard let place, place.register == register, place.position >= last else {
            let held = place.map { "\(value ?? 0), written at \($0)" } ?? "\(value ?? 0), which nobody wrote"
            throw Violation("a write of register \(register) was acknowledged at \(last), and the register holds \(held)")
        }
    }

    /// The furthest of a register that was acknowledged before `instant`.
    private func furthest(of register: Int, before instant: LogicalInstant) -> Position {
        acknowledged[register]?.last { $0.at < instant }?.furthest ?? .zero
    }

    // MARK: - Reads

    /// Whatever it is, it was committed (rule R2). A bounded one has all that was acknowledged before its bound: counted by a clock that
    /// drifts by no more than rule L2 allows, from when it was asked for (rule M9).
    func explains(_ read: CopyRead) throws(Violation) {
        let place = places[read.value]
        guard read.value == 0 || place?.register == read.register else {
            throw Violation("a copy answers register \(read.register) with \(read.value), which was never committed there")
        }
        guard case .bounded(let bound) = read.reading else { return }
        let due = furthest(of: read.register, before: read.askedAt - bound * 101 / 100 - .milliseconds(1))
        guard (place?.position ?? .zero) >= due else {
            throw Violation(
                "a copy answers register \(read.register), asked at \(read.askedAt) for what is \(bound) old at most, with "
                    + "\(read.value) at \(place?.position ?? .zero), and \(due) was acknowledged before")
        }
    }
}
