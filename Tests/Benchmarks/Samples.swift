/// Results of single rounds or single requests, and what is quoted of them.
struct Samples: Sendable {
    private(set) var values: [Double]

    init(_ values: Double...) { self.values = values }

    mutating func add(_ value: Double) { values.append(value) }
    mutating func add(_ others: Samples) { values += others.values }

    /// Nan when there are none.
    func percentile(_ share: Double) -> Double {
        let sorted = values.sorted()
        guard let last = sorted.indices.last else { return .nan }
        return sorted[min(last, Int(Double(sorted.count) * share))]
    }

    var median: Double { percentile(0.5) }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
    var inMilliseconds: Double { inSeconds * 1_000 }
}

/// The rates of `rounds` runs of `work`, which says how much it did.
func rates(rounds: Int, _ work: () throws -> Int) rethrows -> Samples {
    var rates = Samples()
    for _ in 0..<rounds {
        let clock = ContinuousClock()
        let start = clock.now
        let done = try work()
        rates.add(Double(done) / (clock.now - start).inSeconds)
    }
    return rates
}

/// Keeps the optimiser from dropping work whose result nobody reads.
@inline(never) func keep<T>(_ value: T) { withExtendedLifetime(value) {} }
