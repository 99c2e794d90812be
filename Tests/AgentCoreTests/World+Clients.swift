// What the clients of a simulated cluster ask.

import Model
import Movement
import Replication
@testable import AgentCore

extension World {
    /// Whether every partition that `id` counts for has another member that lives: then it may lose what it holds.
    func isDispensable(_ id: NodeID) -> Bool {
        catalog.topology.partitions.values.allSatisfy { partition in
            !partition.inSync.contains(id) || partition.inSync.contains { $0 != id && machines[$0]!.isUp }
        }
    }

    static func payload(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
    static func number(_ payload: [UInt8]) -> UInt64 { payload.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    /// Spreads consecutive numbers over the key space.
    static func key(_ number: UInt64) -> Key {
        let spread = UInt16(truncatingIfNeeded: number &* 40_503)
        return Key([UInt8(spread >> 8), UInt8(spread & 0xFF)])
    }

    /// Writes all the while.
    func write(for span: Span) {
        let end = now + span
        while now < end {
            write()
            run(.milliseconds(2))
        }
    }

    func write() {
        nextCaller += 1
        let row = nextCaller
        guard let partition = catalog.topology.partitions.values.first(where: { $0.range.contains(World.key(row)) }),
            let primary = partition.primary, let machine = machines[primary], machine.isUp
        else { return }
        written[row] = partition.id
        give(machine, [.write(CallerID(row), partition.id, partition.epoch, World.payload(row))])
    }

    /// A write with a key (rule R8), or one of the last once more: what the engine knows of it is looked up, and a moment later it is
    /// asked for.
    func writeOnce(again: Bool) {
        let row =
            again ? (1...40).compactMap { nextCaller > $0 ? repeats[nextCaller - $0] : nil }.max { hash($0) < hash($1) } : nil
        nextCaller += 1
        let caller = nextCaller
        repeats[caller] = row ?? caller
        send(row ?? caller, for: caller)
    }

    private func hash(_ row: UInt64) -> UInt64 { (row ^ nextCaller) &* 0x9E37_79B9_7F4A_7C15 }

    private func send(_ row: UInt64, for caller: UInt64) {
        guard let partition = catalog.topology.partitions.values.first(where: { $0.range.contains(World.key(row)) }),
            let primary = partition.primary, let machine = machines[primary], machine.isUp,
            let key = IdempotencyKey(high: row << 16 | 7 << 12, low: 1 << 63)
        else { return }
        written[caller] = partition.id
        let held = machine.engine[partition.id]
        let request = WriteOnceRequest(
            once: WriteOnce(key: key, horizon: WallTime(milliseconds: 0)), recalledAt: held?.applied.sequence ?? 0,
            earlier: held?.writes[row])
        push(
            .input(
                .write(CallerID(caller), partition.id, partition.epoch, World.payload(row), request), to: primary,
                life: machine.start), after: delay(10_000))
    }

    /// A write and a strong read by a client whose routes are those of some machine, however old.
    func callByOldRoutes() {
        guard let machine = machines[order.randomElement(using: &random)!], machine.isUp,
            let partition = machine.core.topology.partitions.values.sorted(by: { $0.id < $1.id }).randomElement(using: &random),
            let primary = partition.primary, let owner = machines[primary], owner.isUp
        else { return }
        nextCaller += 1
        let read = CallerID(nextCaller)
        reads[read] = Read(partition: partition.id, epoch: partition.epoch, range: partition.range, after: history.count)
        give(owner, [.read(read, partition.id, partition.epoch)])
        nextCaller += 1
        guard partition.range.contains(World.key(nextCaller)) else { return }
        written[nextCaller] = partition.id
        give(owner, [.write(CallerID(nextCaller), partition.id, partition.epoch, World.payload(nextCaller))])
    }
}
