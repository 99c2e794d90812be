import Membership
import Model
import Testing

@Suite struct AddressBookTests {
    private typealias Book = AddressBook<Int, String>

    private func seconds(_ count: Int64) -> LogicalInstant { .origin + .seconds(count) }

    /// In words, so that one can be compared.
    private func text(_ delivery: Book.Delivery) -> String {
        switch delivery {
        case .send(let place, let asks): "to \(place)\(asks ? ", asks" : "")"
        case .waits(let asks, let displaces): "waits\(asks ? ", asks" : "")\(displaces ? ", displaces" : "")"
        case .full: "full"
        }
    }

    @Test("a name is asked for once, whatever is sent there, and only the newest letter waits")
    func first() {
        var book = Book(age: .seconds(10))
        #expect(text(book.post("a", to: "m", at: seconds(0))) == "waits, asks")
        #expect(text(book.post("b", to: "m", at: seconds(1))) == "waits, displaces")
        #expect(text(book.post("c", to: "m", at: seconds(60))) == "waits, displaces")
        #expect(book.answer(7, for: "m", at: seconds(61)) == "c")
        #expect(text(book.post("d", to: "m", at: seconds(62))) == "to 7")
        #expect(book.answer(nil, for: "other", at: seconds(62)) == nil)
    }

    @Test("while an answer is outstanding, however long, the name is not asked for again")
    func slow() {
        var book = Book(age: .seconds(10))
        _ = book.post("a", to: "m", at: seconds(0))
        _ = book.answer(7, for: "m", at: seconds(0))
        #expect(text(book.post("b", to: "m", at: seconds(9))) == "to 7")
        #expect(text(book.post("c", to: "m", at: seconds(10))) == "to 7, asks")
        for second in [11, 20, 21, 40, 600] as [Int64] {
            #expect(text(book.post("d", to: "m", at: seconds(second))) == "to 7")
        }
        #expect(book.answer(8, for: "m", at: seconds(601)) == nil)
        #expect(text(book.post("e", to: "m", at: seconds(602))) == "to 8")
        #expect(text(book.post("f", to: "m", at: seconds(611))) == "to 8, asks")
        // Nobody knows it any more.
        _ = book.answer(nil, for: "m", at: seconds(612))
        #expect(text(book.post("g", to: "m", at: seconds(613))) == "to 8")
    }

    @Test("a name that nobody knew is asked for again by the next letter")
    func unknown() {
        var book = Book(age: .seconds(10))
        _ = book.post("a", to: "m", at: seconds(0))
        #expect(book.answer(nil, for: "m", at: seconds(1)) == "a")
        #expect(book.count == 0)
        #expect(text(book.post("b", to: "m", at: seconds(1))) == "waits, asks")
    }

    @Test("where there are too many names, those that are in use stay, and those that are not make room")
    func bounded() {
        var book = Book(age: .seconds(10), most: 3)
        for name in ["a", "b", "c"] {
            _ = book.post("", to: name, at: seconds(0))
            _ = book.answer(1, for: name, at: seconds(0))
        }
        #expect(text(book.post("", to: "d", at: seconds(1))) == "full")
        _ = book.post("", to: "a", at: seconds(50))
        #expect(text(book.post("", to: "d", at: seconds(61))) == "waits, asks")
        #expect(text(book.post("", to: "a", at: seconds(61))) == "to 1")
        #expect(text(book.post("", to: "b", at: seconds(61))) == "waits, asks")
        #expect(text(book.post("", to: "c", at: seconds(61))) == "full")
        // Whose answer is outstanding stays.
        #expect(text(book.post("", to: "c", at: seconds(200))) == "full")
        #expect(book.count == 3)
    }

    @Test("only so many names are asked for at a time, and those that nobody knows take no place when that is found out")
    func manyQuestions() {
        var book = Book(age: .seconds(10), mostAsked: 3)
        _ = book.post("", to: "known", at: seconds(0))
        _ = book.answer(1, for: "known", at: seconds(0))
        for name in ["x", "y", "z"] { #expect(text(book.post("", to: name, at: seconds(20))) == "waits, asks") }
        #expect(text(book.post("", to: "d", at: seconds(20))) == "full")
        // What is known holds, and is asked for again when others are answered.
        #expect(text(book.post("", to: "known", at: seconds(20))) == "to 1")
        for name in ["x", "y"] { #expect(book.answer(nil, for: name, at: seconds(25)) == "") }
        #expect(text(book.post("", to: "known", at: seconds(25))) == "to 1, asks")
        #expect(text(book.post("", to: "d", at: seconds(25))) == "waits, asks")
        #expect(text(book.post("", to: "e", at: seconds(25))) == "full")
        #expect(book.count == 3)
    }
}
