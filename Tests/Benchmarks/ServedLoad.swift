// The rows that the two request paths have in common: rate and latency at so many clients, beside what the disk alone could do.

import Launching

struct ServedLoad {
    let bench: String
    /// What one request does, in the plural.
    let what: String
    private let cluster: BenchCluster
    private let clients: Int
    private var (rates, medians, tails) = (Samples(), Samples(), Samples())
    private var (limits, limitMedians, limitTails) = (Samples(), Samples(), Samples())
    private var failures = 0
    private var firstFailure: String?
    private var (processor, loaders, syncs) = (Samples(), Samples(), Samples())

    init(_ bench: String, _ what: String, clients: Int, on cluster: BenchCluster) {
        self.bench = bench
        self.what = what
        self.clients = clients
        self.cluster = cluster
    }

    /// One round: the disk alone, then the cluster.
    /// - Parameter members: whose processor time and syncs are counted.
    mutating func round(_ loop: ClosedLoop, _ load: [ClosedLoop.Client], members: [String], seconds: Double) async throws {
        let limit = try DiskLimit.appends(group: clients, in: cluster.local.folder, seconds: 0.5)
        limits.add(limit.rate)
        limitMedians.add(limit.times.median)
        limitTails.add(limit.times.percentile(0.99))
        var before = BenchCluster.Cost.none
        var after = before
        let measured = try await loop.run(load, seconds: seconds) {
            before = try await cluster.cost(of: members)
        } end: {
            after = try await cluster.cost(of: members)
        }
        failures += measured.failures
        firstFailure = firstFailure ?? measured.firstFailure
        rates.add(measured.rate)
        medians.add(measured.times.median)
        tails.add(measured.times.percentile(0.99))
        let done = Double(measured.times.values.count)
        processor.add((after - before).processor * 1e6 / done)
        loaders.add(measured.ownProcessor * 1e6 / done)
        syncs.add((after - before).syncs / done)
    }

    func report(_ report: Benchmarks.Report) {
        let name = "\(what), \(clients) client\(clients == 1 ? "" : "s")"
        let note = firstFailure.map { "\(failures) requests beside them were not served, first: \($0)" }
        let peer = "4 KiB, \(DiskLimit.name(group: clients))"
        report(
            BenchRow(bench: bench, row: name, unit: "1/s", of: rates, peer: limits, peerName: peer, note: note))
        report(BenchRow(bench: bench, row: "p50, \(name)", unit: "ms", of: medians, peer: limitMedians, peerName: peer))
        report(BenchRow(bench: bench, row: "p99, \(name)", unit: "ms", of: tails, peer: limitTails, peerName: peer))
        report(BenchRow(bench: bench, row: "syncs of all logs for one, \(name)", unit: "syncs", of: syncs))
        report(
            BenchRow(
                bench: bench, row: "processor time for one, \(name)", unit: "µs", of: processor, peer: loaders,
                peerName: "the load generator's"))
    }
}
