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

/// How many seconds of `work` fall on each of the `count` that it does.
func seconds(forEachOf count: Int, _ work: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try work()
    return (ContinuousClock.now - start).inSeconds / Double(count)
}

/// Keeps the optimiser from dropping work whose result nobody reads.
@inline(never) func keep<T>(_ value: T) { withExtendedLifetime(value) {} }
