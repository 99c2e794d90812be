import Foundation
import LogStorage
import Model
import Synchronization
import Testing

/// A folder for one test, gone when the test is.
final class Folder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("log-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
        // What a log that is this folder has beside it.
        try? FileManager.default.removeItem(atPath: path + ".floor")
    }

    func names(_ inner: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + inner).sorted()
    }

    /// The names of segments, oldest first.
    func segments() throws -> [String] { try names().filter { $0.hasPrefix("segment-") } }

    func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path + "/" + name))) }

    func write(_ bytes: [UInt8], _ name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    /// Changes a file's bytes in place.
    func edit(_ name: String, _ change: (inout [UInt8]) -> Void) throws {
        var all = try bytes(name)
        change(&all)
        try write(all, name)
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path + "/" + name) }
}

/// Keeps what a disk-failure response was told, in place of ending the process.
final class Failures: Sendable {
    private let all = Mutex<[StorageError]>([])
    var seen: [StorageError] { all.withLock { $0 } }
    var response: DiskFailureResponse { DiskFailureResponse { error in self.all.withLock { $0.append(error) } } }
}

/// Waits until `condition` holds, which must be soon.
func eventually(
    _ what: Comment, within limit: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while try !condition() {
        try #require(ContinuousClock.now < end, what, sourceLocation: sourceLocation)
        try await Task.sleep(for: .milliseconds(2))
    }
}
