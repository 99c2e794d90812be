/// The gateways that a client was told of, and which of them did not answer when they were asked last: in the middle of a failover each
/// question to a dead one costs a tenth of the time that a request has.
struct KnownGateways: Sendable {
    private(set) var all: [String]
    private var silent: Set<String> = []

    init(_ all: [String]) { self.all = all }

    var isEmpty: Bool { all.isEmpty }

    /// All of them in any order, but those last that did not answer.
    func shuffled(using random: inout some RandomNumberGenerator) -> [String] {
        let shuffled = all.shuffled(using: &random)
        return shuffled.filter { !silent.contains($0) } + shuffled.filter(silent.contains)
    }

    mutating func answered(_ gateway: String) { silent.remove(gateway) }

    mutating func failed(_ gateway: String) {
        if all.contains(gateway) { silent.insert(gateway) }
    }

    /// Adds those that a route names. One that does not answer and that no route names any more is gone for good.
    mutating func add(_ named: [String]) {
        all.removeAll { silent.contains($0) && !named.contains($0) }
        for gateway in named where !all.contains(gateway) { all.append(gateway) }
        silent.formIntersection(all)
    }

    /// Takes others in their place.
    mutating func replace(by others: [String]) { self = KnownGateways(others) }
}
