import Client
import Foundation
import Model
import Testing
import LoadLedger

@testable import coxctl

@Suite struct LedgerTests {
    private func receipt(_ epoch: UInt64, _ sequence: UInt64, partition: UInt64 = 7) -> CoxswainClient.Receipt {
        .init(partition: partition, position: Position(epoch: Epoch(epoch), run: 1, sequence: sequence))
    }

    @Test("the newest acknowledged write in the partition's order must be there, whoever acknowledged first")
    func newest() {
        var ledger = Ledger()
        ledger.note(.acknowledged(key: "a", value: "new", at: receipt(2, 7)))
        ledger.note(.acknowledged(key: "a", value: "old", at: receipt(1, 9)))
        #expect(ledger.judge("a", found: "new") == .kept)
        let lost = Ledger.Finding.lost(expected: .init(value: "new", receipt: receipt(2, 7)), found: "old")
        #expect(ledger.judge("a", found: "old") == lost)
        #expect(ledger.judge("a", found: nil) != .kept)
        #expect(ledger.judge("b", found: nil) == nil)
        #expect(ledger.keys == ["a"])
    }

    @Test("a write of unknown outcome may be there or not; one that was refused, or that nobody sent, may not")
    func unknown() {
        var ledger = Ledger()
        for value in ["sure", "perhaps", "refused"] { ledger.note(.sent(key: "a", value: value)) }
        #expect(ledger.unknownCount == 3)
        ledger.note(.acknowledged(key: "a", value: "sure", at: receipt(1, 1)))
        ledger.note(.refused(key: "a", value: "refused"))
        #expect(ledger.judge("a", found: "sure") == .kept)
        #expect(ledger.judge("a", found: "perhaps") == .unknownHappened)
        for absent in ["refused", "never", nil] {
            #expect(ledger.judge("a", found: absent) != .unknownHappened)
            #expect(ledger.judge("a", found: absent) != .kept)
        }
        #expect((ledger.acknowledgedCount, ledger.unknownCount, ledger.refusedCount) == (1, 1, 1))
    }

    @Test("two writes acknowledged at one place of one partition are two histories")
    func conflict() {
        var ledger = Ledger()
        ledger.note(.acknowledged(key: "a", value: "1", at: receipt(1, 1)))
        ledger.note(.acknowledged(key: "b", value: "2", at: receipt(1, 1, partition: 8)))
        #expect(ledger.conflicts.isEmpty)
        ledger.note(.acknowledged(key: "c", value: "3", at: receipt(1, 1)))
        #expect(ledger.conflicts == ["c"])
    }

    @Test("what is asked for again may stand where a write of another partition does, but not where one of its own key does")
    func afterMerge() {
        var ledger = Ledger()
        ledger.note(.acknowledged(key: "a", value: "1", at: receipt(1, 1)))
        let earlier = CoxswainClient.Receipt(partition: 7, position: receipt(1, 1).position, mayBeEarlier: true)
        ledger.note(.acknowledged(key: "b", value: "2", at: earlier))
        ledger.note(.acknowledged(key: "c", value: "4", at: earlier))
        #expect(ledger.conflicts.isEmpty)
        ledger.note(.acknowledged(key: "a", value: "3", at: earlier))
        #expect(ledger.conflicts == ["a"])
    }

    @Test("a write of unknown outcome is asked for again, and its place is known then")
    func asking() async throws {
        var answers: [Result<CoxswainClient.Receipt, ClientError>] = []
        func ask() async throws(ClientError) -> CoxswainClient.Receipt {
            try await Ledger.asking(times: 3) { () async throws(ClientError) in try answers.removeFirst().get() }
        }
        let (unknown, refused) = (ClientError.outcomeUnknown("first"), ClientError.unreachable("nobody"))
        answers = [.success(receipt(1, 1))]
        #expect(try await ask().mayBeEarlier == false)
        answers = [.failure(unknown), .failure(refused), .success(receipt(1, 2))]
        let late = try await ask()
        #expect(late.position == receipt(1, 2).position && late.mayBeEarlier)
        answers = [.failure(refused)]
        await #expect(throws: refused) { try await ask() }
        answers = [.failure(unknown), .failure(refused), .failure(refused)]
        await #expect(throws: unknown) { try await ask() }
    }

    @Test("a write of unknown outcome that is in its row is judged by its place, and so hides no lost one")
    func hidden() async throws {
        var ledger = Ledger()
        let once = CoxswainClient.onceKey()
        ledger.note(.sent(key: "a", value: "perhaps", once: once))
        ledger.note(.sent(key: "a", value: "sure"))
        ledger.note(.acknowledged(key: "a", value: "sure", at: receipt(1, 5)))
        func judge(
            _ found: String?, _ answer: Result<CoxswainClient.Receipt, ClientError>
        ) async -> (Ledger.Finding?, asked: Set<IdempotencyKey>) {
            var asked: Set<IdempotencyKey> = []
            let finding = await ledger.judge("a", found: found) { (once) async throws(ClientError) in
                asked.insert(once)
                return try answer.get()
            }
            return (finding, asked)
        }
        let lost = Ledger.Finding.lost(expected: .init(value: "sure", receipt: receipt(1, 5)), found: "perhaps")
        for (place, finding) in [(receipt(1, 4), lost), (receipt(1, 5), lost), (receipt(1, 6), .kept)] {
            let (found, asked) = await judge("perhaps", .success(place))
            #expect(found == finding && asked == [once])
        }
        #expect(await judge("perhaps", .failure(.outcomeUnknown("still"))).0 == .unknownHappened)
        // What is not there is not asked for: it might be done now, over what is looked for.
        for (value, finding) in [
            ("sure", .kept), (nil, .lost(expected: .init(value: "sure", receipt: receipt(1, 5)), found: nil)),
        ]
            as [(String?, Ledger.Finding)]
        {
            let (found, asked) = await judge(value, .success(receipt(1, 6)))
            #expect(found == finding && asked.isEmpty)
        }
        // Sent by somebody who left no key.
        var keyless = Ledger()
        keyless.note(.sent(key: "a", value: "perhaps"))
        keyless.note(.acknowledged(key: "a", value: "sure", at: receipt(1, 5)))
        let found = await keyless.judge("a", found: "perhaps") { (_) async throws(ClientError) in receipt(1, 6) }
        #expect(found == .unknownHappened)
    }

    @Test("rows that hold a write of which nobody tells when it happened are no pass, and are named")
    func undecided() {
        var audit = LedgerAudit()
        audit.count(.kept, of: "a")
        #expect(audit.undecided.isEmpty)
        audit.count(.unknownHappened, of: "b")
        #expect(audit.rows == 2 && audit.undecided == ["b"] && audit.lost.isEmpty)
        #expect(audit.undecidedWords.hasSuffix("hide behind it: b"))
    }

    private static let subject = LedgerSubject(table: "usertable", keyColumn: "id", valueColumn: "field0")

    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "ledger-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.appending(path: "ledger").path)
    }

    @Test("a ledger on disk says the same to the next process, and goes on there")
    func file() throws {
        try inFolder { path in
            let book = LedgerBook(file: try LedgerFile.open(path, for: Self.subject).file)
            try book.note(.sent(key: "a", value: "1"))
            try book.note(.acknowledged(key: "a", value: "1", at: receipt(3, 4)))
            try book.note(.sent(key: "b", value: "2"))
            try book.note(.refused(key: "b", value: "2"))
            let sent = Ledger.Event.sent(key: "a", value: "3", once: CoxswainClient.onceKey())
            #expect(Ledger.Event(line: Substring(sent.line)) == sent)
            #expect(Ledger.Event(line: "sent\ta\t3\tno key") == nil)
            try book.note(sent)

            let (subject, ledger) = try LedgerFile.load(path)
            #expect(subject == Self.subject)
            #expect((ledger.acknowledgedCount, ledger.unknownCount, ledger.refusedCount) == (1, 1, 1))
            #expect(ledger.judge("a", found: "1") == .kept)
            #expect(ledger.judge("a", found: "3") == .unknownHappened)

            let (file, earlier) = try LedgerFile.open(path, for: Self.subject)
            let next = LedgerBook(earlier, file: file)
            let again = CoxswainClient.Receipt(partition: 7, position: receipt(3, 5).position, mayBeEarlier: true)
            let last = Ledger.Event.acknowledged(key: "a", value: "3", at: again)
            #expect(Ledger.Event(line: Substring(last.line)) == last)
            try next.note(last)
            #expect(try LedgerFile.load(path).ledger.acknowledgedCount == 2)
            #expect(next.current.judge("a", found: "3") == .kept)
        }
    }

    @Test("a line that a kill cut short says nothing, and the next line is whole")
    func torn() throws {
        try inFolder { path in
            let whole = Self.subject.line + "\n" + Ledger.Event.sent(key: "a", value: "1").line + "\n"
            try Data((whole + "acknowledged\ta\t1\t7").utf8).write(to: URL(filePath: path))
            #expect(try LedgerFile.load(path).ledger.unknownCount == 1)
            let (file, _) = try LedgerFile.open(path, for: Self.subject)
            try file.append(.acknowledged(key: "a", value: "1", at: receipt(1, 1)))
            #expect(try LedgerFile.load(path).ledger.acknowledgedCount == 1)
        }
    }

    @Test("the ledger of another table, and what is no ledger, are left alone")
    func foreign() throws {
        try inFolder { path in
            _ = try LedgerFile.open(path, for: LedgerSubject(table: "other", keyColumn: "id", valueColumn: "v"))
            let before = try Data(contentsOf: URL(filePath: path))
            #expect(throws: CommandFailure.self) { try LedgerFile.open(path, for: Self.subject) }
            #expect(try Data(contentsOf: URL(filePath: path)) == before)
            for text in [
                "", "hello\n", Self.subject.line + "\nsent\tonly\n", Self.subject.line + "\nacknowledged\ta\tb\tx\t1\t1\t1\n",
            ] {
                try Data(text.utf8).write(to: URL(filePath: path))
                #expect(throws: CommandFailure.self, "\(text)") { try LedgerFile.load(path) }
            }
        }
    }
}
