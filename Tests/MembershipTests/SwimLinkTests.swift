import Membership
import MembershipSimulation
import Model
import Testing

@Suite struct SwimLinkTests {
    private func swim(knowing others: Int) -> Swim {
        var swim = Swim(
            node: World.node(0), generation: Generation(1), profile: World.profile(0), tuning: .fast, seed: 4, at: .origin)
        let records = (1...others).map { record($0, .alive) }
        _ = swim.step(message(.gossip, from: 1, records), at: .origin)
        return swim
    }

    private func record(_ index: Int, _ status: MemberStatus, by accuser: Int? = nil, refused: Bool = false) -> MemberRecord {
        MemberRecord(
            node: World.node(index), life: Life(generation: Generation(1), incarnation: 0), status: status,
            profile: World.profile(index), accuser: accuser.map(World.node), refused: refused)
    }

    private func message(_ body: SwimMessage.Body, from index: Int, _ rumours: [MemberRecord] = []) -> Swim.Input {
        .received(
            SwimMessage(
                from: World.node(index), life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: body,
                rumours: rumours), from: World.address(index))
    }

    private func pings(_ actions: [Swim.Action], to index: Int) -> [UInt64] {
        actions.compactMap {
            guard case .send(let message, _) = $0, case .ping(let number, let target) = message.body,
                target == World.node(index)
            else { return nil }
            return number
        }
    }

    /// A step, and at once the word of all who are asked to help, but for those who are silent: they have heard nothing.
    @discardableResult
    private func step(
        _ swim: inout Swim, _ input: Swim.Input, at now: LogicalInstant, answering: [Int] = [], silent: [Int] = []
    ) -> [Swim.Action] {
        let actions = swim.step(input, at: now)
        for index in answering {
            for number in pings(actions, to: index) { _ = swim.step(message(.ack(sequence: number), from: index), at: now) }
        }
        for case .send(let request, let address) in actions {
            guard case .pingRequest(let number, _, _) = request.body,
                let index = (1...20).first(where: { World.address($0) == address }), !silent.contains(index)
            else { continue }
            _ = swim.step(message(.nack(sequence: number), from: index), at: now)
        }
        return actions
    }

    @Test("a refused link is an immediate ping; unanswered, it makes a witness who says why")
    func witness() throws {
        var swim = swim(knowing: 5)
        let asked = swim.step(.linkRefused(World.node(3)), at: .origin)
        #expect(pings(asked, to: 3).count == 1)
        #expect(swim.step(.linkRefused(World.node(3)), at: .origin).isEmpty)
        var now = LogicalInstant.origin
        while swim.member(World.node(3))?.status == .alive, now < .origin + .seconds(1) {
            now = now + .milliseconds(25)
            step(&swim, .tick, at: now)
        }
        let accused = try #require(swim.member(World.node(3)))
        #expect(accused.status == .suspect)
        #expect(accused.record.refused)
        #expect(accused.accusers == [World.node(0)])
        #expect(now - .origin <= .milliseconds(150))
    }

    @Test("a link that has ended is followed by another, and accuses nobody by itself, however long nobody answers there")
    func ended() throws {
        var swim = swim(knowing: 5)
        let asked = swim.step(.linkEnded(World.node(3)), at: .origin)
        guard case .stream(World.node(3), World.profile(3).link, _)? = asked.first, asked.count == 1 else {
            return #expect(Bool(false), "\(asked)")
        }
        for tick in 1...8 {
            _ = swim.step(.tick, at: .origin + .milliseconds(25) * Int64(tick))
        }
        #expect(swim.member(World.node(3))?.status == .alive)
        #expect(swim.step(.linkEnded(World.node(9)), at: .origin).isEmpty)
    }

    @Test("an answered ping after a refused link accuses nobody")
    func alarm() throws {
        var swim = swim(knowing: 5)
        let number = try #require(pings(swim.step(.linkRefused(World.node(3)), at: .origin), to: 3).first)
        _ = swim.step(message(.ack(sequence: number), from: 3), at: .origin + .milliseconds(2))
        var now = LogicalInstant.origin
        while now < .origin + .milliseconds(200) {
            now = now + .milliseconds(25)
            _ = swim.step(.tick, at: now)
        }
        #expect(swim.member(World.node(3))?.status == .alive)
    }

    @Test("whose link is refused again, after it answered the call of the first time, is called again at once")
    func again() throws {
        var swim = swim(knowing: 5)
        let number = try #require(pings(swim.step(.linkRefused(World.node(3)), at: .origin), to: 3).first)
        _ = swim.step(message(.ack(sequence: number), from: 3), at: .origin)
        let asked = swim.step(.linkRefused(World.node(3)), at: .origin + .milliseconds(1))
        #expect(pings(asked, to: 3).count == 1)
        run(&swim, from: .origin, for: .milliseconds(150))
        #expect(swim.member(World.node(3))?.status == .suspect)
    }

    @Test("links that are refused again and again are looked into once at a time, and those of the dead never")
    func counted() {
        var swim = swim(knowing: 5)
        for _ in 0..<10 { _ = swim.step(.linkRefused(World.node(3)), at: .origin) }
        #expect(swim.counters.refusedLinks == 1)
        _ = swim.step(message(.gossip, from: 4, [record(5, .suspect, by: 4, refused: true)]), at: .origin)
        step(&swim, message(.gossip, from: 2, [record(5, .dead, by: 2, refused: true)]), at: .origin)
        let now = run(&swim, from: .origin, for: .milliseconds(175))
        #expect(swim.member(World.node(5))?.status == .dead)
        #expect(swim.step(.linkRefused(World.node(5)), at: now).isEmpty)
        #expect(swim.counters.refusedLinks == 1)
    }

    @Test("a suspect whose link answers after the suspicion began is there, and has its time anew")
    func lateAnswer() throws {
        var swim = swim(knowing: 3)
        var now = LogicalInstant.origin + swim.tuning.youth
        _ = swim.step(.tick, at: now)
        var asked: [(number: UInt64, answered: LogicalInstant)] = []
        var longest = Span.zero
        let end = now + .seconds(60)
        var began: LogicalInstant?
        while now < end, swim.member(World.node(1))?.status != .dead {
            now = now + swim.tuning.tick
            // The others answer at once, and help; its link takes a handshake of a whole period.
            while let first = asked.first, first.answered <= now {
                _ = swim.step(.streamAnswered(World.node(1), sequence: asked.removeFirst().number), at: now)
            }
            for action in swim.step(.tick, at: now) {
                if case .stream(World.node(1), _, let number) = action {
                    asked.append((number, now + swim.tuning.probeInterval))
                }
                if case .send(let request, let address) = action, case .pingRequest(let number, _, _) = request.body,
                    let helper = swim.members.first(where: { $0.profile.gossip == address }),
                    let index = Int(helper.node.name.dropFirst())
                {
                    _ = swim.step(self.message(.nack(sequence: number), from: index), at: now)
                }
                guard case .send(let message, _) = action, case .ping(let number, let target) = message.body,
                    target != World.node(1), let index = Int(target.name.dropFirst())
                else { continue }
                _ = swim.step(self.message(.ack(sequence: number), from: index), at: now)
            }
            if swim.member(World.node(1))?.status == .suspect { began = began ?? now }
            longest = began.map { now - $0 } ?? .zero
        }
        #expect(swim.member(World.node(1))?.status == .suspect)
        #expect(longest > .seconds(30))
    }

    /// Time passes, and nobody else answers a ping.
    @discardableResult
    private func run(
        _ swim: inout Swim, from start: LogicalInstant, for span: Span, answering: [Int] = [], silent: [Int] = []
    ) -> LogicalInstant {
        var now = start
        while now < start + span {
            now = now + swim.tuning.tick
            step(&swim, .tick, at: now, answering: answering, silent: silent)
        }
        return now
    }

    @Test("two witnesses of refused links are a verdict for whoever calls in vain; two of silence are not")
    func verdict() {
        for refused in [true, false] {
            var swim = swim(knowing: 8)
            for accuser in [4, 5] {
                _ = swim.step(
                    message(.gossip, from: accuser, [record(3, .suspect, by: accuser, refused: refused)]), at: .origin)
            }
            let asked = step(&swim, .tick, at: .origin + .milliseconds(25))
            #expect(pings(asked, to: 3).count == (refused ? 1 : 0))
            #expect(swim.member(World.node(3))?.status == .suspect)
            run(&swim, from: .origin + .milliseconds(25), for: .milliseconds(150))
            #expect(swim.member(World.node(3))?.status == (refused ? .dead : .suspect))
            #expect(swim.member(World.node(3))?.accusers == [World.node(4), World.node(5)])
        }
    }

    @Test("two who were refused are not believed while one who was asked for help says nothing, and is held alive")
    func lateHelper() {
        var swim = swim(knowing: 4)
        for accuser in [1, 2] {
            step(&swim, message(.gossip, from: accuser, [record(3, .suspect, by: accuser, refused: true)]), at: .origin)
        }
        // Of the others only the fourth was not refused itself.
        let now = run(&swim, from: .origin, for: .milliseconds(800), answering: [1, 2, 4], silent: [4])
        #expect(swim.member(World.node(3))?.status == .suspect)
        // Sooner than by silence alone.
        run(&swim, from: now, for: .milliseconds(1_500), answering: [1, 2, 4])
        #expect(swim.member(World.node(3))?.status == .dead)
    }

    @Test("where everybody else was refused as well there is nobody to ask, and a call in vain is enough")
    func nobodyElse() {
        var swim = swim(knowing: 3)
        for accuser in [1, 2] {
            step(&swim, message(.gossip, from: accuser, [record(3, .suspect, by: accuser, refused: true)]), at: .origin)
        }
        run(&swim, from: .origin, for: .milliseconds(200))
        #expect(swim.member(World.node(3))?.status == .dead)
    }

    @Test("a call that was made before it was accused is not enough: it may have stood still for a moment")
    func earlierCall() {
        var swim = swim(knowing: 6)
        step(&swim, .linkRefused(World.node(3)), at: .origin)
        var now = run(&swim, from: .origin, for: .milliseconds(125))
        #expect(swim.member(World.node(3))?.status == .suspect)
        step(&swim, message(.gossip, from: 5, [record(3, .suspect, by: 5, refused: true)]), at: now)
        now = run(&swim, from: now, for: .milliseconds(100))
        #expect(swim.member(World.node(3))?.status == .suspect)
        run(&swim, from: now, for: .milliseconds(100))
        #expect(swim.member(World.node(3))?.status == .dead)
    }

    @Test("a helper that is asked more than it keeps forgets first whom it has told that it heard nothing")
    func manyRelays() {
        var swim = swim(knowing: 80)
        func ask(_ indices: ClosedRange<Int>, at now: LogicalInstant) -> Int {
            indices.reduce(0) { sum, index in
                let request = SwimMessage.Body.pingRequest(
                    sequence: 1, target: World.node(index), address: World.address(index))
                return sum + pings(swim.step(message(request, from: 80), at: now), to: index).count
            }
        }
        #expect(ask(1...70, at: .origin) == 64)
        let now = run(&swim, from: .origin, for: .milliseconds(125))
        #expect(ask(1...70, at: now) == 64)
    }

    @Test("a helper that stood still while it was asked says that it has heard nothing, when it goes on")
    func pausedHelper() {
        var swim = swim(knowing: 4)
        var now = run(&swim, from: .origin, for: .seconds(1)) + .seconds(2)
        let request = SwimMessage.Body.pingRequest(sequence: 9, target: World.node(3), address: World.address(3))
        _ = swim.step(message(request, from: 1), at: now)
        var answers = 0
        for _ in 0..<8 {
            for case .send(let answer, World.address(1)) in swim.step(.tick, at: now) where answer.body == .nack(sequence: 9) {
                answers += 1
            }
            now = now + swim.tuning.tick
        }
        #expect(swim.counters.lateTicks == 1)
        #expect(answers == 1)
    }

    @Test("whoever is answered by one whose links were refused to two does not believe them, nor a verdict of theirs")
    func answersUs() throws {
        var swim = swim(knowing: 8)
        for accuser in [4, 5] {
            _ = swim.step(
                message(.gossip, from: accuser, [record(3, .suspect, by: accuser, refused: true)]), at: .origin)
        }
        let now = LogicalInstant.origin + .milliseconds(25)
        let number = try #require(pings(swim.step(.tick, at: now), to: 3).first)
        _ = swim.step(message(.ack(sequence: number), from: 3), at: now)
        _ = swim.step(message(.gossip, from: 4, [record(3, .dead, by: 4, refused: true)]), at: now)
        run(&swim, from: now, for: .milliseconds(500))
        #expect(swim.member(World.node(3))?.status == .suspect)
    }

    @Test("whoever is refused, and whose ping is lost, is no witness where a helper is answered", arguments: [true, false])
    func helped(isAnswered: Bool) throws {
        var swim = swim(knowing: 5)
        let number = try #require(pings(swim.step(.linkRefused(World.node(3)), at: .origin), to: 3).first)
        var now = LogicalInstant.origin
        var asked = 0
        while now < .origin + .milliseconds(150) {
            now = now + .milliseconds(25)
            for case .send(let request, let address) in swim.step(.tick, at: now) {
                guard case .pingRequest(number, World.node(3), _) = request.body else { continue }
                asked += 1
                let index = try #require((1...5).first { World.address($0) == address })
                let answer = message(isAnswered ? .ack(sequence: number) : .nack(sequence: number), from: index)
                #expect(!swim.step(answer, at: now).contains(.dropped(.late)))
            }
        }
        #expect(asked == 3)
        #expect(swim.member(World.node(3))?.status == (isAnswered ? .alive : .suspect))
    }

    @Test("a ping whose answer had to wait for us says nothing of the way")
    func roundTrip() throws {
        for pause in [Span.milliseconds(40), .seconds(1)] {
            var swim = swim(knowing: 1)
            var now = LogicalInstant.origin
            var sent: UInt64?
            while sent == nil, now < .origin + .seconds(1) {
                now = now + swim.tuning.tick
                sent = pings(swim.step(.tick, at: now), to: 1).first
            }
            let number = try #require(sent)
            _ = swim.step(message(.ack(sequence: number), from: 1), at: now + pause)
            #expect(swim.takeRoundTrip() == (pause < .seconds(1) ? pause : nil))
        }
    }

    @Test("a silent member is asked over its link, and an answer there saves it")
    func stream() throws {
        var swim = swim(knowing: 1)
        var now = LogicalInstant.origin
        var asked: UInt64?
        while asked == nil, now < .origin + .milliseconds(500) {
            now = now + .milliseconds(25)
            for case .stream(let node, let address, let number) in swim.step(.tick, at: now) {
                #expect(node == World.node(1))
                #expect(address == "m1:8")
                asked = number
                _ = swim.step(.streamAnswered(node, sequence: number), at: now)
            }
        }
        _ = try #require(asked)
        #expect(swim.counters.savedByLink == 1)
        #expect(swim.member(World.node(1))?.status == .alive)
        #expect(swim.counters.failedProbes == 0)
    }

    @Test("a handshake that takes longer than the period, and less than the suspicion, saves the suspect")
    func slowHandshake() throws {
        var swim = swim(knowing: 1)
        var now = LogicalInstant.origin
        var answers: [(at: LogicalInstant, number: UInt64)] = []
        while now < .origin + .seconds(60) {
            now = now + .milliseconds(25)
            for case .stream(_, _, let number) in swim.step(.tick, at: now) {
                answers.append((now + SwimTuning.fast.handshakeTimeout - .milliseconds(25), number))
            }
            while let answer = answers.first, answer.at <= now {
                answers.removeFirst()
                _ = swim.step(.streamAnswered(World.node(1), sequence: answer.number), at: now)
            }
        }
        #expect(swim.counters.failedProbes > 0)
        #expect(swim.counters.verdicts == 0)
        #expect(swim.counters.savedByLink > 0)
    }
}
