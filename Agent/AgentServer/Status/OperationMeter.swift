import Model

/// What this node has done for each operation, for people: bytes copied, and how long its fences have refused writes.
struct OperationMeter: Sendable {
    private struct Work {
        var bytes: UInt64 = 0
        var wireBytes: UInt64 = 0
        let startedAt: LogicalInstant
        var endedAt: LogicalInstant?
        var pause = Span.zero
        var fencedAt: LogicalInstant?
    }

    /// Operations of which somebody may still ask, oldest first.
    private var works: [(id: OperationID, work: Work)] = []
    private var fences: [PartitionID: OperationID] = [:]
    private static let kept = 64
    /// How long an operation that is over is still shown, so that a reader with a slow clock sees its last figures.
    private static let shownAfterEnd = Span.seconds(30)

    mutating func copied(_ progress: CopyProgress, at now: LogicalInstant) {
        guard let operation = progress.operation else { return }
        change(operation, at: now) { work in
            work.bytes = progress.rawBytes
            work.wireBytes = progress.wireBytes
            work.endedAt = progress.isDone ? now : nil
        }
    }

    /// A partition led here stops its writers for `operation`, or lets them go on.
    mutating func fenced(_ partition: PartitionID, for operation: OperationID?, at now: LogicalInstant) {
        guard fences[partition] != operation else { return }
        // A merge fences two: the pause lasts from the first to the last.
        if let before = fences.removeValue(forKey: partition), !fences.values.contains(before) {
            change(before, at: now) { work in
                if let since = work.fencedAt { work.pause = work.pause + (now - since) }
                work.fencedAt = nil
            }
        }
        guard let operation else { return }
        fences[partition] = operation
        change(operation, at: now) { $0.fencedAt = $0.fencedAt ?? now }
    }

    private mutating func change(_ id: OperationID, at now: LogicalInstant, _ change: (inout Work) -> Void) {
        if !works.contains(where: { $0.id == id }) {
            works.append((id, Work(startedAt: now)))
            if works.count > Self.kept { works.removeFirst() }
        }
        guard let index = works.firstIndex(where: { $0.id == id }) else { return }
        change(&works[index].work)
    }

    /// The operations of partitions that `node` leads, and those for which it has done something, in the order of their numbers.
    ///
    /// - Parameters:
    ///   - sizes: bytes of the partitions here: what a copy will come to.
    ///   - obstacles: what operations wait for, in a few words.
    func reports(
        in topology: Topology, on node: NodeID, sizes: [PartitionID: UInt64], obstacles: [OperationID: String] = [:],
        at now: LogicalInstant
    ) -> [OperationReport] {
        let led = topology.partitions.values.filter { $0.primary == node }.compactMap(\.operation)
        return Set(led + works.map(\.id)).sorted().compactMap { id in
            let work = works.first { $0.id == id }?.work
            let operation = topology.operations[id]
            let isRunning = operation.map { $0.phase == .running } ?? false
            if !isRunning {
                guard let last = work?.endedAt ?? work?.startedAt, now - last < Self.shownAfterEnd else { return nil }
            }
            let seconds = work.map { (($0.endedAt ?? now) - $0.startedAt).seconds } ?? 0
            let pause = work.map { $0.pause + ($0.fencedAt.map { max(.zero, now - $0) } ?? .zero) } ?? .zero
            let size = operation?.kind.partition.flatMap { sizes[$0] } ?? 0
            var total: UInt64 = 0
            if case .move = operation?.kind { total = max(size, work?.bytes ?? 0) }
            var stage = operation.map { "\($0.kind.name): \($0.step.rawValue)" } ?? "over"
            if isRunning, let obstacle = obstacles[id] { stage += ", waits: \(obstacle)" }
            return OperationReport(
                operation: id, stage: stage, bytes: work?.bytes ?? 0,
                totalBytes: total, wireBytes: work?.wireBytes ?? 0,
                bytesPerSecond: seconds > 0 ? Double(work?.bytes ?? 0) / seconds : 0, writePause: pause)
        }
    }
}
