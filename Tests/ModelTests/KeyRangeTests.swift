import Model
import Testing

@Suite struct KeyRangeTests {
    private func key(_ bytes: UInt8...) -> Key { Key(bytes) }

    @Test("keys compare byte by byte, and a prefix comes before what it begins")
    func order() {
        #expect(key(1) < key(1, 0))
        #expect(key(1, 255) < key(2))
        #expect(Key.least < key(0))
    }

    @Test("a range holds its lower end and not its upper end")
    func halfOpen() {
        let range = KeyRange(low: key(5), high: key(9))
        #expect(range.contains(key(5)))
        #expect(range.contains(key(8, 255)))
        #expect(!range.contains(key(9)))
        #expect(!range.contains(key(4, 255)))
    }

    @Test("a range without an upper end reaches to the end of the table")
    func unbounded() {
        #expect(KeyRange.all.contains(key(255, 255, 255)))
        #expect(KeyRange.all.contains(KeyRange(low: key(3), high: nil)))
        #expect(!KeyRange(low: .least, high: key(3)).contains(KeyRange(low: key(1), high: nil)))
    }

    @Test("adjacent ranges do not overlap, nested ones do")
    func overlap() {
        let low = KeyRange(low: .least, high: key(5))
        let high = KeyRange(low: key(5), high: nil)
        #expect(!low.overlaps(high))
        #expect(!high.overlaps(low))
        #expect(KeyRange.all.overlaps(low))
        #expect(low.overlaps(KeyRange(low: key(4), high: key(6))))
    }

    @Test("a split cuts strictly inside, and its halves share the key as border")
    func split() throws {
        let range = KeyRange(low: key(2), high: key(8))
        let halves = try #require(range.split(at: key(5)))
        #expect(halves.lower == KeyRange(low: key(2), high: key(5)))
        #expect(halves.upper == KeyRange(low: key(5), high: key(8)))
        #expect(range.split(at: key(2)) == nil)
        #expect(range.split(at: key(8)) == nil)
        #expect(range.split(at: key(9)) == nil)
    }

    @Test("an empty range from outside is refused rather than trapped")
    func emptyRefused() {
        #expect(KeyRange(checkingLow: key(5), high: key(5)) == nil)
        #expect(KeyRange(checkingLow: key(6), high: key(5)) == nil)
        #expect(KeyRange(checkingLow: key(5), high: nil) != nil)
    }
}
