/// Writes and reads of one entry of 256 bytes for each client, asked of the leader.
enum LoadRows {
    private static let value = String(repeating: "v", count: 256)

    static func run(
        _ groups: [any ComparedGroup], _ settings: BenchSettings, _ report: Benchmarks.Report
    ) async throws {
        var terms: [UInt64] = []
        for group in groups { terms.append(try await group.view(of: group.members[0]).term) }
        for clients in [1, 16, 64, 256] {
            let load = try await measure(groups, clients, settings) { group, client in group.put("c\(client)", value) }
            let name = "\(clients) client\(clients == 1 ? "" : "s")"
            report(load.rates.row("puts, \(name)", "1/s", ask: clients >= 64 ? .timesPeerAtLeast(1.3) : nil, note: load.note))
            report(load.medians.row("put, \(name), p50", "ms", ask: clients == 1 ? .timesPeerAtMost(0.7) : nil))
            report(load.tails.row("put, \(name), p99", "ms"))
            report(load.processor.row("processor time for a put, \(name)", "µs", ask: .timesPeerAtMost(0.6)))
            report(load.loader.row("the loader's for it, \(name)", "µs"))
            report(load.flushes.row("flushes for a put, \(name)", "", ask: .timesPeerAtMost(1)))
        }
        for (isStale, name, ask) in [(false, "linearizable get", 80.0), (true, "stale get", 40.0)] {
            let load = try await measure(groups, 64, settings) { group, client in group.get("c\(client)", isStale: isStale) }
            report(load.rates.row("\(name)s, 64 clients", "1/s", note: load.note))
            report(load.medians.row("\(name), 64 clients, p50", "ms"))
            report(load.tails.row("\(name), 64 clients, p99", "ms"))
            report(load.processor.row("processor time for a \(name), 64 clients", "µs", ask: .atMost(ask)))
            report(load.loader.row("the loader's for it", "µs"))
        }
        var changes = Compared(groups)
        for (number, group) in groups.enumerated() {
            let term = try await group.view(of: group.members[0]).term
            changes.add(Double(term - terms[number]), of: number)
        }
        report(changes.row("terms begun during these loads", "", ask: .atMost(0)))
    }

    struct Load {
        var rates, medians, tails, processor, loader, flushes: Compared
        var note: String?

        init(_ groups: [any ComparedGroup]) {
            let none = Compared(groups)
            (rates, medians, tails, processor, loader, flushes) = (none, none, none, none, none, none)
        }
    }

    /// By turns: each group in each round.
    static func measure(
        _ groups: [any ComparedGroup], _ clients: Int, _ settings: BenchSettings,
        _ request: @escaping @Sendable (any ComparedGroup, Int) -> ClosedLoop.Request
    ) async throws -> Load {
        var load = Load(groups)
        for _ in 0..<settings.rounds {
            for (number, group) in groups.enumerated() {
                let leader = try await group.leader()
                let crowd = (0..<clients).map { client in
                    let own = request(group, client)
                    return ClosedLoop.Client(host: "127.0.0.1", port: leader.port, headers: []) { _ in own }
                }
                var before = BenchCluster.Cost.none
                var after = before
                // The more connections, the longer their handshakes.
                let measured = try await group.loop.run(crowd, warmUp: 0.7 + Double(clients) / 200, seconds: 2.5) {
                    before = try await group.cost()
                } end: {
                    after = try await group.cost()
                }
                let done = Double(measured.times.values.count)
                load.rates.add(measured.rate, of: number)
                load.medians.add(measured.times.median, of: number)
                load.tails.add(measured.times.percentile(0.99), of: number)
                load.processor.add((after - before).processor * 1e6 / done, of: number)
                load.loader.add(measured.ownProcessor * 1e6 / done, of: number)
                load.flushes.add((after - before).syncs / done, of: number)
                if let failure = measured.firstFailure, load.note == nil {
                    load.note = "\(group.title): \(measured.failures) refused, first: \(failure)"
                }
            }
        }
        return load
    }
}
