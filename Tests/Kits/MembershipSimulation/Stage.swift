import Membership
import Model
import SimulationKit

/// One member and what it is told: by itself, and by nine others whose part is written down.
struct Stage {
    private(set) var swim: Swim
    private(set) var now = LogicalInstant.origin
    /// Who does not answer.
    var gone: [Int] = []
    /// Whether that one answers over its link.
    var hasLink = false
    /// To whom the next ping is lost.
    var missing: Int?
    /// Who was pinged by the last tick.
    private(set) var pinged: [NodeID] = []
    /// Whether the last tick asked for a comparison.
    private(set) var hasCompared = false
    /// Whether a suspect was asked for one.
    private(set) var hasAskedInVain = false
    /// How often those who are not suspect were told of this incarnation.
    private(set) var tellings = 0
    var toldOf: (index: Int, incarnation: UInt64) = (0, 1)
    /// The deaths that it has reported, and when.
    private(set) var reported: [(node: NodeID, at: LogicalInstant)] = []

    init(_ trial: Trial, unheardGrace: Span = SwimTuning.fast.unheardGrace) {
        var tuning = SwimTuning.fast
        tuning.unheardGrace = unheardGrace
        swim = Swim(
            node: World.node(0), generation: Generation(3), profile: World.profile(0), tuning: trial.tuned(tuning),
            seed: trial.seed, at: .origin)
        for index in 1..<10 { hear(rumour(index, .alive), from: index) }
    }

    func rumour(_ index: Int, _ status: MemberStatus, by accuser: Int? = nil) -> MemberRecord {
        MemberRecord(
            node: World.node(index), life: Life(generation: Generation(1), incarnation: 0), status: status,
            profile: World.profile(index), accuser: accuser.map(World.node))
    }

    mutating func hear(_ rumour: MemberRecord, from index: Int) {
        _ = swim.step(Scenario.gossip([rumour], from: index), at: now)
    }

    /// Time passes by one tick. All others answer what they are asked, and as helpers, that they have heard nothing; those of whom nobody
    /// ever heard do not help.
    mutating func tick() {
        now = now + swim.tuning.tick
        hasCompared = false
        pinged = []
        for action in swim.step(.tick, at: now) {
            if case .reportDeaths(let report) = action { reported += report.deaths.map { ($0.node, now) } }
            if case .stream(let node, _, let number) = action, hasLink {
                _ = swim.step(.streamAnswered(node, sequence: number), at: now)
            }
            guard case .send(let message, let address) = action else { continue }
            count(message, to: address)
            if case .pingRequest(let number, _, _) = message.body {
                reply(.nack(sequence: number), from: swim.members.first { $0.heard && $0.profile.gossip == address }?.node)
            }
            guard case .ping(let number, let target) = message.body else { continue }
            pinged.append(target)
            hasCompared = hasCompared || message.digest != nil
            hasAskedInVain = hasAskedInVain || message.digest != nil && swim.status(of: target) == .suspect
            if gone.contains(where: { target == World.node($0) }) { continue }
            if let index = missing, target == World.node(index) {
                missing = nil
                continue
            }
            reply(.ack(sequence: number), from: target)
        }
    }

    /// It is not run for a while; what was sent to it meanwhile was lost.
    mutating func pause(for span: Span) {
        now = now + span
        tick()
    }

    mutating func input(_ input: Swim.Input) { _ = swim.step(input, at: now) }

    private mutating func count(_ message: SwimMessage, to address: String) {
        guard swim.members.first(where: { $0.profile.gossip == address })?.status == .alive else { return }
        let (node, incarnation) = (World.node(toldOf.index), toldOf.incarnation)
        tellings += message.rumours.count { $0.node == node && $0.life.incarnation == incarnation }
    }

    private mutating func reply(_ body: SwimMessage.Body, from node: NodeID?) {
        guard let node, let member = swim.member(node) else { return }
        let answer = SwimMessage(
            from: node, life: Life(generation: Generation(1), incarnation: 0), revision: .none, body: body, rumours: [])
        _ = swim.step(.received(answer, from: member.profile.gossip), at: now)
    }

    mutating func run(for span: Span) {
        let end = now + span
        while now < end { tick() }
    }

    /// - Returns: how long it takes until this one is held dead.
    mutating func verdict(on index: Int) -> Span {
        let start = now
        while swim.member(World.node(index))?.status != .dead, now < start + .seconds(30) { tick() }
        return now - start
    }
}
