import Model
import Testing
import Wire

@Suite struct RefusalTests {
    @Test("an empty message where a field must be is refused by the field's name")
    func missing() {
        #expect(throws: WireError("PartitionDescriptor.range", .missing)) { try PartitionDescriptor(bytes: []) }
        #expect(throws: WireError("TopologyChange.change", .missing)) { try TopologyChange(bytes: []) }
        #expect(throws: WireError("Value.value", .missing)) { try Value(bytes: []) }
    }

    @Test("an enumeration's unspecified and future numbers are refused")
    func unknownCases() throws {
        var wire = Column(name: try RelationName("id"), type: .integer).wire
        wire.type = .unspecified
        #expect(throws: WireError("Column.type", .unknown(0))) { try Column(wire: wire) }
        wire.type = .UNRECOGNIZED(77)
        #expect(throws: WireError("Column.type", .unknown(77))) { try Column(wire: wire) }
    }

    @Test("a counter from which counting on would overflow is refused")
    func counters() {
        var wire = ProtoPosition()
        wire.epoch = .max
        #expect(throws: WireError("Position.epoch", .invalid("18446744073709551615 is out of range"))) {
            try Position(wire: wire)
        }
    }

    @Test("a count of starts that no disk keeps is refused, where a node says it and where it is told to begin behind it")
    func starts() throws {
        var arbitrary = Arbitrary(seed: 3)
        for (number, isRead) in [(Limits.generation - 1, true), (Limits.generation, false), (1 << 61, false)] {
            var wire = try arbitrary.registration().wire
            wire.generation = number
            #expect(((try? AgentRegistration(wire: wire)) != nil) == isRead)
            for outcome in [RegistrationOutcome.preceded(Generation(number)), .wentBack(Generation(number))] {
                let frame = CoordinatorFrame.registered(try arbitrary.request(), outcome)
                #expect((try? CoordinatorFrame(bytes: frame.serialized())) == (isRead ? frame : nil))
            }
        }
    }

    @Test("an empty range is refused")
    func emptyRange() {
        var wire = KeyRange(low: Key([1]), high: Key([2])).wire
        wire.high = wire.low
        #expect(throws: WireError.self) { try KeyRange(wire: wire) }
    }

    @Test("a name that has not the form of a name is refused")
    func names() throws {
        var arbitrary = Arbitrary(seed: 1)
        var wire = try arbitrary.nodeDescriptor().wire
        wire.id = "../../etc"
        #expect(throws: WireError.self) { try NodeDescriptor(wire: wire) }
    }

    @Test("a key and a list above their limits are refused")
    func sizes() {
        let long = [UInt8](repeating: 7, count: Limits.keyBytes + 1)
        #expect(throws: WireError("Mutation.delete", .tooLarge(count: long.count, limit: Limits.keyBytes))) {
            try Mutation(bytes: Mutation.delete(key: Key(long)).serialized())
        }
        let many = WriteBatch(Array(repeating: .delete(key: .least), count: Limits.batchMutations + 1))
        #expect(throws: WireError("WriteBatch.mutations", .tooLarge(count: 1_001, limit: 1_000))) {
            try WriteBatch(bytes: many.serialized())
        }
    }

    @Test("a load report with a quantity that is no number is refused")
    func quantities() throws {
        var arbitrary = Arbitrary(seed: 2)
        var wire = try arbitrary.report().wire
        wire.cpuPercent = .nan
        #expect(throws: WireError.self) { try NodeReport(wire: wire) }
        wire.cpuPercent = -1
        #expect(throws: WireError.self) { try NodeReport(wire: wire) }
    }

    @Test("what a newer version adds is skipped")
    func unknownFields() throws {
        let position = Position(epoch: Epoch(3), run: 4, sequence: 5)
        // Field 200, varint 1.
        #expect(try Position(bytes: position.serialized() + [0xC0, 0x0C, 0x01]) == position)
    }
}
