import Model
import Testing
import Wire

@Suite struct ModelCodecTests {
    @Test("positions, revisions and ranges obey the codec laws")
    func positions() throws {
        try checkLaws { $0.position() }
        try checkLaws { $0.revision() }
        try checkLaws { $0.range() }
    }

    @Test("descriptors obey the codec laws")
    func descriptors() throws {
        try checkLaws { try $0.nodeDescriptor() }
        try checkLaws { try $0.table() }
        try checkLaws { try $0.partition() }
        try checkLaws { try $0.operation() }
        try checkLaws { try $0.policy() }
        try checkLaws { try $0.registration() }
    }

    @Test("changes, deltas and whole topologies obey the codec laws")
    func topology() throws {
        try checkLaws(rounds: 400, damaged: 30) { try $0.change() }
        try checkLaws(damaged: 1) { try $0.delta() }
        try checkLaws(damaged: 1) { try $0.topology() }
    }

    @Test("proposals and their outcomes obey the codec laws")
    func proposals() throws {
        try checkLaws(rounds: 200, damaged: 20) { try $0.proposal() }
        try checkLaws { $0.outcome() }
    }

    @Test("batches of rows and load reports obey the codec laws")
    func batchesAndReports() throws {
        try checkLaws(rounds: 200, damaged: 10) { $0.batch() }
        try checkLaws(damaged: 1) { try $0.report() }
    }

    @Test("the hello and both sides' session frames obey the codec laws")
    func frames() throws {
        try checkLaws { try $0.hello() }
        try checkLaws(rounds: 200, damaged: 12) { try $0.agentFrame() }
        try checkLaws(rounds: 200, damaged: 12) { try $0.coordinatorFrame() }
        try checkLaws { TopologyQuestion(after: $0.revision()) }
        try checkLaws { try $0.topologyAnswer() }
    }

    @Test("random bytes are refused or read, and never trap")
    func garbage() {
        for seed in 0..<2_000 as Range<UInt64> {
            var arbitrary = Arbitrary(seed: seed)
            let bytes = arbitrary.bytes(200)
            _ = try? AgentFrame(bytes: bytes)
            _ = try? CoordinatorFrame(bytes: bytes)
            _ = try? Topology(bytes: bytes)
            _ = try? WriteBatch(bytes: bytes)
        }
    }
}
