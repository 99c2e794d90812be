// The even spread of primaries: when the leader begins a transfer, and what becomes of one that does not come about.

import Catalog
import Consensus
import CoordinatorCore
import Model
import Testing

extension CoordinatorGroup {
    /// Two nodes in two zones, and an active table of three partitions that n1 leads.
    static func uneven(
        _ settings: CoordinatorSettings = CoordinatorSettings(snapshotEntries: 20)
    ) throws -> (group: Self, leader: MemberID) {
        var group = try Self(settings: settings)
        let leader = try #require(group.leader)
        let nodes = try [NodeID("n1"), NodeID("n2")]
        for (node, zone) in zip(nodes, ["a", "b"]) {
            _ = try group.commit(
                .registerNode(try registration(node.name, zone: zone)), as: "r-\(node)", at: leader)
        }
        let sessions = nodes.map { NodeSession(node: $0, session: group.topology(of: leader).nodes[$0]?.session ?? .none) }
        let id = try RelationName("id")
        let placement = Placement(primary: nodes[0], nodes: nodes)
        _ = try group.commit(
            .createTable(
                TableCreation(
                    name: try RelationName("t"), columns: [Column(name: id, type: .integer)], partitionKey: id, sortKey: nil,
                    replicationFactor: 2, minInSync: 1, capacity: Capacity(mode: .onDemand),
                    splitKeys: [Key([1]), Key([2])], placements: [placement, placement, placement], sessions: sessions)),
            as: "table", at: leader)
        for partition in group.topology(of: leader).partitions.values.sorted(by: { $0.id < $1.id }) {
            for named in sessions {
                _ = try group.commit(
                    .partition(
                        .replicaReady(partition.id, expecting: partition.epoch), from: named.node, session: named.session),
                    as: "ready-\(partition.id)-\(named.node)", at: leader)
            }
        }
        return (group, leader)
    }
}

extension Topology {
    /// Of primary roles, of whomever's making, in their order.
    var transfers: [OperationDescriptor] {
        operations.values.filter { if case .transferPrimary = $0.kind { true } else { false } }.sorted { $0.id < $1.id }
    }
}

@Suite struct SpreadingTests {
    @Test("primaries that stand on one node are spread, one at a time, and only after a long calm")
    func spreads() throws {
        var (group, leader) = try CoordinatorGroup.uneven()
        group.run(.seconds(25))
        #expect(group.topology(of: leader).transfers.count == 0)
        group.run(.seconds(10))
        #expect(group.topology(of: leader).transfers.count == 1)
        // It is under way: nothing is calm, and no other begins.
        group.run(.seconds(60))
        #expect(group.topology(of: leader).transfers.count == 1)
    }

    @Test("a transfer of the planners that does not come about ends after a minute, and the next is another partition's (M4)")
    func endsByItself() throws {
        var (group, leader) = try CoordinatorGroup.uneven()
        group.run(.seconds(35))
        let first = try #require(group.topology(of: leader).transfers.first)
        let partition = try #require(first.kind.partition)
        group.run(.seconds(50))
        #expect(group.topology(of: leader).operations[first.id]?.phase == .running)
        group.run(.seconds(10))
        let ended = try #require(group.topology(of: leader).operations[first.id])
        #expect(ended.phase == .aborted && ended.failure == "it has not come about within 60 s")
        #expect(group.topology(of: leader).partitions[partition]?.operation == nil)
        group.run(.seconds(35))
        let transfers = group.topology(of: leader).transfers
        #expect(transfers.count == 2 && transfers.last?.phase == .running && transfers.last?.kind.partition != partition)
        #expect(group.members[leader]?.holdings.first { $0.what == "transfers under way" }?.count == 1)
    }

    @Test("a member that comes to lead counts the time that it has seen pass, and ends what another leader began")
    func outlivesLeader() throws {
        var (group, leader) = try CoordinatorGroup.uneven()
        group.run(.seconds(35))
        let first = try #require(group.topology(of: leader).transfers.first)
        group.run(.seconds(40))
        group.down = [leader]
        group.run(.seconds(20))
        let next = try #require(group.leader)
        #expect(group.topology(of: next).operations[first.id]?.phase == .aborted)
    }

    @Test("a partition whose transfers come to nothing is left where it is led for twice as long after each")
    func rests() throws {
        let settings = CoordinatorSettings(
            leadershipDelay: .seconds(1), transferPatience: .seconds(2), transferRest: .seconds(60),
            longestTransferRest: .seconds(240))
        var (group, leader) = try CoordinatorGroup.uneven(settings)
        var begun: [PartitionID: [Int64]] = [:]
        var seen: Set<OperationID> = []
        for second in 0..<1_200 {
            group.run(.seconds(1))
            for transfer in group.topology(of: leader).transfers where seen.insert(transfer.id).inserted {
                if let partition = transfer.kind.partition { begun[partition, default: []].append(Int64(second)) }
            }
        }
        #expect(begun.count == 3)
        for (partition, times) in begun {
            let gaps = zip(times, times.dropFirst()).map { $1 - $0 }
            // Each is the rest, the transfer's own time before it, and a wait for calm and for the others' behind it.
            #expect(gaps.count >= 4, "\(partition): \(times)")
            for (gap, rest) in zip(gaps, [60, 120, 240, 240]) {
                #expect(gap >= rest && gap < rest + 20, "\(partition): \(gaps)")
            }
        }
    }

    @Test("what an operator began, or has paused, is not ended for the time that it takes")
    func leavesOthers() throws {
        var (group, leader) = try CoordinatorGroup.uneven()
        let node = try NodeID("n2")
        let topology = group.topology(of: leader)
        let partition = try #require(topology.partitions.values.min { $0.id < $1.id })
        let session = try #require(topology.nodes[node]?.session)
        _ = try group.commit(
            .beginTransfer(partition.id, to: node, session: session, expecting: partition.epoch), as: "wish", at: leader)
        group.run(.seconds(300))
        let wish = try #require(group.topology(of: leader).transfers.first)
        #expect(wish.phase == .running)
        _ = try group.commit(.abortOperation(wish.id, reason: "enough"), as: "enough", at: leader)
        group.run(.seconds(35))
        let planned = try #require(group.topology(of: leader).transfers.last)
        #expect(planned.id != wish.id)
        _ = try group.commit(.pauseOperation(planned.id), as: "pause", at: leader)
        group.run(.seconds(300))
        #expect(group.topology(of: leader).operations[planned.id]?.phase == .running)
        _ = try group.commit(.resumeOperation(planned.id), as: "resume", at: leader)
        group.run(.seconds(50))
        #expect(group.topology(of: leader).operations[planned.id]?.phase == .running)
        group.run(.seconds(12))
        #expect(group.topology(of: leader).operations[planned.id]?.phase == .aborted)
    }
}
