// A conversation file: what somebody did to a group, and everything that followed.
//
//     # What it shows, and whose rule or bug it is.
//
//     campaign a
//     stabilize
//     ----
//     a  becomes pre-candidate
//     a -> b  preVoteRequest T1 last=#0@T0
//
// Blocks stand apart by blank lines: commands, `----`, then what followed, up to the next blank line. Comments stand before a block
// or between its commands. Only what follows `----` is ever written by a machine.

/// What is wrong in a conversation file, and where.
package struct TraceError: Error, Equatable, CustomStringConvertible {
    package let file: String
    /// Counted from one.
    package let line: Int
    package let problem: String

    package init(file: String, line: Int, problem: String) {
        self.file = file
        self.line = line
        self.problem = problem
    }

    package var description: String { "\(file):\(line): \(problem)" }
}

/// A conversation as it was read: every line of the file, in order.
package struct Trace: Equatable, Sendable {
    package enum Part: Equatable, Sendable {
        /// Comments and blank lines, kept as they stand.
        case prose([String])
        case block(Block)
    }

    package struct Block: Equatable, Sendable {
        /// The lines above `----`, comments included.
        package let source: [String]
        package let commands: [TraceCommand]
        /// The lines below it.
        package var expected: [String]
        /// Where `----` stands.
        package let line: Int
    }

    package let file: String
    package var parts: [Part]

    package static let separator = "----"

    /// - Throws: `TraceError` for a file that does not begin with a comment, for a block without commands or without `----`, for
    ///   a command that cannot be read, for blanks at the end of a line, and for a file without a block.
    package init(_ text: String, file: String) throws(TraceError) {
        self.file = file
        parts = []
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.last == "" else { throw TraceError(file: file, line: lines.count, problem: "the last line does not end") }
        lines.removeLast()
        guard lines.first?.hasPrefix("# ") == true else {
            throw TraceError(file: file, line: 1, problem: "begin with a comment that says what is shown, and whose rule it is")
        }
        for (index, line) in lines.enumerated() where line.last?.isWhitespace == true || line.contains("\t") {
            throw TraceError(file: file, line: index + 1, problem: "a blank at the end of the line, or a tab in it")
        }
        var at = 0
        while at < lines.count {
            let paragraph = lines[at...].prefix { !$0.isEmpty }
            if paragraph.allSatisfy({ $0.hasPrefix("#") }) {
                parts.append(.prose(Array(paragraph) + (paragraph.endIndex < lines.endIndex ? [""] : [])))
            } else {
                parts.append(.block(try Self.block(paragraph, file: file)))
                if paragraph.endIndex < lines.endIndex { parts.append(.prose([""])) }
            }
            at = paragraph.endIndex + 1
        }
        guard blocks.count > 0 else { throw TraceError(file: file, line: lines.count, problem: "nothing happens here") }
    }

    package var blocks: [Block] {
        parts.compactMap { part in
            guard case .block(let block) = part else { return nil }
            return block
        }
    }

    /// The file's text again; equal to what was read while nothing was changed.
    package var text: String {
        let lines = parts.flatMap { part in
            switch part {
            case .prose(let lines): lines
            case .block(let block): block.source + [Self.separator] + block.expected
            }
        }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func block(_ lines: ArraySlice<String>, file: String) throws(TraceError) -> Block {
        guard let separator = lines.firstIndex(of: separator) else {
            throw TraceError(file: file, line: lines.endIndex, problem: "commands without \(Self.separator)")
        }
        var commands: [TraceCommand] = []
        for at in lines.startIndex..<separator where !lines[at].hasPrefix("#") {
            commands.append(try TraceCommand(lines[at], file: file, line: at + 1))
        }
        guard !commands.isEmpty else {
            throw TraceError(file: file, line: separator + 1, problem: "\(Self.separator) without a command")
        }
        let expected = lines[(separator + 1)...]
        if let second = expected.firstIndex(of: Self.separator) {
            throw TraceError(file: file, line: second + 1, problem: "a second \(Self.separator) without a blank line before")
        }
        return Block(
            source: Array(lines[..<separator]), commands: commands, expected: Array(expected), line: separator + 1)
    }
}
