import Model

/// Writers whose partition changes hands at this moment. They wait here rather than with pauses of their own, each of which would be as long
/// as the change itself.
struct HeldWriters {
    private struct Writer {
        let bytes: Int
        let deadline: LogicalInstant
        let continuation: CheckedContinuation<Bool, Never>
    }

    /// Beyond either, writers are sent away to ask again.
    private static let most = 1_024
    private static let mostBytes = 16 << 20

    private var writers: [PartitionID: [Writer]] = [:]
    private var count = 0
    private var bytes = 0

    var isEmpty: Bool { count == 0 }

    /// - Parameter bytes: about what the writer holds in memory meanwhile.
    func hasRoom(for bytes: Int) -> Bool { count < Self.most && self.bytes + bytes <= Self.mostBytes }

    mutating func add(
        to partition: PartitionID, holding bytes: Int, until deadline: LogicalInstant,
        _ continuation: CheckedContinuation<Bool, Never>
    ) {
        writers[partition, default: []].append(Writer(bytes: bytes, deadline: deadline, continuation: continuation))
        count += 1
        self.bytes += bytes
    }

    /// Has those go on, in the order in which they came, whose partition changes hands no longer.
    mutating func release(whereOver isOver: (PartitionID) -> Bool) {
        for id in writers.keys.sorted() where isOver(id) { end(going: true, of: id) { _ in true } }
    }

    /// Sends away those whose time is up.
    mutating func expire(at now: LogicalInstant) {
        for id in writers.keys.sorted() { end(going: false, of: id) { $0.deadline <= now } }
    }

    mutating func abandonAll() {
        for id in writers.keys.sorted() { end(going: false, of: id) { _ in true } }
    }

    private mutating func end(going isWorthAnother: Bool, of id: PartitionID, where isOver: (Writer) -> Bool) {
        guard let waiting = writers[id] else { return }
        let ended = waiting.filter(isOver)
        guard !ended.isEmpty else { return }
        let staying = waiting.filter { !isOver($0) }
        writers[id] = staying.isEmpty ? nil : staying
        count -= ended.count
        for writer in ended {
            bytes -= writer.bytes
            writer.continuation.resume(returning: isWorthAnother)
        }
    }
}
