import Model

/// One figure: ours, the peer's where one is installed, and the goal where there is one.
struct BenchRow {
    let bench: String
    let row: String
    let unit: String
    let ours: Double
    var peer: Double?
    var peerName: String?
    /// What `ours` should reach; whether more or less is better follows from the unit.
    var goal: Double?

    /// Rates are better when larger, times when smaller.
    private var largerIsBetter: Bool { unit.contains("/s") }
    private var met: Bool? { goal.map { largerIsBetter ? ours >= $0 : ours <= $0 } }
    private var ratio: Double? { peer.flatMap { $0 == 0 ? nil : ours / $0 } }

    func write(asJSON: Bool) {
        if asJSON {
            let number: (Double?) -> String = { $0.map { "\($0)" } ?? "null" }
            let name = peerName.map { "\"\($0)\"" } ?? "null"
            let verdict = met.map { $0 ? "true" : "false" } ?? "null"
            print(
                "{\"bench\":\"\(bench)\",\"row\":\"\(row)\",\"unit\":\"\(unit)\",\"ours\":\(ours),\"peer\":\(number(peer)),"
                    + "\"peer_name\":\(name),\"ratio\":\(number(ratio)),\"goal\":\(number(goal)),\"met\":\(verdict)}")
        } else {
            let label = Self.pad("\(bench): \(row)", 46)
            var line = label + Self.pad("\(Self.short(ours)) \(unit)", 18)
            if let peer, let peerName { line += Self.pad("\(peerName) \(Self.short(peer))", 22) }
            if let ratio { line += Self.pad("ratio \(Self.short(ratio))", 14) }
            if let goal, let met { line += "goal \(Self.short(goal)) \(met ? "met" : "MISSED")" }
            print(line)
        }
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    /// Three significant digits, or whole numbers from a hundred on.
    private static func short(_ value: Double) -> String {
        if value >= 100 { return String(Int64(value.rounded())) }
        let scaled = (value * 100).rounded() / 100
        return "\(scaled)"
    }
}

/// Times of single runs, and what is quoted of them.
struct Samples {
    private(set) var values: [Double] = []

    mutating func add(_ value: Double) { values.append(value) }

    func percentile(_ share: Double) -> Double {
        let sorted = values.sorted()
        guard let last = sorted.indices.last else { return .nan }
        return sorted[min(last, Int(Double(sorted.count) * share))]
    }

    var median: Double { percentile(0.5) }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

/// The median rate of `rounds` runs of `work`, which says how much it did.
func medianRate(rounds: Int, _ work: () throws -> Int) rethrows -> Double {
    var rates = Samples()
    for _ in 0..<rounds {
        let clock = ContinuousClock()
        let start = clock.now
        let done = try work()
        rates.add(Double(done) / (clock.now - start).inSeconds)
    }
    return rates.median
}

/// Keeps the optimiser from dropping work whose result nobody reads.
@inline(never) func keep<T>(_ value: T) { withExtendedLifetime(value) {} }
