import Model
import Testing

@testable import Replication

@Suite struct LeaseBookTests {
    private let id = PartitionID(1)
    private let a: NodeID
    private let b: NodeID
    private let start = LogicalInstant(microseconds: 0)

    init() throws {
        a = try NodeID("a")
        b = try NodeID("b")
    }

    private func books() -> (holder: LeaseBook, grantor: LeaseBook) {
        let longAgo = LogicalInstant(microseconds: -10_000_000)
        return (
            LeaseBook(startedAt: longAgo, generation: Generation(1)), LeaseBook(startedAt: longAgo, generation: Generation(1))
        )
    }

    @Test("the holder's right ends before the grantor's duty, however long the messages travel (L2)", arguments: [0, 50, 400])
    func holderEndsFirst(travel: Int64) throws {
        var (holder, grantor) = books()
        holder.ownLogSynced(at: start)
        let request = try #require(holder.requests(to: [b], knowing: .none, at: start).first?.request)
        let received = start + .milliseconds(travel)
        let grant = grantor.grant(request, to: a, excluding: [], at: received)
        holder.granted(grant, by: b, at: received + .milliseconds(travel))
        var last = start
        for step in 0..<2_000 {
            let now = start + .milliseconds(Int64(step))
            holder.ownLogSynced(at: now)
            if holder.holds(id, at: Epoch(1), from: b, now: now) { last = now }
        }
        #expect(last < grantor.lastGrantEnds(for: a))
        #expect(last > start + .milliseconds(700))
    }

    @Test(
        "the coordinators' word counts from the question, for a topology that this node has, and no longer than a lease (R6, L3)"
    )
    func confirmation() {
        var (book, _) = books()
        let (old, new) = (Revision(history: 1, index: 7), Revision(history: 1, index: 9))
        book.ownLogSynced(at: start)
        book.knows(old)
        #expect(!book.holdsFromCoordinators(at: start))
        book.confirmed(old, askedAt: start)
        #expect(book.holdsFromCoordinators(at: start + .milliseconds(300)))
        // Something was committed since: that answer is worth nothing before it is known, and the older one what it was worth.
        book.confirmed(new, askedAt: start + .milliseconds(400))
        // The answer to an older question comes late.
        book.confirmed(old, askedAt: start + .milliseconds(350))
        book.ownLogSynced(at: start + .milliseconds(600))
        #expect(book.holdsFromCoordinators(at: start + .milliseconds(791)))
        #expect(!book.holdsFromCoordinators(at: start + .milliseconds(792)))
        book.knows(new)
        #expect(book.holdsFromCoordinators(at: start + .milliseconds(792)))
        book.ownLogSynced(at: start + .milliseconds(1_100))
        #expect(!book.holdsFromCoordinators(at: start + .milliseconds(1_192)))
        book.confirmed(new, askedAt: start + .milliseconds(1_100))
        #expect(book.holdsFromCoordinators(at: start + .milliseconds(1_599)))
        #expect(!book.holdsFromCoordinators(at: start + .milliseconds(1_600)), "its own log proves itself no more")
    }

    @Test("an excluded partition is dropped at once, whatever an earlier grant said (L1)")
    func exclusion() throws {
        var (holder, grantor) = books()
        holder.ownLogSynced(at: start)
        let first = try #require(holder.requests(to: [b], knowing: .none, at: start).first?.request)
        holder.granted(grantor.grant(first, to: a, excluding: [], at: start), by: b, at: start)
        #expect(holder.holds(id, at: Epoch(4), from: b, now: start))
        let later = start + .milliseconds(200)
        holder.ownLogSynced(at: later)
        let second = try #require(holder.requests(to: [b], knowing: .none, at: later).first?.request)
        let exclusion = LeaseExclusion(partition: id, epoch: Epoch(5))
        let grant = grantor.grant(second, to: a, excluding: [exclusion], at: later)
        holder.granted(grant, by: b, at: later)
        #expect(!holder.holds(id, at: Epoch(4), from: b, now: later))
        #expect(holder.holds(id, at: Epoch(5), from: b, now: later))
        #expect(holder.holds(PartitionID(2), at: Epoch(1), from: b, now: later))
        // The first grant, delivered again, does not bring the right back.
        holder.granted(LeaseGrant(number: first.number, duration: .milliseconds(800), exclusions: []), by: b, at: later)
        #expect(!holder.holds(id, at: Epoch(4), from: b, now: later))
    }

    @Test("a node whose log stalls asks for nothing and holds nothing (L3)")
    func ownLog() throws {
        var (holder, grantor) = books()
        holder.ownLogSynced(at: start)
        let request = try #require(holder.requests(to: [b], knowing: .none, at: start).first?.request)
        holder.granted(grantor.grant(request, to: a, excluding: [], at: start), by: b, at: start)
        let stalled = start + .milliseconds(500)
        #expect(!holder.holds(id, at: Epoch(1), from: b, now: stalled))
        #expect(holder.requests(to: [b], knowing: .none, at: stalled).isEmpty)
    }

    @Test("a node that has just started assumes that it granted the longest lease to everybody (L2)")
    func startCounts() {
        let book = LeaseBook(startedAt: start, generation: Generation(2))
        #expect(book.lastGrantEnds(for: a) >= start + .milliseconds(800))
    }

    @Test("a grant for an earlier life's request is not taken (L2)")
    func earlierLife() throws {
        var (old, grantor) = books()
        old.ownLogSynced(at: start)
        let request = try #require(old.requests(to: [b], knowing: .none, at: start).first?.request)
        var reborn = LeaseBook(startedAt: start, generation: Generation(2))
        reborn.ownLogSynced(at: start)
        _ = reborn.requests(to: [b], knowing: .none, at: start)
        reborn.granted(grantor.grant(request, to: a, excluding: [], at: start), by: b, at: start)
        #expect(!reborn.holds(id, at: Epoch(1), from: b, now: start))
    }
}
