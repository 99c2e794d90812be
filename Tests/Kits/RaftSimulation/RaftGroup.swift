// A Raft group as a system that can be simulated: how members start from their disks, who uses them, and what must hold.

import Consensus
package import Model
package import SimulationKit

package struct RaftGroup: SimulatedSystem {
    package typealias Process = RaftProcess
    package enum Event {
        case client(ClientEvent)
    }

    let options: GroupOptions
    private let founding: MemberConfiguration
    let ledger: GroupLedger
    var clients: GroupClients
    var checks: GroupChecks
    private var random: SeededGenerator
    /// The store that was last whole on each host; one whose making was interrupted is no store that was lost.
    private var opened: [MemberID?]

    init(_ options: GroupOptions, seed: UInt64) throws {
        self.options = options
        let members = try (0..<options.members).map { MemberID(try NodeID("m\($0)")) }
        founding = try MemberConfiguration(voters: members)
        ledger = GroupLedger(founding, hosts: options.hosts)
        checks = GroupChecks(founding, ledger: ledger)
        clients = GroupClients(count: options.clients, hosts: options.hosts, seed: seed)
        random = SeededGenerator(seed: seed ^ 0x6E0)
        opened = members + Array(repeating: nil, count: options.spares)
    }

    // MARK: - Members

    package func initialDisk(_ host: Int) -> SimulatedDisk {
        var disk = SimulatedDisk()
        guard host < options.members else { return disk }
        for step in LogStore.make(ledger.members[host], store: StoreID(UInt64(host) + 1)).steps { try? disk.perform(step) }
        return disk
    }

    package mutating func start(
        _ host: Int, disk: SimulatedDisk, seed: UInt64, at now: LogicalInstant, _ effects: inout Effects<GroupMessage>
    ) throws(Violation) -> RaftProcess? {
        switch LogStore.find(on: disk, mutant: options.mutant) {
        case .store(let found):
            let raft = Raft(
                id: found.member, settings: options.settings, hardState: found.hardState,
                snapshot: found.snapshot ?? .founding(founding), entries: found.entries, seed: seed, at: now)
            let process = RaftProcess(
                host: host, id: found.member, raft: raft, log: found.log, opening: found.opening, options: options,
                ledger: ledger, &effects)
            try began(host, process)
            return process
        case .empty, .damaged:
            guard ledger.lost.contains(ledger.members[host]) || opened[host] != ledger.members[host] else {
                throw Violation("the disk of \(ledger.members[host]) was not destroyed, and cannot be read back")
            }
            return try startAnew(host, disk, seed: seed, at: now, &effects)
        }
    }

    /// What is there is set aside; another store is made, which is no member before the group takes it in.
    private mutating func startAnew(
        _ host: Int, _ disk: SimulatedDisk, seed: UInt64, at now: LogicalInstant, _ effects: inout Effects<GroupMessage>
    ) throws(Violation) -> RaftProcess {
        let store = StoreID(random.next() >> 16 | 1 << 20)
        let node = ledger.members[host].node
        let member = MemberID(node, store: options.mutant == .keepsNameOfWipedStore ? nil : store)
        let raft = Raft(id: member, settings: options.settings, snapshot: .founding(founding), seed: seed, at: now)
        var (log, steps) = LogStore.make(member, store: store)
        log.mutant = options.mutant
        let process = RaftProcess(
            host: host, id: member, raft: raft, log: log,
            opening: [.remove(LogStore.nameFile), .syncFolder] + disk.files.map(DiskStep.remove) + steps, options: options,
            ledger: ledger, &effects)
        try began(host, process)
        return process
    }

    private mutating func began(_ host: Int, _ process: RaftProcess) throws(Violation) {
        ledger.members[host] = process.id
        ledger.note(process.raft.log, of: host)
        try checks.started(host, process)
    }

    package mutating func ended(_ host: Int, at now: LogicalInstant) {}

    package mutating func check(
        _ host: Int, _ process: inout RaftProcess, _ effects: Effects<GroupMessage>, disk: SimulatedDisk, at now: LogicalInstant
    ) throws(Violation) {
        if process.isOpen { opened[host] = process.id }
        try checks.check(host, &process, effects, disk: disk, at: now)
        for applied in process.applied {
            if let request = applied.request, applied.isFresh { clients.tookEffect(request, at: now) }
        }
        process.applied.removeAll(keepingCapacity: true)
    }

    package mutating func maySacrifice(_ host: Int) -> Bool {
        let member = ledger.members[host]
        // Once only: what was damaged twice may look whole again.
        guard !ledger.lost.contains(member), ledger.tolerates(losing: member) else { return false }
        ledger.lose(member)
        return true
    }

    // MARK: - Users

    package mutating func received(
        _ message: GroupMessage, from host: Int, at address: Int, now: LogicalInstant, _ outside: inout Outside
    ) throws(Violation) {
        if case .reply(let reply) = message { clients.received(reply, from: host, at: address, now: now, &outside) }
    }

    package mutating func fired(_ event: Event, now: LogicalInstant, _ outside: inout Outside) throws(Violation) {
        switch event {
        case .client(let event): clients.fired(event, now: now, &outside)
        }
    }

    package mutating func perform(act kind: Int, seed: UInt64, now: LogicalInstant, _ outside: inout Outside) throws(Violation)
    {
        for host in 0..<options.hosts { outside.send(.errand(Errand(kind: kind, seed: seed)), from: 99, to: host) }
    }

    // MARK: - The trace

    package static func describe(_ message: GroupMessage) -> String {
        switch message {
        case .peer(let message, let from, let to): "[\(from) to \(to)] \(message)"
        case .request(let request): "\(request)"
        case .reply(let reply): "\(reply)"
        case .knock(let member): "knock of \(member)"
        case .errand(let errand): "\(errand)"
        }
    }

    package static func digest(_ message: GroupMessage) -> UInt64 { message.digest }
}
