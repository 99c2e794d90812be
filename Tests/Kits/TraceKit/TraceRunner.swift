/// A set of commands over a world of its own: a group of one protocol's members, their network and their disks.
package protocol TraceLanguage {
    init()
    /// Carries a command out, and writes down all that follows, one line each.
    mutating func run(_ command: inout TraceCommand, into output: inout [String]) throws
    /// What must not be left at the end of a conversation; nil when all is done.
    var unfinished: String? { get }
}

/// Runs a conversation from its beginning in a new world.
package enum TraceRunner {
    /// The conversation with what follows its commands now in the place of what was expected.
    /// - Throws: `TraceError` at the command that could not be carried out.
    package static func replay<Language: TraceLanguage>(
        _ trace: Trace, in language: Language.Type
    ) throws(TraceError) -> Trace {
        let (replayed, error) = replayAsFarAsPossible(trace, in: language)
        if let error { throw error }
        return replayed
    }

    /// Like `replay`; what follows the command that could not be carried out stays as it was expected.
    static func replayAsFarAsPossible<Language: TraceLanguage>(
        _ trace: Trace, in _: Language.Type
    ) -> (replayed: Trace, error: TraceError?) {
        var world = Language()
        var replayed = trace
        for at in trace.parts.indices {
            guard case .block(var block) = trace.parts[at] else { continue }
            var output: [String] = []
            var error: TraceError?
            for command in block.commands where error == nil {
                do throws(TraceError) { try run(command, in: &world, into: &output) } catch let problem { error = problem }
            }
            block.expected = output
            replayed.parts[at] = .block(block)
            if let error { return (replayed, error) }
        }
        guard let unfinished = world.unfinished else { return (replayed, nil) }
        let line = trace.blocks.last?.line ?? 1
        return (replayed, TraceError(file: trace.file, line: line, problem: "the conversation ends too early: \(unfinished)"))
    }

    private static func run(
        _ command: TraceCommand, in world: inout some TraceLanguage, into output: inout [String]
    ) throws(TraceError) {
        var command = command
        do {
            try world.run(&command, into: &output)
        } catch let error as TraceError {
            throw error
        } catch {
            throw command.problem("\(error)")
        }
        try command.finished()
    }

    /// What differs between a conversation and its replay: for each block where it stands, then its lines, `-` for those expected
    /// and `+` for those that came. Empty when nothing differs.
    package static func difference(expected: Trace, actual: Trace) -> [String] {
        zip(expected.blocks, actual.blocks).flatMap { old, new -> [String] in
            guard old.expected != new.expected else { return [] }
            return ["\(expected.file):\(old.line): after \(old.source.last ?? "")"]
                + LineDifference.lines(from: old.expected, to: new.expected)
        }
    }
}
