// Who says that which node is dead. Enough independent witnesses make a proposal; old testimony is forgotten (rules F2, F7).

import Catalog
import Model

struct WitnessBook: Sendable {
    private struct Testimony: Sendable {
        let found: FoundDeath
        var heardAt: LogicalInstant
    }

    /// Witnesses repeat themselves every second or so.
    static let validity = Span.seconds(15)
    /// So many are named to people.
    private static let shown = 8
    private var testimonies: [NodeID: [NodeID: Testimony]] = [:]
    /// When each witness last said anything.
    private var spoke: [NodeID: LogicalInstant] = [:]

    mutating func note(_ report: DeathReport, at now: LogicalInstant) {
        for found in report.found where found.node != report.witness {
            testimonies[found.node, default: [:]][report.witness] = Testimony(found: found, heardAt: now)
            spoke[report.witness] = now
        }
    }

    mutating func forget(before now: LogicalInstant) {
        for node in testimonies.keys {
            testimonies[node] = testimonies[node]?.filter { now - $0.value.heardAt < Self.validity }
            if testimonies[node]?.isEmpty == true { testimonies[node] = nil }
        }
        spoke = spoke.filter { now - $0.value < Self.validity }
    }

    mutating func clear(_ node: NodeID) { testimonies[node] = nil }

    func lastWord(of witness: NodeID) -> LogicalInstant? { spoke[witness] }

    func isAccused(_ node: NodeID) -> Bool { testimonies[node] != nil }

    var accused: [NodeID] { testimonies.keys.sorted() }

    /// Whether it is the end of this process, or of a later one in its place that has not been registered.
    ///
    /// Two processes may run under one name: a copy of the node's folder, which some members met first. That it ends is nothing to
    /// the one that is registered. A later start at the same address is none of those: there the registered process is over, and
    /// its disk may be another.
    func saw(_ found: FoundDeath, theEndOf node: NodeDescriptor) -> Bool {
        if let process = found.process {
            guard process.gossip == node.addresses.gossip else { return false }
            // Whatever session it is said to have: where a wrong number made others believe in a later start, or this store's count has
            // gone back, they know the process by an earlier one.
            if found.generation > node.generation { return true }
            guard process.store == node.store else { return false }
        }
        return found.session == node.session || found.session == .none && found.generation >= node.generation
    }

    /// Those who saw this life of the node end, or a later one that has not been registered, sorted.
    func witnesses(against node: NodeDescriptor, zones: [NodeID: ZoneName]) -> [Witness] {
        (testimonies[node.id] ?? [:])
            .filter { saw($0.value.found, theEndOf: node) }
            .compactMap { testimony in zones[testimony.key].map { Witness(id: testimony.key, zone: $0) } }
            .sorted()
    }

    /// For people to read: who found the node dead and how healthy each was, and whom they had heard accuse it beside themselves.
    func account(of witnesses: [Witness], against node: NodeID) -> String {
        let words = testimonies[node] ?? [:]
        let shown = witnesses.prefix(Self.shown)
        let names = shown.map { witness in
            let health = words[witness.id]?.found.localHealth ?? 0
            return health == 0 ? "\(witness.id)" : "\(witness.id) (itself \(health) from healthy)"
        }
        let named = Set(shown.flatMap { words[$0.id]?.found.accusers ?? [] }).subtracting(witnesses.map(\.id))
        let found = named.contains(node) ? "heard it take its leave" : "found it dead"
        var text = "\(witnesses.count) witnesses \(found): \(names.joined(separator: ", "))"
        if shown.count < witnesses.count { text += " and others" }
        let accusers = named.subtracting([node]).sorted()
        if !accusers.isEmpty {
            text += "; accused by \(accusers.prefix(Self.shown).map { "\($0)" }.joined(separator: ", ")) before"
        }
        return text
    }
}
