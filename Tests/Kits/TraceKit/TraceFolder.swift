import Foundation

/// The conversations of one folder.
package struct TraceFolder: Sendable {
    private let url: URL

    package init(_ path: String) { url = URL(filePath: path, directoryHint: .isDirectory) }

    /// The names of its conversations, sorted.
    package func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: url.path).filter { $0.hasSuffix(".txt") }.sorted()
    }

    package func read(_ name: String) throws -> Trace {
        try Trace(String(contentsOf: url.appending(path: name), encoding: .utf8), file: name)
    }

    package func write(_ trace: Trace) throws {
        try Data(trace.text.utf8).write(to: url.appending(path: trace.file), options: .atomic)
    }

    /// Replays a conversation. With the variable `REWRITE_TRACES=1` in the environment, what came takes the place of what was
    /// expected: for a change that was meant, and to be read before it is kept.
    /// - Returns: what differs; empty when all came as expected, or was rewritten.
    /// - Throws: `TraceError` at a command that could not be carried out; what came before it is rewritten all the same.
    package func check<Language: TraceLanguage>(_ name: String, in language: Language.Type) throws -> [String] {
        let expected = try read(name)
        let (actual, error) = TraceRunner.replayAsFarAsPossible(expected, in: language)
        let isRewriting = ProcessInfo.processInfo.environment["REWRITE_TRACES"] == "1"
        if isRewriting, actual != expected { try write(actual) }
        if let error { throw error }
        return isRewriting ? [] : TraceRunner.difference(expected: expected, actual: actual)
    }
}
