import Client
import FoundationEssentials
import Launching
import Model

extension DemoRun {
    /// Splits the hottest partition and moves another, while clients write to both.
    mutating func movement() async throws {
        try await Task.sleep(for: .seconds(3))
        let before = load.current
        narrator.step(
            "the load runs: \(before.acknowledged) writes acknowledged, \(before.reads) reads, \(DemoLoad.workers) clients")
        try await split()
        try await move()
        let after = load.current
        guard after.wrong.isEmpty else { throw DemoFailure("a read gave what nobody wrote: \(after.wrong[0])") }
    }

    private mutating func split() async throws {
        let route = try await client.route(of: "usertable")
        let users = load.tables[0]
        let numbers = load.acknowledgements.filter { $0.table == users.subject.table }.map(\.number)
        let counted = route.partitions.map { partition in
            (partition: partition, writes: numbers.count(where: belongs(partition, layout: route.layout)))
        }
        guard let hottest = counted.max(by: { $0.writes < $1.writes })?.partition else { throw DemoFailure("no partitions") }
        let contains = belongs(hottest, layout: route.layout)
        // Half of the load on either side: the median of the keys that were written.
        let written = numbers.filter(contains).sorted()
        let inside = users.keys.indices.filter(contains)
        guard let median = written.isEmpty ? nil : written[written.count / 2], let first = inside.first else {
            throw DemoFailure("the hottest partition has no writes")
        }
        let cut = max(median, first + 1)
        let start = BootTime.now()
        let answer = try await control.call(
            .post, "/tables/usertable/partitions/\(hottest.id):split",
            body: .object(["split_key": .array([.string(users.keys[cut])])]))
        _ = try await finish(answer, "the split of partition \(hottest.id)")
        try await Task.sleep(for: .milliseconds(500))
        let gap = load.longestGap(from: start, to: BootTime.now(), among: contains)
        summary.splitWriteGap = Figures.milliseconds(gap)
        narrator.step(
            "partition \(hottest.id) split at \(users.keys[cut]): no byte moved")
        narrator.more("longest pause of its writes \(Figures.fixed(Figures.milliseconds(gap), 1)) ms")
    }

    private mutating func move() async throws {
        let route = try await client.route(of: "usertable")
        guard let partition = route.partitions.last, let gateway = partition.gateway,
            let source = cluster.agents.first(where: { gateway.hasSuffix(":\($0.gateway)") }),
            let target = cluster.agents.first(where: { agent in
                !partition.replicas.contains { $0.hasSuffix(":\(agent.gateway)") }
            })
        else { throw DemoFailure("no partition that could move") }
        let contains = belongs(partition, layout: route.layout)
        let start = BootTime.now()
        let answer = try await control.call(
            .post, "/tables/usertable/partitions/\(partition.id):move",
            body: .object(["source": .string(source.name), "target": .string(target.name)]))
        let operation = try await finish(answer, "the move of partition \(partition.id)")
        try await Task.sleep(for: .milliseconds(500))
        let gap = load.longestGap(from: start, to: BootTime.now(), among: contains)
        let (raw, wire) = try await carried(by: operation["id"]?.string ?? "")
        summary.moveWriteGap = Figures.milliseconds(gap)
        summary.moveBytesRaw = raw
        summary.moveBytesWire = wire
        let carriage =
            wire > 0
            ? "\(Figures.bytes(raw)) as \(Figures.bytes(wire)) on the wire (\(Figures.fixed(Double(raw) / Double(wire), 2)) to 1)"
            : "fed from the log, without a snapshot"
        narrator.step(
            "partition \(partition.id) moved from \(source.name) to \(target.name) with its primary role: \(carriage)")
        narrator.more("longest pause of its writes \(Figures.fixed(Figures.milliseconds(gap), 1)) ms")
    }

    /// The bytes of a move's snapshot, before and after compression, by the word of the agent that sent it; none when nobody did.
    private func carried(by operation: String) async throws -> (raw: Int, wire: Int) {
        // The sender shows them for a while after the end.
        for _ in 0..<20 {
            for agent in cluster.agents {
                let reports = await status(of: agent)?["operations"]?.array ?? []
                guard let report = reports.first(where: { $0["operation_id"]?.string == operation }),
                    let raw = report["bytes"]?.unsigned.flatMap(Int.init(exactly:)), raw > 0,
                    let wire = report["wire_bytes"]?.unsigned.flatMap(Int.init(exactly:))
                else { continue }
                return (raw, wire)
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        return (0, 0)
    }
}
