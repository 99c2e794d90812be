import Testing
import TraceKit

@Suite struct RaftConversationTests {
    static let folder = TraceFolder(String(#filePath.dropLast("RaftConversationTests.swift".count)) + "Conversations")

    @Test("every conversation goes on as it is written down", arguments: try folder.names())
    func goesOn(name: String) throws {
        let difference = try Self.folder.check(name, in: RaftLanguage.self)
        #expect(difference.isEmpty, "\(difference.joined(separator: "\n"))")
    }

    @Test(
        "a command that names what is not there is refused at its line",
        arguments: [
            ("campaign d", "no member d"), ("campaign a", "a leads"), ("tick", "tick: a member is missing"),
            ("restart a", "a is running"), ("deliver", "nothing of the kind is on its way"), ("release", "nothing is late"),
            ("stabilize drop=gossip", "no message is called gossip"), ("stabilize drop=->", "drop=->: from whom, or to whom?"),
            ("persist a", "a has not that many writes under way"), ("persist a writes=none", "writes=none: a number, or all"),
            ("send-snapshot a b", "a has no snapshot"), ("advance 5s", "5s is no span in ms"), ("cut a->x", "no member x"),
            ("add-members d", "the group has been founded"), ("settings window=1", "settings stand before the members"),
            ("crash a kept=1", "a has not that many writes under way"),
        ])
    func refused(line: String, problem: String) throws {
        let trace = try Trace("# x\n\nadd-members a b c leader=a\n----\n\n\(line)\n----\n", file: "f.txt")
        let error = #expect(throws: TraceError.self) { try TraceRunner.replay(trace, in: RaftLanguage.self) }
        #expect(error?.line == 6)
        #expect(error?.problem.hasPrefix(problem) == true, "\(error?.problem ?? "")")
    }

    @Test("a conversation that leaves a message on its way is refused, be it late or not", arguments: ["propose a x", "hold"])
    func unfinished(last: String) throws {
        let text = "# x\n\nadd-members a b c leader=a\npropose a x\n----\n\n\(last)\n----\n"
        let trace = try Trace(text, file: "f.txt")
        let error = #expect(throws: TraceError.self) { try TraceRunner.replay(trace, in: RaftLanguage.self) }
        #expect(error?.problem.hasPrefix("the conversation ends too early: on its way: a -> b  append T1") == true)
    }
}
