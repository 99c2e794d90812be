// Looks on while one operation goes through its steps: which have come, how long writes stood still, how long a fence stood.

import AgentCore
import Model

/// Who is what in an operation, by hosts.
struct CrashRoles: Hashable, Sendable {
    var source: Int?
    var target: Int?
    var primary: Int?

    func role(of host: Int) -> CrashRole {
        switch host {
        case source: .source
        case target: .target
        case primary: .primary
        default: .member
        }
    }
}

struct CrashWatch: Sendable {
    /// Which operation it is, once it has begun.
    let recognises: @Sendable (OperationDescriptor) -> Bool
    private let places: ClusterPlaces
    private(set) var operation: OperationID?
    private(set) var roles = CrashRoles()
    /// Each once, in the order in which they first came.
    private(set) var steps: [CrashStep] = []
    private(set) var isOver = false
    /// Of the steps, how many an operator has answered.
    var answeredSteps = 0
    /// Who died, and whether that host led a partition of the clients' then, had led it until a moment ago, or was to lead one while it
    /// was dead.
    private var victim: Int?
    /// Who gave the role away to somebody who has not written yet, and cannot without all of the in-sync set.
    private var gaveRole: Int?
    private(set) var hasVictimLed = false
    /// Who was down before it began.
    var missed: Int?
    /// As it was committed when the operation was no longer running.
    private(set) var end: (descriptor: OperationDescriptor, topology: Topology)?
    private(set) var kind: OperationKind?
    /// How many acknowledged writes the watch has seen.
    private(set) var acknowledged = 0

    // How long the clients' table took no write.
    private let table: TableID?
    private var lastWrite: [PartitionID: LogicalInstant] = [:]
    private(set) var longestPause = Span.zero
    private var isMeasuring = false

    // How long a fence stood, of the time in which somebody led.
    private var leaders: Set<Int> = []
    private var topology = Topology()
    private var fence: (host: Int, led: Span)?
    private var ledSince: LogicalInstant?
    private(set) var longestFence = Span.zero

    /// - Parameter table: the clients'.
    init(_ places: ClusterPlaces, table: TableID?, recognises: @escaping @Sendable (OperationDescriptor) -> Bool) {
        self.places = places
        self.table = table
        self.recognises = recognises
    }

    // MARK: - What is committed

    mutating func committed(from old: Topology, to new: Topology, at now: LogicalInstant) {
        topology = new
        // A child's writes go on from its parents': of two that become one, from the one that has waited for longer.
        let ended = lastWrite.filter { new.partitions[$0.key] == nil }
        for partition in new.partitions.values where partition.table == table && old.partitions[partition.id] == nil {
            lastWrite[partition.id] = ended.values.min() ?? now
        }
        for id in ended.keys { lastWrite[id] = nil }
        if let victim { self.victim(victim, in: new) }
        if operation == nil { begin(in: new, after: old) }
        guard let operation else { return }
        for step in CommittedStep.between(old, new, of: operation) {
            note(.committed(step))
            if step == .switched {
                gaveRole = kind?.partition.flatMap { old.partitions[$0]?.primary }.flatMap { places.host(of: $0) }
            }
        }
        let descriptor = new.operations[operation]
        if let descriptor, descriptor.phase != .running, end == nil { end = (descriptor, new) }
        isOver = end != nil && descriptor?.cleanups.isEmpty ?? true
        if let fence, !mayStand(fence.host) { endFence(at: now) }
    }

    /// Whether nothing is left of it but data to be removed where nobody lives who could remove it.
    func waitsForTheDead(_ isUp: (Int) -> Bool) -> Bool {
        guard let operation, let running = topology.operations[operation], running.step == .dropSource else { return false }
        return running.cleanups.allSatisfy { places.host(of: $0.node).map { !isUp($0) } ?? false }
    }

    private mutating func begin(in topology: Topology, after old: Topology) {
        let begun = topology.operations.values.filter { old.operations[$0.id] == nil && recognises($0) }
        guard let descriptor = begun.min(by: { $0.id < $1.id }) else { return }
        operation = descriptor.id
        kind = descriptor.kind
        let partition = descriptor.kind.partition.flatMap { topology.partitions[$0] }
        let primary = partition?.primary.flatMap { places.host(of: $0) }
        switch descriptor.kind {
        case .createTable(let table), .dropTable(let table):
            let first = topology.partitions(of: table).first
            roles.source = first?.primary.flatMap { places.host(of: $0) }
            roles.target = first?.inSync.last.flatMap { places.host(of: $0) }
        case .move(_, let source, let target):
            roles.source = source.map { places.host(of: $0) } ?? primary
            roles.target = places.host(of: target)
        case .split, .merge:
            roles.source = primary
            roles.target = partition?.inSync.last { $0 != partition?.primary }.flatMap { places.host(of: $0) }
        case .transferPrimary(_, let target):
            roles.source = primary
            roles.target = places.host(of: target)
        case .removeOrphan(_, let node): roles.source = places.host(of: node)
        }
        if let primary, primary != roles.source, primary != roles.target { roles.primary = primary }
    }

    mutating func victim(_ host: Int, in topology: Topology) {
        victim = host
        let led = topology.partitions.values.contains { $0.table == table && $0.primary == places.node(host) }
        hasVictimLed = hasVictimLed || led || gaveRole == host
    }

    /// Whether the operation is about this partition.
    private func concerns(_ id: PartitionID) -> Bool {
        switch kind {
        case .createTable(let table)?, .dropTable(let table)?: id.number >> 16 == table.number
        case .move(let partition, _, _)?, .transferPrimary(let partition, _)?, .removeOrphan(let partition, _)?: id == partition
        case .split(let partition, _, let lower, let upper)?: id == partition || id == lower || id == upper
        case .merge(let left, let right, let merged)?: id == left || id == right || id == merged
        case nil: false
        }
    }

    /// It is back, and counts as any other.
    mutating func started(_ host: Int) {
        if victim == host { victim = nil }
    }

    private mutating func note(_ step: CrashStep) {
        if !steps.contains(step) { steps.append(step) }
    }

    // MARK: - What agents do

    mutating func did(_ act: AgentAct, for partition: PartitionID, at host: Int, _ now: LogicalInstant) {
        guard concerns(partition), !isOver else { return }
        note(.act(act, by: roles.role(of: host)))
        // A deposed primary keeps it on its disk until the operation is over, and nobody waits for that.
        guard act == .fence, fence == nil, mayStand(host) else { return }
        fence = (host, .zero)
        ledSince = leaders.isEmpty ? nil : now
    }

    mutating func wrote(_ partition: PartitionID, at now: LogicalInstant) {
        acknowledged += 1
        gaveRole = nil
        if isMeasuring, let last = lastWrite[partition] { longestPause = max(longestPause, now - last) }
        lastWrite[partition] = now
    }

    mutating func measures(_ measures: Bool, at now: LogicalInstant) {
        if isMeasuring, !measures { for last in lastWrite.values { longestPause = max(longestPause, now - last) } }
        isMeasuring = measures
    }

    /// What was is somebody else's.
    mutating func forgetPause(at now: LogicalInstant) {
        longestPause = .zero
        for id in lastWrite.keys { lastWrite[id] = now }
    }

    // MARK: - Fences

    /// A committed entry ends the fence: the operation's end, or its primary's role's.
    private func mayStand(_ host: Int) -> Bool {
        guard let operation, topology.operations[operation]?.phase == .running, let id = kind?.partition else { return false }
        return topology.partitions[id]?.primary.flatMap { places.host(of: $0) } == host
    }

    private mutating func endFence(at now: LogicalInstant) {
        guard let fence else { return }
        longestFence = max(longestFence, fence.led + (ledSince.map { now - $0 } ?? .zero))
        (self.fence, ledSince) = (nil, nil)
    }

    /// Whether a coordinator leads and can commit.
    mutating func leads(_ host: Int, _ leads: Bool, at now: LogicalInstant) {
        guard leads != leaders.contains(host) else { return }
        if leads { leaders.insert(host) } else { leaders.remove(host) }
        guard var standing = fence else { return }
        if leaders.isEmpty {
            if let since = ledSince { standing.led = standing.led + (now - since) }
            (fence, ledSince) = (standing, nil)
        } else {
            ledSince = ledSince ?? now
        }
    }

    /// With the holder of a fence the fence is no longer what writers wait for, but the failover.
    mutating func ended(_ host: Int, at now: LogicalInstant) {
        leads(host, false, at: now)
        if fence?.host == host { (fence, ledSince) = (nil, nil) }
    }
}
