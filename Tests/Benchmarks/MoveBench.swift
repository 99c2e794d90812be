import Client
import Glibc
import KeyEncoding
import Launching
import Model

/// One partition moved between agents, beside what `lz4` and `dd` make of the same rows in a file.
enum MoveBench {
    private static let limit = 60.0

    static func run(_ settings: BenchSettings, report: @escaping Benchmarks.Report) async throws {
        try await BenchCluster.with(agents: 4, settings) { cluster in
            try await cluster.makeTable("bulk", cuts: [])
            // What is measured is what could be had, and not what clients are spared.
            try await cluster.configure("copy_mib_per_second", 10_000)
            let rows = BulkRows(table: "bulk", count: (settings.full ? 400 : 128) * 1_000_000 / BulkRows.rowBytes)
            let export = "\(cluster.local.folder)/export"
            let load = try await rows.put(by: cluster.client(), exportingTo: export)
            let bytes = load.megabytes
            var (packing, copying, looping, slowest, packed) = (Samples(), Samples(), Samples(), Samples(), Samples())
            func measurePeers() throws {
                let lz4 = bytes / (try BenchProgram.run("/usr/bin/lz4", ["-1", "-f", "-q", export, "\(export).lz4"]))
                packed.add(Double(try size(of: "\(export).lz4")) / (bytes * 1e6))
                unlink("\(export).lz4")
                let dd = bytes / (try DiskLimit.copy(of: export))
                let loopback = try LoopbackLimit.rate(megabytes: Int(bytes))
                packing.add(lz4)
                copying.add(dd)
                looping.add(loopback)
                slowest.add(min(lz4, dd, loopback))
            }
            var results: [(how: String, moves: Moves)] = []
            for how in ["by pages", "by rows"] {
                var moves = Moves()
                for _ in 0..<settings.rounds {
                    try measurePeers()
                    moves.add(try await move(cluster), of: bytes)
                    // What hung once may hold the partition still.
                    if moves.failures.count > 1 { break }
                }
                results.append((how, moves))
                // An empty half in the same file: from here on pages are refused.
                if how == "by pages" { try await split(cluster) }
            }
            let megabytes = "\(Int(bytes)) MB"
            let parts = { (moves: Moves) in
                [("the copy alone", moves.copies), ("begin to end of the operation", moves.rates)]
            }
            let peers = [(packing, "lz4 -1"), (copying, "dd conv=fsync"), (looping, "TCP on loopback")]
            report(
                BenchRow(
                    bench: "move", row: "\(megabytes) loaded in batches of 200, three replicas", unit: "MB/s",
                    ours: bytes / load.seconds, peer: copying.median, peerName: "dd conv=fsync"))
            for (how, moves) in results {
                let note = moves.failures.isEmpty ? nil : moves.failures.joined(separator: "; ")
                report(
                    BenchRow(
                        bench: "move", row: "\(megabytes) \(how), the copy alone", unit: "MB/s", of: moves.copies,
                        peer: slowest, peerName: "the slowest of \(peers.map(\.1).joined(separator: ", "))",
                        ask: how == "by pages" ? .timesPeerAtLeast(0.7) : .atLeast(100), note: note))
                for (peer, name) in peers {
                    for (part, rates) in parts(moves) {
                        report(
                            BenchRow(
                                bench: "move", row: "\(megabytes) \(how), \(part)", unit: "MB/s", of: rates, peer: peer,
                                peerName: name))
                    }
                }
                report(
                    BenchRow(
                        bench: "move", row: "\(how), bytes on the wire for one of the rows", unit: "", of: moves.wire,
                        peer: packed, peerName: "lz4 -1"))
            }
        }
    }

    /// What came of some moves, in megabytes of rows.
    private struct Moves {
        var (rates, copies, wire) = (Samples(), Samples(), Samples())
        var failures: [String] = []

        mutating func add(_ move: Move, of bytes: Double) {
            switch move.outcome {
            case .succeeded:
                rates.add(bytes / move.seconds)
                if move.copySeconds > 0 { copies.add(bytes / move.copySeconds) }
                if move.wireBytes > 0 { wire.add(Double(move.wireBytes) / (bytes * 1e6)) }
            case .aborted(let why): failures.append("aborted: \(why)")
            case .hung(let why): failures.append("hung \(why)")
            }
        }
    }

    /// Splits the table's partition behind its last row.
    private static func split(_ cluster: BenchCluster) async throws {
        guard let partition = try await cluster.route(of: "bulk").partitions.first else { throw BenchFailure("no partition") }
        let outcome = try await cluster.operate(
            "/tables/bulk/partitions/\(partition.id):split", .object(["split_key": .array([.string("s")])]), within: limit)
        guard case .succeeded = outcome else { throw BenchFailure("the split: \(outcome)") }
    }

    private struct Move {
        let outcome: BenchCluster.Outcome
        let seconds: Double
        /// As the sender tells it, to where all is on the learner's disk; 0: it was not told in time.
        let copySeconds: Double
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
        var (wireBytes, copySeconds) = (UInt64(0), 0.0)
        let start = ContinuousClock.now
        var askedAt = start
        let outcome = try await cluster.operate(
            "/tables/bulk/partitions/\(partition.id):move",
            .object(["source": .string(source.name), "target": .string(target.name)]), within: limit
        ) {
            // Whoever asks all the time takes from the copy what it measures.
            guard ContinuousClock.now - askedAt > .milliseconds(100) else { return }
            askedAt = .now
            for agent in cluster.local.agents {
                let status = try? await cluster.calls.call(
                    .get, "http://127.0.0.1:\(agent.status)/status", milliseconds: 500)
                // That of the newest operation comes last.
                guard let operation = status?.body?["operations"]?.array?.last,
                    let wire = operation["wire_bytes"]?.unsigned, wire > 0
                else { continue }
                wireBytes = wire
                let (sent, rate) = (operation["bytes"]?.double ?? 0, operation["bytes_per_second"]?.double ?? 0)
                if rate > 0 { copySeconds = sent / rate }
            }
        }
        return Move(
            outcome: outcome, seconds: (ContinuousClock.now - start).inSeconds, copySeconds: copySeconds, wireBytes: wireBytes)
    }

    // MARK: - Peers

    private static func size(of path: String) throws -> Int {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BenchFailure("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        return Int(lseek(descriptor, 0, SEEK_END))
    }
}
