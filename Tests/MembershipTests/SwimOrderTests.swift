import MembershipSimulation
import Model
import Testing

@testable import Membership

@Suite struct SwimOrderTests {
    private func member(_ index: Int = 0) throws -> Swim {
        Swim(
            node: try NodeID("n\(index)"), generation: Generation(3), profile: World.profile(index), tuning: .fast,
            seed: 1, at: .origin)
    }

    private func record(
        _ index: Int, generation: UInt64 = 1, incarnation: UInt64 = 0, _ status: MemberStatus, by accuser: Int? = nil
    ) throws -> MemberRecord {
        MemberRecord(
            node: try NodeID("n\(index)"), life: Life(generation: Generation(generation), incarnation: incarnation),
            status: status, profile: World.profile(index), accuser: try accuser.map { try NodeID("n\($0)") })
    }

    private func gossip(_ rumours: [MemberRecord], from index: Int = 9) throws -> Swim.Input {
        .received(
            SwimMessage(
                from: try NodeID("n\(index)"), life: Life(generation: Generation(1), incarnation: 0), revision: .none,
                body: .gossip, rumours: rumours), from: World.address(index))
    }

    @Test("whatever arrives in whatever order, in a million steps what is held of a member never goes back")
    func monotone() throws {
        let figures = try StatusOrder.walk(steps: 1_000_000, seed: 99, swim: member())
        #expect(figures.changes > 1_000)
    }

    @Test("a suspect that hears of its own suspicion refutes with a higher incarnation in the same answer")
    func refutes() throws {
        var swim = try member()
        let accusation = try record(0, generation: 3, incarnation: 4, .suspect, by: 1)
        let ping = SwimMessage(
            from: try NodeID("n1"), life: Life(generation: Generation(1), incarnation: 0), revision: .none,
            body: .ping(sequence: 5, target: try NodeID("n0")), rumours: [accusation])
        let actions = swim.step(.received(ping, from: World.address(1)), at: .origin)
        #expect(swim.life == Life(generation: Generation(3), incarnation: 5))
        let answers = actions.compactMap { action -> SwimMessage? in
            if case .send(let message, _) = action, case .ack = message.body { return message }
            return nil
        }
        #expect(answers.count == 1)
        #expect(answers.first?.rumours.contains(swim.ownRecord) == true)
        #expect(swim.localHealth == 1)
    }

    @Test("rumours about a past life of ours are outlived, not refuted")
    func pastLife() throws {
        var swim = try member()
        _ = swim.step(try gossip([try record(0, generation: 2, incarnation: 100, .dead, by: 1)]), at: .origin)
        #expect(swim.life == Life(generation: Generation(3), incarnation: 0))
        #expect(swim.localHealth == 0)
    }

    @Test("what no refutation could exceed is not believed, and what is believed can be refuted")
    func plausible() throws {
        let observer = try member(9)
        let highest = (UInt64(1) << 62) - 1
        for incarnation in [UInt64(1) << 48, (UInt64(1) << 48) + 1, UInt64(1) << 61, highest] {
            for status in MemberStatus.allCases {
                var (swim, observer) = (try member(), observer)
                _ = observer.step(try gossip([swim.ownRecord], from: 8), at: .origin)
                let rumour = try record(0, generation: 3, incarnation: incarnation, status, by: 1)
                let heard = observer.step(try gossip([rumour], from: 8), at: .origin)
                if observer.member(swim.node)?.record.life == rumour.life {
                    _ = swim.step(try gossip([rumour], from: 8), at: .origin)
                    _ = observer.step(try gossip([swim.ownRecord], from: 8), at: .origin)
                } else {
                    #expect(heard.contains(.dropped(.implausible)))
                }
                #expect(observer.status(of: swim.node) == .alive)
                #expect(observer.member(swim.node)?.record.life == swim.life)
            }
        }
        // However often it has refuted, it can be accused, or nobody would hold it dead.
        var accused = observer
        for incarnation in [UInt64(1) << 48, (UInt64(1) << 48) + 1_000] {
            for status in [MemberStatus.alive, .suspect] {
                let rumour = try record(0, generation: 3, incarnation: incarnation, status, by: 1)
                _ = accused.step(try gossip([rumour], from: 8), at: .origin)
            }
            #expect(accused.status(of: try NodeID("n0")) == .suspect)
        }
    }

    /// What a member says of itself, by itself.
    private func word(of swim: Swim) -> Swim.Input {
        .received(
            SwimMessage(from: swim.node, life: swim.life, revision: .none, body: .gossip, rumours: [swim.ownRecord]),
            from: swim.profile.gossip)
    }

    @Test(
        "no incarnation that a member hears of itself makes it answer what others do not believe",
        arguments: [1 << 50, 1 << 61, (1 << 62) - 1, .max] as [UInt64])
    func answers(incarnation: UInt64) throws {
        for status in [MemberStatus.alive, .suspect, .dead] {
            var (swim, observer) = (try member(), try member(9))
            _ = observer.step(word(of: swim), at: .origin)
            _ = swim.step(try gossip([try record(0, generation: 3, incarnation: incarnation, status, by: 1)]), at: .origin)
            // On the word of somebody else, and as what is the highest that anybody believes.
            #expect(!observer.step(try gossip([swim.ownRecord], from: 8), at: .origin).contains(.dropped(.implausible)))
            #expect(observer.member(swim.node)?.record == swim.ownRecord)
        }
    }

    @Test("however often a member was told a wrong number that others have missed, its own word refutes what they believe")
    func leaps() throws {
        var (swim, observer) = (try member(), try member(9))
        _ = observer.step(word(of: swim), at: .origin)
        for _ in 0..<20 {
            _ = swim.step(
                try gossip([try record(0, generation: 3, incarnation: 1 << 60, .suspect, by: 1)]), at: .origin)
        }
        for _ in 0..<3 {
            var accusation = try #require(observer.member(swim.node)).record
            accusation.status = .suspect
            accusation.accuser = try NodeID("n8")
            _ = observer.step(try gossip([accusation], from: 8), at: .origin)
            #expect(observer.status(of: swim.node) == .suspect)
            #expect(observer.step(try gossip([swim.ownRecord], from: 8), at: .origin).contains(.dropped(.implausible)))
            _ = observer.step(word(of: swim), at: .origin)
            #expect(observer.status(of: swim.node) == .alive)
        }
    }

    @Test(
        "of a generation far above the one that is held nothing is believed",
        arguments: [SwimLimits.generations + 5, SwimLimits.latestGeneration + 1, 1 << 61])
    func farGenerations(generation: UInt64) throws {
        var observer = try member(9)
        _ = observer.step(try gossip([try record(5, generation: 4, .alive)], from: 5), at: .origin)
        for status in [MemberStatus.suspect, .dead] {
            let rumour = try record(5, generation: generation, status, by: 1)
            #expect(observer.step(try gossip([rumour], from: 8), at: .origin).contains(.dropped(.implausible)))
            // Nor of somebody who is not known at all.
            let stranger = try record(6, generation: generation, status, by: 1)
            #expect(observer.step(try gossip([stranger], from: 8), at: .origin).contains(.dropped(.implausible)))
        }
        #expect(observer.member(try NodeID("n5"))?.record.life.generation == Generation(4))
        #expect(observer.member(try NodeID("n6")) == nil)
    }

    @Test(
        "whoever is told that a later life of its own has ended, with its store and at its address, goes on behind it",
        arguments: [MemberStatus.dead, .left])
    func outlives(status: MemberStatus) throws {
        var (swim, observer, other) = (try member(), try member(9), try member(8))
        for _ in 0..<3 {
            _ = observer.step(word(of: swim), at: .origin)
            let later = try record(0, generation: swim.life.generation.number + SwimLimits.generations, status, by: 1)
            _ = observer.step(try gossip([later], from: 8), at: .origin)
            #expect(observer.status(of: swim.node) == status)
            #expect(swim.step(try gossip([later]), at: .origin).contains(.identityInUse(later)))
            #expect(swim.life.generation == Generation(later.life.generation.number + 1))
            _ = observer.step(word(of: swim), at: .origin)
            #expect(observer.member(swim.node)?.record == swim.ownRecord)
        }
        #expect(swim.generation == Generation(3))
        // Who has missed all of it believes as much as can be, and more the next time.
        for _ in 0..<3 { _ = other.step(word(of: swim), at: .origin) }
        #expect(other.member(swim.node)?.record == swim.ownRecord)
        #expect(!swim.isNameInUse && swim.counters.identitiesInUse == 3)
    }

    @Test("a later life elsewhere that has ended is gone on behind by one that is registered, if it never was itself")
    func outlivesCopies() throws {
        for (own, its, isOutlived) in [(4, 0, true), (0, 0, false), (4, 5, false), (4, 4, false)]
            as [(UInt64, UInt64, Bool)]
        {
            var swim = try member()
            var profile = swim.profile
            profile.session = SessionID(own)
            swim = Swim(node: swim.node, generation: Generation(3), profile: profile, tuning: .fast, seed: 1, at: .origin)
            var copy = try record(0, generation: 7, .alive)
            copy.profile = World.profile(0, address: "elsewhere:7")
            copy.profile.session = SessionID(its)
            // While it lives it may be the node, on its way to be registered.
            _ = swim.step(try gossip([copy]), at: .origin)
            #expect(swim.life.generation == Generation(3) && swim.isNameInUse)
            copy.status = .dead
            _ = swim.step(try gossip([copy]), at: .origin)
            #expect(swim.life.generation == Generation(isOutlived ? 8 : 3), "session \(own), and \(its) of the other")
            #expect(swim.isNameInUse == !isOutlived)
        }
    }

    @Test("who was registered before the one that is registered now is not taken for a later life of it")
    func predecessor() throws {
        for (session, isMember) in [(4, false), (9, true), (0, true)] as [(UInt64, Bool)] {
            var observer = try member(9)
            var profile = World.profile(0, address: "elsewhere:7")
            profile.session = SessionID(9)
            let entry = RosterEntry(node: try NodeID("n0"), generation: Generation(4), profile: profile)
            _ = observer.step(.roster([entry]), at: .origin)
            var rumour = try record(0, generation: 5, .alive)
            rumour.profile.session = SessionID(session)
            let heard = observer.step(try gossip([rumour], from: 0), at: .origin)
            #expect(heard.contains(.dropped(.disputed)) == !isMember)
            #expect(observer.member(try NodeID("n0"))?.record.life.generation == Generation(isMember ? 5 : 4))
        }
    }

    @Test("a count of starts that no disk keeps is believed of nobody, on its own word neither, and one below it is, by steps")
    func countedStarts() throws {
        var observer = try member(9)
        _ = observer.step(try gossip([try record(5, generation: 4, .alive)], from: 5), at: .origin)
        for generation in [SwimLimits.latestGeneration + 1, 1 << 61] {
            let rumour = try record(5, generation: generation, .alive)
            #expect(observer.step(try gossip([rumour], from: 5), at: .origin).contains(.dropped(.implausible)))
            let said = SwimMessage(
                from: try NodeID("n5"), life: rumour.life, revision: .none, body: .gossip, rumours: [])
            #expect(observer.step(.received(said, from: "m5:7"), at: .origin) == [.dropped(.implausible)])
            let echo = SwimMessage(from: observer.node, life: rumour.life, revision: .none, body: .gossip, rumours: [])
            #expect(observer.step(.received(echo, from: "m5:7"), at: .origin) == [.dropped(.implausible)])
        }
        #expect(observer.member(try NodeID("n5"))?.record.life.generation == Generation(4))
        let highest = try record(5, generation: SwimLimits.latestGeneration, .alive)
        for _ in 0..<8 { _ = observer.step(try gossip([highest], from: 5), at: .origin) }
        #expect(observer.member(try NodeID("n5"))?.record.life.generation == Generation(SwimLimits.latestGeneration))
        // Behind the last there is none, and nobody goes on there.
        var swim = try member()
        for _ in 0..<9 {
            let latest = min(swim.life.generation.number + SwimLimits.generations, SwimLimits.latestGeneration)
            _ = swim.step(try gossip([try record(0, generation: latest, .dead, by: 1)]), at: .origin)
        }
        #expect(swim.life.generation.number <= SwimLimits.latestGeneration)
    }

    @Test("another process under our name and generation is told of once, and what is said of it is not refuted")
    func copies() throws {
        var swim = try member()
        for (incarnation, status) in [(0, .alive), (7, .alive), (8, .suspect), (8, .dead)] as [(UInt64, MemberStatus)] {
            var rumour = try record(0, generation: 3, incarnation: incarnation, status, by: 1)
            rumour.profile = World.profile(0, store: 77)
            let actions = swim.step(try gossip([rumour]), at: .origin)
            #expect(actions.contains(.identityInUse(rumour)) == (incarnation == 0))
        }
        #expect(swim.life.incarnation == 0)
        #expect(swim.counters.refutations == 0)
    }

    @Test("of a new life that is heard of by an accusation, nothing is held that belongs to the last one")
    func newLife() throws {
        var swim = try member()
        let other = try NodeID("n5")
        func dispute(_ generation: UInt64) throws -> Bool {
            var copy = try record(5, generation: generation, .alive)
            copy.profile = World.profile(5, store: 77)
            return swim.step(try gossip([copy]), at: .origin).contains(.identityDisputed(copy))
        }
        _ = swim.step(try gossip([try record(5, generation: 1, .alive)]), at: .origin)
        #expect(try dispute(1))
        let met = LogicalInstant.origin + .seconds(60)
        _ = swim.step(.tick, at: met)
        _ = swim.step(try gossip([try record(5, generation: 2, .suspect, by: 1)]), at: met)
        #expect(try dispute(2))
        // It was met a moment ago.
        #expect(swim.member(other)?.metAt == met)
        var roster = try member()
        _ = roster.step(
            .roster([RosterEntry(node: other, generation: Generation(1), profile: World.profile(5))]), at: .origin)
        _ = roster.step(try gossip([try record(5, generation: 1, .suspect, by: 1)]), at: .origin)
        #expect(roster.member(other)?.heard == false)
        _ = roster.step(try gossip([try record(5, generation: 2, .suspect, by: 1)]), at: .origin)
        #expect(roster.member(other)?.heard == true)
    }

    @Test("whoever compares and learns has more to learn, and what had no effect was not learned")
    func learned() throws {
        for isNews in [true, false] {
            var swim = try member()
            let now = LogicalInstant.origin + .seconds(100)
            swim.nextSync = now + .seconds(50)
            let records = [try record(5, incarnation: isNews ? 0 : .max, .suspect, by: 1)]
            let message = SwimMessage(
                from: try NodeID("n9"), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: .records,
                rumours: records)
            _ = swim.step(.received(message, from: World.address(9)), at: now)
            #expect((swim.nextSync < now + .seconds(50)) == isNews)
        }
    }

    @Test("a newer life under our name is told of once")
    func identity() throws {
        var swim = try member()
        let newer = try record(0, generation: 4, .alive)
        let first = swim.step(try gossip([newer]), at: .origin)
        let second = swim.step(try gossip([newer]), at: .origin)
        #expect(first.contains(.identityInUse(newer)))
        #expect(!second.contains(.identityInUse(newer)))
    }

    @Test("an answer that another process was given, or an earlier one of ours, answers nothing that this one asks")
    func othersAnswers() throws {
        func knowing(seed: UInt64) throws -> Swim {
            var swim = Swim(
                node: try NodeID("n0"), generation: Generation(3), profile: World.profile(0), tuning: .fast, seed: seed,
                at: .origin)
            _ = swim.step(try gossip([try record(1, .alive)], from: 1), at: .origin)
            return swim
        }
        func ack(_ number: UInt64) throws -> Swim.Input {
            .received(
                SwimMessage(
                    from: try NodeID("n1"), life: Life(generation: Generation(1), incarnation: 0), revision: .none,
                    body: .ack(sequence: number), rumours: []), from: World.address(1))
        }
        // What was recorded: n1 has answered each of these.
        var recorded = Array(0...100 as ClosedRange<UInt64>)
        var earlier = try knowing(seed: 1)
        for tick in 1...400 {
            let now = LogicalInstant.origin + earlier.tuning.tick * Int64(tick)
            for case .send(let message, _) in earlier.step(.tick, at: now) {
                guard case .ping(let number, _) = message.body else { continue }
                recorded.append(number)
                _ = earlier.step(try ack(number), at: now)
            }
        }
        let other = try NodeID("n1")
        #expect(recorded.count > 130 && earlier.status(of: other) == .alive)
        var swim = try knowing(seed: 2)
        for tick in 1...400 {
            let now = LogicalInstant.origin + swim.tuning.tick * Int64(tick)
            _ = swim.step(.tick, at: now)
            guard tick % 4 == 0 else { continue }
            for number in recorded { #expect(swim.step(try ack(number), at: now).contains(.dropped(.late))) }
        }
        #expect(swim.status(of: other) == .dead)
    }

    @Test("a ping for another node is not answered")
    func misdirected() throws {
        var swim = try member()
        let ping = SwimMessage(
            from: try NodeID("n1"), life: Life(generation: Generation(1), incarnation: 0), revision: .none,
            body: .ping(sequence: 5, target: try NodeID("n2")), rumours: [try record(1, .alive)])
        let actions = swim.step(.received(ping, from: World.address(1)), at: .origin)
        #expect(actions.contains(.dropped(.misdirected)))
        #expect(!actions.contains { if case .send = $0 { true } else { false } })
    }

    @Test("records with an empty or overlong address are dropped")
    func implausible() throws {
        var swim = try member()
        for address in ["", String(repeating: "a", count: 97)] {
            let profile = MemberProfile(
                kind: .agent, zone: try ZoneName("a"), gossip: address, link: "x:1", store: StoreID(1), session: .none)
            let bad = MemberRecord(
                node: try NodeID("n5"), life: Life(generation: Generation(1), incarnation: 0), status: .alive, profile: profile)
            let actions = swim.step(try gossip([bad]), at: .origin)
            #expect(actions.contains(.dropped(.implausible)))
        }
        #expect(swim.member(try NodeID("n5")) == nil)
    }

    @Test("a zombie of an older life is told so, once in a while")
    func zombie() throws {
        var swim = try member()
        _ = swim.step(try gossip([try record(5, generation: 7, .alive)]), at: .origin)
        var answers = 0
        for _ in 0..<50 {
            // Its old life is dead by definition; what we hold outranks it and stays.
            let actions = swim.step(try gossip([try record(5, generation: 6, .alive)], from: 5), at: .origin)
            answers += actions.count { if case .send = $0 { true } else { false } }
        }
        #expect(answers <= 1)
        #expect(swim.member(try NodeID("n5"))?.record.life.generation == Generation(7))
    }

    @Test("a process that is raised to a later generation is believed by those who took it for one of the past")
    func raised() throws {
        var swim = try member()
        let own = swim.node
        var other = Swim(
            node: try NodeID("n5"), generation: Generation(1), profile: try record(5, .alive).profile, tuning: swim.tuning,
            seed: 5, at: .origin)
        var before = swim.ownRecord
        before.life = Life(generation: Generation(swim.life.generation.number + 6), incarnation: 4)
        before.profile = MemberProfile(
            kind: .agent, zone: try ZoneName("a"), gossip: swim.profile.gossip, link: "x:1", store: StoreID(4_711),
            session: .none)
        _ = other.step(try gossip([before]), at: .origin)
        func tell() {
            let said = SwimMessage(
                from: own, life: swim.life, revision: .none, body: .gossip, rumours: [swim.ownRecord])
            _ = other.step(.received(said, from: "x:1"), at: .origin)
        }
        tell()
        #expect(other.member(own)?.profile.store == StoreID(4_711))
        #expect(swim.step(try gossip([before]), at: .origin).contains(.identityInUse(before)))
        let later = Generation(before.life.generation.number + 1)
        _ = swim.step(.raised(later), at: .origin)
        tell()
        #expect(swim.life == Life(generation: later, incarnation: 0))
        #expect(other.member(own)?.record == swim.ownRecord)
        // What is said of the life before is answered, and changes nothing; neither does a lower number.
        _ = swim.step(try gossip([before]), at: .origin)
        _ = swim.step(.raised(Generation(1)), at: .origin)
        #expect(swim.life == Life(generation: later, incarnation: 0))
    }

    @Test("a session that is committed later reaches the others under a new incarnation")
    func session() throws {
        var swim = try member()
        _ = swim.step(.registered(SessionID(55)), at: .origin)
        #expect(swim.ownRecord.profile.session == SessionID(55))
        #expect(swim.ownRecord.life.incarnation == 1)
    }

    @Test(
        "the shortest suspicion grows with the logarithm of the cluster, and confirmations shorten the longest",
        arguments: [
            (8, 1_200), (10, 1_200), (30, 1_200), (100, 1_400), (1_000, 2_100),
        ])
    func suspicionTimes(members: Int, shortest: Int64) throws {
        var swim = try member()
        let others = try (1..<members).map { try record($0, .alive) }
        for other in others { _ = swim.step(try gossip([other]), at: .origin) }
        // They have been here for long.
        let start = LogicalInstant.origin + swim.tuning.youth
        _ = swim.step(.tick, at: start)
        for accuser in [2, 3, 4] {
            _ = swim.step(try gossip([try record(1, .suspect, by: accuser)], from: accuser), at: start)
        }
        // An answered probe after the suspicion began makes a verdict possible.
        var now = start
        var died: LogicalInstant?
        while died == nil, now < start + .seconds(20) {
            now = now + .milliseconds(25)
            for action in swim.step(.tick, at: now) {
                if case .memberChanged(let record) = action, record.status == .dead { died = now }
                guard case .send(let message, let address) = action else { continue }
                // The others answer, and as helpers, that they have heard nothing.
                let answer: (from: NodeID, body: SwimMessage.Body)
                switch message.body {
                case .ping(let number, let target) where target.name != "n1": answer = (target, .ack(sequence: number))
                case .pingRequest(let number, _, _):
                    guard let helper = others.first(where: { $0.profile.gossip == address }) else { continue }
                    answer = (helper.node, .nack(sequence: number))
                case .ping, .ack, .nack, .gossip, .records: continue
                }
                let reply = SwimMessage(
                    from: answer.from, life: Life(generation: Generation(1), incarnation: 0), revision: .none,
                    body: answer.body, rumours: [])
                _ = swim.step(.received(reply, from: address), at: now)
            }
        }
        let time = try #require(died) - start
        #expect(abs(time.milliseconds - shortest) <= 60, "\(time)")
    }
}
