import FoundationEssentials
package import Model

extension Position: WireCodable {
    package init(wire: ProtoPosition) throws(WireError) {
        self.init(
            epoch: try Check.epoch(wire.epoch, "Position.epoch"), run: try Check.counter(wire.run, "Position.run"),
            sequence: try Check.counter(wire.sequence, "Position.sequence"))
    }

    package var wire: ProtoPosition {
        var wire = ProtoPosition()
        wire.epoch = epoch.number
        wire.run = run
        wire.sequence = sequence
        return wire
    }
}

extension Revision: WireCodable {
    package init(wire: ProtoRevision) throws(WireError) {
        self.init(
            history: try Check.counter(wire.history, "Revision.history"), index: try Check.counter(wire.index, "Revision.index")
        )
    }

    package var wire: ProtoRevision {
        var wire = ProtoRevision()
        wire.history = history
        wire.index = index
        return wire
    }
}

extension KeyRange: WireCodable {
    package init(wire: ProtoKeyRange) throws(WireError) {
        let low = try Check.key(wire.low, "KeyRange.low")
        let high = wire.hasHigh ? try Check.key(wire.high, "KeyRange.high") : nil
        guard let range = KeyRange(checkingLow: low, high: high) else {
            throw WireError("KeyRange.high", .invalid("the range is empty"))
        }
        self = range
    }

    package var wire: ProtoKeyRange {
        var wire = ProtoKeyRange()
        wire.low = Data(low.bytes)
        if let high { wire.high = Data(high.bytes) }
        return wire
    }
}
