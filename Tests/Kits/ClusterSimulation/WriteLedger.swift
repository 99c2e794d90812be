// Where the writes of a simulated cluster's clients stand: each at one position, for ever.

import Model
import SimulationKit

struct WriteLedger: Sendable {
    private struct Place: Hashable, CustomStringConvertible {
        let partition: PartitionID
        let position: Position

        var description: String { "\(position) of \(partition)" }
    }

    private var places: [UInt64: Place] = [:]

    /// A write was ordered there: it is applied there, or acknowledged to the first who asked.
    mutating func stands(_ value: UInt64, at position: Position, of partition: PartitionID) throws(Violation) {
        let place = Place(partition: partition, position: position)
        guard let other = places.updateValue(place, forKey: value), other != place else { return }
        throw Violation("the write of \(value) is done twice: at \(other) and at \(place)")
    }

    /// Whoever asked again was told of it: what he is told is the first position, in whichever partition the row is by now.
    mutating func answered(_ done: AgentProcess.AcknowledgedWrite) throws(Violation) {
        guard let known = places[done.value] else {
            return places[done.value] = Place(partition: done.partition, position: done.position)
        }
        guard known.position == done.position else {
            throw Violation("the write of \(done.value) stands at \(known), and who asks again is told of \(done.position)")
        }
    }
}
