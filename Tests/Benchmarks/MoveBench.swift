import Client
import FoundationEssentials
import Glibc
import KeyEncoding
import Launching
import Model
import Synchronization

/// One partition moved between agents, beside what `lz4` and `dd` make of the same rows in a file.
enum MoveBench {
    private static let rowBytes = 1_000
    private static let limit = 60.0

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        try await BenchCluster.with(agents: 4, settings) { cluster in
            try await cluster.makeTable("bulk", cuts: [])
            let rows = (settings.full ? 200 : 128) * 1_000_000 / rowBytes
            let export = "\(cluster.local.folder)/export"
            let loading = ContinuousClock.now
            let bytes = try await load(rows, into: cluster, exportingTo: export)
            let loaded = (ContinuousClock.now - loading).inSeconds
            var (moves, packing, copying) = (Samples(), Samples(), Samples())
            var (wire, packed) = (Samples(), Samples())
            var failures: [String] = []
            for _ in 0..<settings.rounds {
                packing.add(bytes / (try BenchProgram.run("/usr/bin/lz4", ["-1", "-f", "-q", export, "\(export).lz4"])))
                packed.add(Double(try size(of: "\(export).lz4")) / (bytes * 1e6))
                copying.add(
                    bytes / (try BenchProgram.run("/bin/dd", ["if=\(export)", "of=\(export).copy", "bs=1M", "conv=fsync"])))
                for suffix in ["lz4", "copy"] { unlink("\(export).\(suffix)") }
                let move = try await move(cluster)
                switch move.outcome {
                case .succeeded:
                    moves.add(bytes / move.seconds)
                    if move.wireBytes > 0 { wire.add(Double(move.wireBytes) / (bytes * 1e6)) }
                case .aborted(let why): failures.append("aborted: \(why)")
                case .hung(let why): failures.append("hung \(why)")
                }
                // What hung once may hold the partition still.
                if failures.count > 1 { break }
            }
            let (size, note) = ("\(Int(bytes)) MB", failures.isEmpty ? nil : failures.joined(separator: "; "))
            report(
                BenchRow(
                    bench: "move", row: "\(size) loaded in batches of 200, three replicas", unit: "MB/s", ours: bytes / loaded,
                    peer: copying.median, peerName: "dd conv=fsync"))
            for (peer, name) in [(packing, "lz4 -1"), (copying, "dd conv=fsync")] {
                report(
                    BenchRow(
                        bench: "move", row: "\(size), begin to end of the operation", unit: "MB/s", of: moves, peer: peer,
                        peerName: name, note: note))
            }
            report(
                BenchRow(
                    bench: "move", row: "bytes on the wire for one of the rows", unit: "", of: wire, peer: packed,
                    peerName: "lz4 -1"))
        }
    }

    private struct Move {
        let outcome: BenchCluster.Outcome
        let seconds: Double
        let wireBytes: UInt64
    }

    /// Moves the copy of one agent that follows to the one that has none.
    private static func move(_ cluster: BenchCluster) async throws -> Move {
        guard let partition = try await cluster.route(of: "bulk").partitions.first,
            let source = partition.replicas.first(where: { $0 != partition.gateway }).flatMap(cluster.agent(atGateway:)),
            let target = cluster.local.agents.first(where: { agent in
                !partition.replicas.contains { $0.hasSuffix(":\(agent.gateway)") }
            })
        else { throw BenchFailure("no partition that could move") }
        var wireBytes: UInt64 = 0
        let start = ContinuousClock.now
        let outcome = try await cluster.operate(
            "/tables/bulk/partitions/\(partition.id):move",
            .object(["source": .string(source.name), "target": .string(target.name)]), within: limit
        ) {
            for agent in cluster.local.agents {
                let status = try? await cluster.calls.call(
                    .get, "http://127.0.0.1:\(agent.status)/status", milliseconds: 500)
                for operation in status?.body?["operations"]?.array ?? [] {
                    wireBytes = max(wireBytes, operation["wire_bytes"]?.unsigned ?? 0)
                }
            }
        }
        return Move(outcome: outcome, seconds: (ContinuousClock.now - start).inSeconds, wireBytes: wireBytes)
    }

    // MARK: - Rows

    /// Text that compresses about as well as names, addresses and numbers do: words, and digits between them.
    private static func body(_ number: Int) -> String {
        let words = ["harbour", "keel", "rudder", "anchor", "mast", "tiller", "compass", "lantern", "galley", "rope"]
        var random = SeededGenerator(seed: UInt64(number))
        var text = ""
        while text.utf8.count < rowBytes - 60 {
            text += words[Int.random(in: 0..<words.count, using: &random)] + " "
            text += String(UInt64.random(in: 0...0xFFFF_FFFF, using: &random), radix: 16) + " "
        }
        return text
    }

    /// Puts the rows, and writes the same rows into a file as lines.
    /// - Returns: the size of the file in megabytes.
    private static func load(_ count: Int, into cluster: BenchCluster, exportingTo path: String) async throws -> Double {
        guard let file = fopen(path, "w") else { throw BenchFailure("\(path): \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        let client = cluster.client()
        let batch = 200
        var written = 0
        try await withThrowingTaskGroup(of: String.self) { group in
            var next = 0
            func add() {
                guard next < count else { return }
                let numbers = next..<min(count, next + batch)
                next = numbers.upperBound
                group.addTask {
                    var lines = ""
                    var operations: [String] = []
                    for number in numbers {
                        let (key, body) = ("row-" + String(10_000_000 + number), body(number))
                        lines += "\(key),\(body)\n"
                        let row = JSONValue.object(["id": .string(key), "body": .string(body)])
                        operations.append("{\"op\":\"put\",\"row\":\(row.text)}")
                    }
                    let first = JSONValue.array([.string("row-" + String(10_000_000 + numbers.lowerBound))]).text
                    _ = try await client.batch(operations, firstKey: first, in: "bulk")
                    return lines
                }
            }
            for _ in 0..<8 { add() }
            while let lines = try await group.next() {
                written += fputs(lines, file) < 0 ? 0 : lines.utf8.count
                add()
            }
        }
        fflush(file)
        fsync(fileno(file))
        return Double(written) / 1e6
    }

    // MARK: - Peers

    private static func size(of path: String) throws -> Int {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BenchFailure("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        return Int(lseek(descriptor, 0, SEEK_END))
    }
}
