import Consensus
import Model
import Testing

@Suite struct ProgressTests {
    /// What happens to a follower's progress.
    enum Event: Sendable {
        case sent(UInt64)
        case matched(UInt64)
        /// Refused the append after the first; the logs agree at the second at the latest.
        case rejected(UInt64, UInt64)
        case linkWorks, linkBroken, sendSnapshot
    }

    /// How it stands afterwards, without what a reader does not need.
    enum Standing: Equatable, Sendable { case probe, waiting, replicate, full, snapshot }

    struct Row: Sendable, CustomTestStringConvertible {
        let what: String
        let events: [Event]
        let match: UInt64
        let next: UInt64
        let standing: Standing
        var testDescription: String { what }

        init(_ what: String, _ events: [Event], match: UInt64, next: UInt64, _ standing: Standing) {
            (self.what, self.events, self.match, self.next, self.standing) = (what, events, match, next, standing)
        }
    }

    /// Two messages on their way, or a hundred bytes; each append of this table has forty.
    private static let settings = RaftSettings(inFlightMessages: 2, inFlightBytes: 100)

    private static func apply(_ event: Event, to progress: inout Progress) {
        switch event {
        case .sent(let last): progress.sent(upTo: LogIndex(last), bytes: 40)
        case .matched(let index): _ = progress.matched(LogIndex(index))
        case .rejected(let at, let hint): _ = progress.rejected(at: LogIndex(at), agreesAtLatest: LogIndex(hint))
        case .linkWorks: progress.linkWorks()
        case .linkBroken: progress.linkBroken()
        case .sendSnapshot:
            progress.sendSnapshot(EntryID(term: Term(1), index: LogIndex(8)), offset: 0, at: .origin)
        }
    }

    private static func standing(_ progress: Progress) -> Standing {
        switch progress.mode {
        case .probe(let waiting): waiting ? .waiting : .probe
        case .replicate(let window): window.isFull(settings) ? .full : .replicate
        case .snapshot: .snapshot
        }
    }

    /// A leader whose log ends at 9 begins with 10 for everybody.
    @Test(
        "a follower's progress goes the way that its answers tell",
        arguments: [
            Row("nothing is known at first", [], match: 0, next: 10, .probe),
            Row("one probe at a time", [.sent(10)], match: 0, next: 10, .waiting),
            Row("a refusal goes back to where the logs can agree", [.sent(10), .rejected(9, 6)], match: 0, next: 7, .probe),
            Row("and never forward", [.sent(10), .rejected(9, 20)], match: 0, next: 9, .probe),
            Row(
                "nor behind what is known to be there",
                [.sent(10), .matched(5), .linkBroken, .sent(9), .rejected(5, 2)], match: 5, next: 6, .probe),
            Row("a refusal of another append is old", [.sent(10), .rejected(4, 2)], match: 0, next: 10, .waiting),
            Row("a lost probe is repeated when the link works", [.sent(10), .linkWorks], match: 0, next: 10, .probe),
            Row("an acknowledgement ends the probing", [.sent(10), .matched(10)], match: 10, next: 11, .replicate),
            Row("appends go ahead of their answers", [.matched(9), .sent(10)], match: 9, next: 11, .replicate),
            Row("until the window is full", [.matched(9), .sent(10), .sent(12)], match: 9, next: 13, .full),
            Row(
                "an answer frees what it speaks for", [.matched(9), .sent(10), .sent(12), .matched(10)], match: 10, next: 13,
                .replicate),
            Row("an old answer frees nothing", [.matched(9), .sent(10), .sent(12), .matched(9)], match: 9, next: 13, .full),
            Row(
                "one answer speaks for all before it", [.matched(9), .sent(10), .sent(12), .matched(12)], match: 12, next: 13,
                .replicate),
            Row(
                "a refusal ends the sending ahead", [.matched(9), .sent(10), .sent(12), .rejected(12, 9)], match: 9, next: 10,
                .probe),
            Row(
                "a refusal of what is known to be there is old", [.matched(9), .sent(12), .rejected(9, 3)], match: 9, next: 13,
                .replicate),
            Row(
                "a lost connection loses what was on its way", [.matched(9), .sent(12), .linkBroken], match: 9, next: 10, .probe
            ),
            Row("a working link changes nothing ahead", [.matched(9), .sent(12), .linkWorks], match: 9, next: 13, .replicate),
            Row("nothing is sent beside a snapshot", [.sendSnapshot, .sent(12)], match: 0, next: 10, .snapshot),
            Row("nor does a refusal end it", [.sendSnapshot, .rejected(9, 2)], match: 0, next: 10, .snapshot),
            Row("nor a link that breaks or works", [.sendSnapshot, .linkBroken, .linkWorks], match: 0, next: 10, .snapshot),
            Row("nor an answer short of its end", [.sendSnapshot, .matched(7)], match: 7, next: 10, .snapshot),
            Row("one that reaches it does", [.sendSnapshot, .matched(8)], match: 8, next: 9, .probe),
        ])
    func goes(_ row: Row) {
        var progress = Progress(next: LogIndex(10))
        for event in row.events { Self.apply(event, to: &progress) }
        #expect(progress.match.number == row.match)
        #expect(progress.next.number == row.next)
        #expect(Self.standing(progress) == row.standing)
        #expect(progress.maySend(Self.settings) == (row.standing == .probe || row.standing == .replicate))
    }

    @Test("what is known to be on the disk never falls, and what is sent next is always behind it, whatever comes in any order")
    func invariants() {
        var random = SeededGenerator(seed: 9)
        for _ in 0..<500 {
            var progress = Progress(next: LogIndex(10))
            for _ in 0..<40 {
                let before = progress
                let (one, two) = (UInt64.random(in: 0...15, using: &random), UInt64.random(in: 0...15, using: &random))
                let events: [Event] = [
                    .sent(one), .matched(one), .rejected(one, two), .linkWorks, .linkBroken, .sendSnapshot,
                ]
                guard let event = events.randomElement(using: &random) else { continue }
                Self.apply(event, to: &progress)
                #expect(progress.match >= before.match, "\(event)")
                #expect(progress.next > progress.match, "\(event)")
            }
        }
    }

    @Test("a window is full by its count or by its bytes, and free again as answers come, in order")
    func window() {
        var window = InFlightWindow()
        #expect(window.isEmpty && !window.isFull(Self.settings))
        window.add(LogIndex(3), bytes: 99)
        #expect(!window.isFull(Self.settings))
        window.add(LogIndex(5), bytes: 0)
        #expect(window.isFull(Self.settings), "by count")
        window.free(upTo: LogIndex(2))
        #expect(window.isFull(Self.settings))
        window.free(upTo: LogIndex(4))
        #expect(!window.isFull(Self.settings) && !window.isEmpty)
        window.free(upTo: LogIndex(5))
        #expect(window.isEmpty)
        window.add(LogIndex(6), bytes: 100)
        #expect(window.isFull(Self.settings), "by bytes")
        window.free(upTo: LogIndex(9))
        #expect(window == InFlightWindow())
    }
}
