import Model
import Testing

@testable import Replication

@Suite struct ReplicaSimulationTests {
    /// One history: clients write and read while nodes crash, restart with stale or fresh topologies, and links break.
    static func history(seed: UInt64, nodes: Int, steps: Int = 120) throws -> (cluster: Cluster, found: [String]) {
        var settings = ReplicationSettings()
        settings.historyBytes = 2_000
        let cluster = try Cluster(seed: seed, nodes: nodes, settings: settings)
        var downSince: [NodeID: LogicalInstant] = [:]
        var old: PartitionDescriptor?
        for _ in 0..<steps {
            cluster.run(cluster.delay(.milliseconds(60))) { $0.helpLearners() }
            for _ in 0..<4 {
                let anyone = cluster.order[Int.random(in: 0..<nodes, using: &cluster.random)]
                let aim = cluster.chance(0.8) ? cluster.descriptor.primary ?? anyone : anyone
                cluster.write(at: aim)
                cluster.read(at: cluster.chance(0.6) ? aim : anyone)
            }
            if cluster.chance(0.05) { old = cluster.descriptor }
            if cluster.chance(0.04) {
                let victim = cluster.order[Int.random(in: 0..<nodes, using: &cluster.random)]
                if cluster.nodes[victim]!.isUp {
                    cluster.crash(victim)
                    downSince[victim] = cluster.now
                }
            }
            for id in cluster.order {
                guard let since = downSince[id] else { continue }
                if cluster.chance(0.15) {
                    cluster.restart(id, knowing: cluster.chance(0.3) ? old : nil)
                    downSince[id] = nil
                } else if cluster.now > since + .milliseconds(800), cluster.chance(0.5) {
                    cluster.nodeFailed(id)
                }
            }
            if cluster.chance(0.03) {
                let a = cluster.order[Int.random(in: 0..<nodes, using: &cluster.random)]
                let b = cluster.order[Int.random(in: 0..<nodes, using: &cluster.random)]
                if a != b { cluster.cut.insert([a, b].sorted()) }
            }
            // A healthy node wrongly declared dead: the lease is what keeps its reads right.
            if cluster.chance(0.01), let primary = cluster.descriptor.primary { cluster.nodeFailed(primary) }
            if cluster.chance(0.2) { cluster.cut = [] }
            if cluster.chance(0.02) { cluster.coordinatorsUp.toggle() }
            if cluster.chance(0.2) { cluster.coordinatorsUp = true }
        }
        return (cluster, cluster.settle())
    }

    @Test("whatever crashes, is lost or comes late, no acknowledged write is lost and all replicas end equal", arguments: 0..<8)
    func survives(block: UInt64) throws {
        var written = 0
        var read = 0
        var vouched = 0
        for seed in (block * 12)..<(block * 12 + 12) {
            let (cluster, found) = try Self.history(seed: seed, nodes: seed % 3 == 2 ? 5 : 3)
            let first = found.prefix(3).joined(separator: "; ")
            #expect(first == "", "seed \(seed)")
            written += cluster.acknowledged.count
            read += cluster.goodReads
            vouched += cluster.vouched
        }
        #expect(written > 600, "the world must let clients work: \(written) writes")
        #expect(read > 300, "\(read) strong reads")
        #expect(vouched > 300, "\(vouched) times a follower said how old its rows may be")
    }
}
