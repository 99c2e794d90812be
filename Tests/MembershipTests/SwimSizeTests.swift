import MembershipSimulation
import Model
import Testing

@testable import Membership

/// A cluster of more members than a comparison has room for beside a long record.
@Suite struct SwimSizeTests {
    /// The longest record there is, for a member of this number.
    private func record(_ index: Int, _ status: MemberStatus, by accuser: NodeID? = nil) throws -> MemberRecord {
        let digits = String(index)
        let node = try NodeID("n" + String(repeating: "x", count: 62 - digits.count) + digits)
        let address = String(repeating: "a", count: 90 - digits.count) + digits + ":7461"
        return MemberRecord(
            node: node, life: Life(generation: Generation(1), incarnation: 0), status: status,
            profile: MemberProfile(
                kind: .agent, zone: try ZoneName(String(repeating: "z", count: 63)), gossip: address, link: address,
                store: StoreID(.max), session: SessionID(1), metadata: [UInt8](repeating: 7, count: MemberProfile.metadataBytes)
            ),
            accuser: accuser)
    }

    @Test("what is sent to the dead of a cluster of two thousand fits a datagram, with a comparison in it")
    func fits() throws {
        let us = try record(0, .alive)
        var swim = Swim(
            node: us.node, generation: Generation(1), profile: us.profile, tuning: .fast, seed: 1, at: .origin,
            known: MemberTable(of: try (1...2_000).map { try record($0, .alive) }, at: .origin))
        var now = LogicalInstant.origin + swim.tuning.youth
        _ = swim.step(.tick, at: now)
        // Two whose links were refused, and who answer neither us nor whom we ask: that is a death soon.
        for (witness, status) in [(1, .suspect), (4, .dead)] as [(Int, MemberStatus)] {
            let teller = try record(witness, .alive)
            for fallen in 2...3 {
                var rumour = try record(fallen, status, by: teller.node)
                rumour.refused = true
                _ = swim.step(
                    .received(
                        SwimMessage(
                            from: teller.node, life: teller.life, revision: .none, body: .gossip, rumours: [rumour]),
                        from: teller.profile.gossip), at: now)
            }
        }
        for _ in 0..<40 where swim.count(of: .dead) < 2 {
            now = now + swim.tuning.tick
            for case .send(let message, let address) in swim.step(.tick, at: now) {
                guard case .pingRequest(let number, _, _) = message.body,
                    let helper = swim.table.all.first(where: { $0.profile.gossip == address })
                else { continue }
                let answer = SwimMessage(
                    from: helper.node, life: us.life, revision: .none, body: .nack(sequence: number), rumours: [])
                _ = swim.step(.received(answer, from: address), at: now)
            }
        }
        #expect(swim.count(of: .dead) == 2)
        var called = 0
        for _ in 0..<4_000 {
            now = now + swim.tuning.tick
            for case .send(let message, let address) in swim.step(.tick, at: now) {
                #expect(message.encodedBytes <= Limits.datagramBytes, "\(message.body)")
                guard case .ping(_, let target) = message.body, swim.status(of: target) != .alive, message.digest != nil else {
                    continue
                }
                #expect(message.rumours.contains { $0.node == target && $0.profile.gossip == address })
                called += 1
            }
        }
        #expect(called > 10)
    }

    @Test("sums of fewer buckets are those that a smaller cluster would have sent")
    func folds() throws {
        let records = try (1...2_000).map { try record($0, .alive) }
        func digest(_ peers: Int) throws -> TableDigest {
            let us = try record(0, .alive)
            var swim = Swim(
                node: us.node, generation: Generation(1), profile: us.profile, tuning: .fast, seed: 1, at: .origin,
                known: MemberTable(of: records, at: .origin))
            let stranger = World.node(9)
            let answer = swim.step(
                .received(
                    SwimMessage(
                        from: stranger, life: us.life, revision: .none, body: .gossip,
                        digest: TableDigest(sums: [UInt32](repeating: 0, count: peers), answer: true), rumours: []), from: "x:1"
                ),
                at: .origin)
            let digests = answer.compactMap { action -> TableDigest? in
                guard case .send(let message, _) = action, let digest = message.digest, !digest.answer else { return nil }
                return digest
            }
            return try #require(digests.first)
        }
        let whole = try digest(256)
        for count in [8, 32, 128] { #expect(try digest(count).sums == whole.fitting(4 * count + 8)?.sums) }
        #expect(whole.fitting(39) == nil)
    }
}
