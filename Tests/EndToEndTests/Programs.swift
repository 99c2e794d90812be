import Foundation
import Synchronization

/// The programs under test, as they stand beside the test bundle.
enum Programs {
    static let folder = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

    /// The test bundle is run by the toolchain's helper at times; then the working directory tells.
    static func path(_ name: String) throws -> String {
        let places = [folder, URL(filePath: FileManager.default.currentDirectoryPath).appending(path: ".build/debug")]
        for place in places where FileManager.default.isExecutableFile(atPath: place.appending(path: name).path) {
            return place.appending(path: name).path
        }
        throw Failure("no program \(name) in \(places.map(\.path))")
    }

    /// Whether all of them were built; a build of single products leaves some out.
    static var areBuilt: Bool {
        ["coxctl", "coxswain-agent", "coxswain-coordinator"].allSatisfy { (try? path($0)) != nil }
    }

    /// Runs a program to its end.
    /// - Parameter prefix: a program that turns into this one, with its arguments.
    /// - Throws: when it does not end within `limit` seconds; it is killed then.
    static func run(
        _ name: String, _ arguments: [String], by prefix: [String] = [], within limit: Double = 30
    ) async throws -> Outcome {
        let words = prefix + [try path(name)] + arguments
        return try await run(path: words[0], Array(words.dropFirst()), within: limit)
    }

    static func run(path name: String, _ arguments: [String], within limit: Double) async throws -> Outcome {
        let output = FileManager.default.temporaryDirectory.appending(path: "coxswain-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: output, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: output) }
        let running = try Running(
            path: name, arguments, log: output.appending(path: "err"), output: output.appending(path: "out"))
        let ended = try await eventually(within: limit) { !running.isRunning }
        if !ended { running.kill() }
        let outcome = Outcome(
            status: running.waitForStatus(), output: try String(contentsOf: output.appending(path: "out"), encoding: .utf8),
            error: try String(contentsOf: output.appending(path: "err"), encoding: .utf8))
        guard ended else { throw Failure("\(name) \(arguments) did not end within \(limit) s: \(outcome)") }
        return outcome
    }

    struct Outcome {
        let status: Int32
        let output: String
        let error: String
    }
}

/// What went wrong, in words.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A program that runs until it is killed.
final class Running: Sendable {
    let identifier: Int32
    let log: URL
    private let process: Mutex<Process>

    convenience init(_ name: String, _ arguments: [String], by prefix: [String] = [], log: URL) throws {
        let words = prefix + [try Programs.path(name)] + arguments
        try self.init(path: words[0], Array(words.dropFirst()), log: log)
    }

    init(path: String, _ arguments: [String], log: URL, output: URL? = nil) throws {
        self.log = log
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        for file in [log, output].compactMap({ $0 }) where !FileManager.default.fileExists(atPath: file.path) {
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        }
        let errors = try FileHandle(forWritingTo: log)
        try errors.seekToEnd()
        process.standardError = errors
        process.standardOutput = try output.map { try FileHandle(forWritingTo: $0) } ?? errors
        process.standardInput = FileHandle.nullDevice
        try process.run()
        identifier = process.processIdentifier
        self.process = Mutex(process)
    }

    var isRunning: Bool { process.withLock(\.isRunning) }

    /// SIGKILL: nothing is said, flushed or closed.
    func kill() {
        Foundation.kill(identifier, SIGKILL)
        _ = waitForStatus()
    }

    func terminate() { Foundation.kill(identifier, SIGTERM) }

    /// SIGSTOP: the process is there, its sockets are open, and it does nothing.
    func halt() { Foundation.kill(identifier, SIGSTOP) }
    func goOn() { Foundation.kill(identifier, SIGCONT) }

    /// Stands still for a while.
    func pause(for span: Duration) async throws {
        halt()
        defer { goOn() }
        try await Task.sleep(for: span)
    }

    func waitForStatus() -> Int32 {
        process.withLock {
            $0.waitUntilExit()
            return $0.terminationStatus
        }
    }

    /// What the kernel calls this process.
    var commandLine: [String] {
        guard let data = FileManager.default.contents(atPath: "/proc/\(identifier)/cmdline") else { return [] }
        return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Deadlines find what hangs; they measure nothing. A machine may be several times slower than the one that they were thought of on.
let patience = 5.0

/// Waits for a condition, with a deadline. Errors of the condition count as "not yet".
func eventually(within seconds: Double, _ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds * patience)
    while true {
        if (try? await condition()) == true { return true }
        if ContinuousClock.now >= deadline { return false }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// Waits for a condition.
/// - Throws: `Failure` with `what` when it does not hold in time.
func expectEventually(_ what: String, within seconds: Double, _ condition: () async throws -> Bool) async throws {
    guard try await eventually(within: seconds, condition) else { throw Failure("not within \(seconds * patience) s: \(what)") }
}
