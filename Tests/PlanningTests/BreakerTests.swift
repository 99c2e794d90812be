import Model
import Planning
import Testing

@Suite struct BreakerTests {
    /// `count` nodes; the first ones failed, at these seconds.
    private func holds(_ count: Int, failed seconds: [Int64], _ entries: [(String, Int)] = []) throws -> Bool {
        var topology = try topology(nodes: count, zones: 3, partitions: [])
        var failedAt: [NodeID: WallTime] = [:]
        var changes: [TopologyChange] = []
        for (place, second) in seconds.enumerated() {
            let node = try node(place + 1, zone: 0, status: .failed)
            changes.append(.node(node))
            failedAt[node.id] = WallTime(milliseconds: second * 1_000)
        }
        changes += entries.map {
            .configuration(ConfigurationEntry(scope: .global, key: $0.0, value: "\($0.1)", version: 1))
        }
        topology.commit(changes, at: Revision(history: 1, index: 10))
        return breakerHolds(in: topology, failedAt: failedAt)
    }

    @Test("F4: more than a third of the nodes within a minute holds copying back; one node alone never does")
    func share() throws {
        #expect(try holds(6, failed: [0, 59]))
        #expect(try holds(9, failed: [0, 59]) == false)
        #expect(try holds(2, failed: [0]) == false)
    }

    @Test("F4: failures that lie further apart than the window are not one event, however many they come to be")
    func window() throws {
        #expect(try holds(6, failed: [0, 61, 122]) == false)
        #expect(try holds(6, failed: [0, 61, 122], [("breaker_window_seconds", 120)]))
        #expect(try holds(6, failed: [0, 30], [("breaker_window_seconds", 29)]) == false)
    }

    @Test("F4: the share is the operators' to set; at 100 the breaker never holds")
    func percent() throws {
        #expect(try holds(10, failed: [0, 0], [("breaker_percent", 10)]))
        #expect(try holds(3, failed: [0, 0, 0], [("breaker_percent", 100)]) == false)
    }
}
