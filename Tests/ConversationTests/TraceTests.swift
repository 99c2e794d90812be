import Testing
import TraceKit

/// A world that says again what it is told.
private struct Echo: TraceLanguage {
    private var left = 0

    init() {}

    mutating func run(_ command: inout TraceCommand, into output: inout [String]) throws {
        switch command.name {
        case "say": output.append(command.rest().joined(separator: " "))
        case "times":
            let word = try command.word("a word")
            for _ in 0..<(try command.number("count") ?? 1) { output.append(word) }
        case "leave": left += 1
        default: throw command.problem("no command \(command.name)")
        }
    }

    var unfinished: String? { left > 0 ? "something is left" : nil }
}

@Suite struct TraceTests {
    private static let example = """
        # What is shown.
        # Whose rule it is.

        # Why this comes first.
        say hello
        # between two
        times a count=2
        ----
        hello
        a
        a


        # Nothing follows here.
        times b count=0
        ----

        # The end.

        """

    @Test("a file is read and written again without a change, comments and blank lines included")
    func roundTrip() throws {
        let trace = try Trace(Self.example, file: "example.txt")
        #expect(trace.text == Self.example)
        #expect(trace.blocks.map(\.expected) == [["hello", "a", "a"], []])
        #expect(trace.blocks.map { $0.commands.map(\.line) } == [[5, 7], [15]])
    }

    @Test("what comes as expected differs in nothing; what does not is shown line by line at its block")
    func comparison() throws {
        let trace = try Trace(Self.example, file: "example.txt")
        let same = try TraceRunner.replay(trace, in: Echo.self)
        #expect(same == trace)
        #expect(TraceRunner.difference(expected: trace, actual: same) == [])

        let changed = Self.example.replacing("hello\na\na", with: "hello\nb\na\nc")
        let other = try Trace(changed, file: "example.txt")
        #expect(
            TraceRunner.difference(expected: other, actual: try TraceRunner.replay(other, in: Echo.self)) == [
                "example.txt:8: after times a count=2", "  hello", "- b", "  a", "- c", "+ a",
            ])
    }

    @Test("a replay takes the place of what was expected, and changes nothing else")
    func rewriting() throws {
        let old = try Trace(Self.example.replacing("hello\na\na", with: "nonsense"), file: "example.txt")
        #expect(try TraceRunner.replay(old, in: Echo.self).text == Self.example)
    }

    @Test(
        "a file that is not well formed is refused at its line",
        arguments: [
            ("say a\n----\na\n", 1, "begin with a comment that says what is shown, and whose rule it is"),
            ("", 1, "begin with a comment that says what is shown, and whose rule it is"),
            ("x", 1, "the last line does not end"),
            ("# x\n\nsay a\n----\na", 5, "the last line does not end"),
            ("# x\n", 1, "nothing happens here"),
            ("# x\n\nsay a\n\n----\n", 3, "commands without ----"),
            ("# x\n\nsay a\n", 3, "commands without ----"),
            ("# x\n\n----\na\n", 3, "---- without a command"),
            ("# x\n\n# y\n----\na\n", 4, "---- without a command"),
            ("# x\n\nsay a\n----\na\n----\n", 6, "a second ---- without a blank line before"),
            ("# x\n\nsay a \n----\na\n", 3, "a blank at the end of the line, or a tab in it"),
            ("# x\n\nsay\ta\n----\na\n", 3, "a blank at the end of the line, or a tab in it"),
            ("# x\n\n say a\n----\na\n", 3, "two blanks in a row, or one at the beginning"),
            ("# x\n\nsay  a\n----\na\n", 3, "two blanks in a row, or one at the beginning"),
            ("# x\n\nSay a\n----\na\n", 3, "Say is no name of a command"),
            ("# x\n\nsay a=1 b\n----\na\n", 3, "b stands behind an option"),
            ("# x\n\nsay =1\n----\na\n", 3, "=1: no key, or given twice"),
            ("# x\n\nsay a=1 a=2\n----\na\n", 3, "a=2: no key, or given twice"),
            ("# x\n\nsay a=\n----\na\n", 3, ": a list stands in brackets, with no empty value"),
            ("# x\n\nsay a=1,2\n----\na\n", 3, "1,2: a list stands in brackets, with no empty value"),
            ("# x\n\nsay a=(1,,2)\n----\na\n", 3, "(1,,2): a list stands in brackets, with no empty value"),
            ("# x\n\nsay a=(1,2\n----\na\n", 3, "(1,2: a bracket is missing"),
            ("# x\n\nsay a=()\n----\na\n", 3, "(): a bracket is missing"),
        ])
    func malformed(text: String, line: Int, problem: String) {
        #expect(throws: TraceError(file: "f.txt", line: line, problem: problem)) { try Trace(text, file: "f.txt") }
    }

    @Test(
        "a command that cannot be carried out is refused at its line",
        arguments: [
            ("sing a", "no command sing"), ("say a loud=1", "say: loud= is not understood"),
            ("times", "times: a word is missing"), ("times a b", "times: b is not understood"),
            ("times a count=many", "count=many: not a number"), ("times a count=(1,2)", "count has one value"),
        ])
    func refused(line: String, problem: String) throws {
        let trace = try Trace("# x\n\nsay a\n----\na\n\n\(line)\n----\n", file: "f.txt")
        #expect(throws: TraceError(file: "f.txt", line: 7, problem: problem)) {
            try TraceRunner.replay(trace, in: Echo.self)
        }
        #expect(TraceError(file: "f.txt", line: 7, problem: "p").description == "f.txt:7: p")
    }

    @Test("a conversation that leaves something under way is refused at its end")
    func unfinished() throws {
        let trace = try Trace("# x\n\nleave\nsay a\n----\na\n", file: "f.txt")
        let error = TraceError(file: "f.txt", line: 5, problem: "the conversation ends too early: something is left")
        #expect(throws: error) { try TraceRunner.replay(trace, in: Echo.self) }
    }

    @Test("a list of values stands in brackets, one value may")
    func lists() throws {
        var command = try TraceCommand("deliver a drop=(b,c->d) kind=(e)", file: "f.txt", line: 1)
        #expect(try command.word("a word") == "a")
        #expect(command.list("drop") == ["b", "c->d"])
        #expect(try command.value("kind") == "e")
        #expect(command.list("kind") == nil)
        try command.finished()
    }
}

@Suite struct LineDifferenceTests {
    @Test(
        "every line of both lists stands once, in order",
        arguments: [
            ([], [], []), (["a"], [], ["- a"]), ([], ["a"], ["+ a"]), (["a", "b"], ["a", "b"], ["  a", "  b"]),
            (["a", "b", "c"], ["a", "c", "d"], ["  a", "- b", "  c", "+ d"]), (["a"], ["b"], ["- a", "+ b"]),
        ] as [([String], [String], [String])])
    func lines(old: [String], new: [String], expected: [String]) {
        #expect(LineDifference.lines(from: old, to: new) == expected)
    }
}
