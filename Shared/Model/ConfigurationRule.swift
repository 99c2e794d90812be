// The names that configuration entries may have: which values each takes, for whom it can be set, what holds where nobody set it.
//
// There is this table and no other. The catalog refuses by it, the planners and gateways read by it, the settings file of a
// coordinator borrows its ranges, and `GET /config` shows it: what is accepted is obeyed, and what nobody obeys is refused. An entry
// for a node stands over one for its zone, that over one for the whole cluster, that over a member's settings file, and that over
// the standard value. An entry is in force as soon as the reader has the revision that brought it.

/// One name of the table.
package protocol ConfigurationRule: Sendable {
    associatedtype Value: Hashable & Sendable
    var name: String { get }
    var reach: ConfigurationReach { get }
    /// What holds where nobody set it.
    var standard: Value { get }
    var meaning: String { get }
    /// The values that it takes, in words.
    var expectation: String { get }
    /// The value that a JSON text stands for; nil when it is none of those that are taken.
    func value(of json: String) -> Value?
}

extension ConfigurationRule {
    package func takes(_ json: String) -> Bool { value(of: json) != nil }
}

/// For whom an entry can be set.
package enum ConfigurationReach: String, Hashable, Sendable {
    /// The whole cluster: there is one value.
    case cluster
    /// The whole cluster, a zone or a node; the narrower entry wins.
    case node

    package func includes(_ scope: ConfigurationScope) -> Bool {
        switch (self, scope) {
        case (.node, _), (.cluster, .global): true
        case (.cluster, .zone), (.cluster, .node): false
        }
    }
}

/// An entry that is a whole number in a range.
package struct IntegerRule: ConfigurationRule {
    package let name: String
    package let range: ClosedRange<Int>
    package let reach: ConfigurationReach
    package let standard: Int
    package let meaning: String

    init(_ name: String, _ range: ClosedRange<Int>, standard: Int, reach: ConfigurationReach, _ meaning: String) {
        precondition(range.contains(standard), "\(name): \(standard) is not in \(range)")
        self.name = name
        self.range = range
        self.standard = standard
        self.reach = reach
        self.meaning = meaning
    }

    package var expectation: String { "an integer from \(range.lowerBound) to \(range.upperBound)" }
    package func value(of json: String) -> Int? { Int(json).flatMap { range.contains($0) ? $0 : nil } }
}

/// An entry that is one of a few words.
package struct WordRule<Value: RawRepresentable<String> & CaseIterable & Hashable & Sendable>: ConfigurationRule {
    package let name: String
    package let reach: ConfigurationReach
    package let standard: Value
    package let meaning: String

    init(_ name: String, standard: Value, reach: ConfigurationReach, _ meaning: String) {
        self.name = name
        self.standard = standard
        self.reach = reach
        self.meaning = meaning
    }

    package var expectation: String { Value.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ") }
    package func value(of json: String) -> Value? { Value.allCases.first { json == "\"\($0.rawValue)\"" } }
}

/// How fresh a read must be.
package enum RowConsistency: String, CaseIterable, Sendable {
    /// Everything acknowledged before is seen: the primary answers, under its leases (rule R2).
    case strong
    /// Any in-sync replica answers with what it has applied (rule M9).
    case eventual
    /// Any in-sync replica answers that has applied everything acknowledged up to so long ago (rule M9).
    case bounded
}

/// The table.
package enum ConfigurationRules {
    package static let breakerPercent = IntegerRule(
        "breaker_percent", 1...100, standard: 33, reach: .cluster,
        "nothing is copied while more than this share of the nodes is failed, all of them within the window; 100: never held back"
    )
    package static let breakerWindow = IntegerRule(
        "breaker_window_seconds", 1...3_600, standard: 60, reach: .cluster,
        "how close together failures must lie to count as one event for the breaker")
    package static let consistencyLevel = WordRule<RowConsistency>(
        "consistency_level", standard: .strong, reach: .node,
        "how a gateway reads when the request names no consistency")
    package static let copyRate = IntegerRule(
        "copy_mib_per_second", 1...10_000, standard: 128, reach: .node,
        "mebibytes of rows that a node sends for moves and repairs in a second at most, and as many that it takes in")
    package static let copySilence = IntegerRule(
        "copy_silence_seconds", 1...3_600, standard: 30, reach: .node,
        "how long one end of a copy waits for the other before the copy is given up and asked for anew")
    package static let leadershipDelay = IntegerRule(
        "leadership_delay_seconds", 1...86_400, standard: 30, reach: .cluster,
        "how long the cluster must be calm before one primary role is transferred to even out the spread")
    package static let maxStaleness = IntegerRule(
        "max_staleness_milliseconds", 1...3_600_000, standard: 1_000, reach: .node,
        "how old the answer to a bounded read may be whose request does not say")
    package static let minInSync = IntegerRule(
        "min_in_sync", 1...Limits.replicationFactor, standard: 2, reach: .cluster,
        "in-sync copies without which a new table takes no writes; never more than its copies, and 1 below three of them unless set"
    )
    package static let operationsPerNode = IntegerRule(
        "operations_per_node", 1...16, standard: 2, reach: .node,
        "moves and repairs in which a node takes part at a time")
    package static let orphanGrace = IntegerRule(
        "orphan_grace_seconds", 1...86_400, standard: 300, reach: .cluster,
        "how long a copy that nobody wants must have been reported before its removal is ordered")
    package static let repairDelay = IntegerRule(
        "repair_delay_seconds", 1...86_400, standard: 300, reach: .node,
        "how long a node may be failed before its copies are made anew elsewhere")
    package static let replicationFactor = IntegerRule(
        "replication_factor", 1...Limits.replicationFactor, standard: 3, reach: .cluster,
        "copies of a new table whose request names no number")
    package static let splitRate = IntegerRule(
        "split_operations_per_second", 0...10_000_000, standard: 0, reach: .node,
        "reads and writes of one partition in a second above which its primary asks for a split at a key that halves them; 0: never"
    )
    package static let splitSize = IntegerRule(
        "split_partition_mib", 0...16_777_216, standard: 16_384, reach: .node,
        "mebibytes of keys and values above which the primary of a partition asks for a split in the middle; 0: never")

    /// By name.
    package static let all: [any ConfigurationRule] = [
        breakerPercent, breakerWindow, consistencyLevel, copyRate, copySilence, leadershipDelay, maxStaleness, minInSync,
        operationsPerNode, orphanGrace, repairDelay, replicationFactor, splitRate, splitSize,
    ]

    package static func rule(named name: String) -> (any ConfigurationRule)? { all.first { $0.name == name } }

    /// Names with this beginning belong to the operators' own programs: kept with a version, in every scope, whatever the value. No
    /// member reads them.
    package static let foreignPrefix = "app."

    package static func isForeign(_ name: String) -> Bool {
        name.hasPrefix(foreignPrefix) && name.utf8.count > foreignPrefix.utf8.count
    }
}

extension Topology {
    /// The committed value in force at `node`, or for the whole cluster where nil; nil where nobody set one.
    ///
    /// An entry that the table does not take (an earlier version may have) is passed over.
    package func configured<Rule: ConfigurationRule>(_ rule: Rule, at node: NodeDescriptor? = nil) -> Rule.Value? {
        guard !configuration.isEmpty else { return nil }
        var scopes: [ConfigurationScope] = [.global]
        if rule.reach == .node, let node { scopes = [.node(node.id), .zone(node.zone), .global] }
        for scope in scopes {
            if let entry = configuration[ConfigurationKey(scope: scope, key: rule.name)],
                let value = rule.value(of: entry.value)
            {
                return value
            }
        }
        return nil
    }
}
