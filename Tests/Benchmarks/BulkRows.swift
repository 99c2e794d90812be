import Client
import FoundationEssentials
import Glibc
import KeyEncoding
import Model

/// Rows of a kilobyte, put in batches through the gateways, as many as a bench wants to have moved or caught up with.
struct BulkRows: Sendable {
    static let rowBytes = 1_000
    private static let batch = 200

    struct Load: Sendable {
        /// Of the rows as lines of text.
        let megabytes: Double
        let seconds: Double
    }

    let table: String
    let count: Int
    /// Rows of other versions have the same keys and other bodies.
    var version = 0

    static func key(_ number: Int) -> String { "row-\(10_000_000 + number)" }
    static func keys(_ numbers: Range<Int>) -> [String] { numbers.map(key) }
    /// Keys that cut the rows into `parts` of equal size.
    func cuts(_ parts: Int) -> [String] { (1..<parts).map { Self.key($0 * count / parts) } }

    /// Puts them all.
    /// - Parameter path: a file that gets the same rows as lines, if it is named.
    func put(by client: CoxswainClient, exportingTo path: String? = nil) async throws -> Load {
        let file = try path.map { path in
            guard let file = fopen(path, "w") else { throw BenchFailure("\(path): \(String(cString: strerror(errno)))") }
            return file
        }
        defer { if let file { fclose(file) } }
        let start = ContinuousClock.now
        var bytes = 0
        try await withThrowingTaskGroup(of: String.self) { group in
            var next = 0
            func add() {
                guard next < count else { return }
                let numbers = next..<min(count, next + Self.batch)
                next = numbers.upperBound
                group.addTask { try await put(numbers, by: client) }
            }
            for _ in 0..<8 { add() }
            while let lines = try await group.next() {
                bytes += lines.utf8.count
                if let file, fputs(lines, file) < 0 { throw BenchFailure("the export: \(String(cString: strerror(errno)))") }
                add()
            }
        }
        let seconds = (ContinuousClock.now - start).inSeconds
        if let file, fflush(file) != 0 || fsync(fileno(file)) != 0 {
            throw BenchFailure("the export: \(String(cString: strerror(errno)))")
        }
        return Load(megabytes: Double(bytes) / 1e6, seconds: seconds)
    }

    /// - Returns: the rows as lines.
    private func put(_ numbers: Range<Int>, by client: CoxswainClient) async throws -> String {
        var lines = ""
        var operations: [String] = []
        for number in numbers {
            let (key, body) = (Self.key(number), body(number))
            lines += "\(key),\(body)\n"
            let row = JSONValue.object(["id": .string(key), "body": .string(body)])
            operations.append("{\"op\":\"put\",\"row\":\(row.text)}")
        }
        let first = JSONValue.array([.string(Self.key(numbers.lowerBound))]).text
        _ = try await client.batch(operations, firstKey: first, in: table)
        return lines
    }

    /// Text that compresses about as well as names, addresses and numbers do: words, and digits between them.
    private func body(_ number: Int) -> String {
        let words = ["harbour", "keel", "rudder", "anchor", "mast", "tiller", "compass", "lantern", "galley", "rope"]
        var random = SeededGenerator(seed: UInt64(number + version * count))
        var text = ""
        while text.utf8.count < Self.rowBytes - 60 {
            text += words[Int.random(in: 0..<words.count, using: &random)] + " "
            text += String(UInt64.random(in: 0...0xFFFF_FFFF, using: &random), radix: 16) + " "
        }
        return text
    }
}
