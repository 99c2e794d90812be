import Testing

@testable import ReplicationSimulation

@Suite struct ReplicaSimulationTests {
    @Test("whatever crashes, is lost or comes late, no acknowledged write is lost and all replicas end equal", arguments: 0..<8)
    func survives(block: UInt64) throws {
        var written = 0
        var read = 0
        var vouched = 0
        for seed in (block * 12)..<(block * 12 + 12) {
            let history = try ReplicaHistory(seed: seed)
            let first = history.found.prefix(3).joined(separator: "; ")
            #expect(first == "", "seed \(seed)")
            written += history.group.acknowledged.count
            read += history.group.goodReads
            vouched += history.group.vouched
        }
        #expect(written > 600, "the world must let clients work: \(written) writes")
        #expect(read > 300, "\(read) strong reads")
        #expect(vouched > 300, "\(vouched) times a follower said how old its rows may be")
    }
}
