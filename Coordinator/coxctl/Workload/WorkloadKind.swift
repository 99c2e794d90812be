import ArgumentParser

/// The mixes of YCSB (Cooper et al., SoCC 2010) that are offered.
enum WorkloadKind: String, ExpressibleByArgument, CaseIterable {
    case a = "ycsb-a"
    case b = "ycsb-b"
    case c = "ycsb-c"
    case e = "ycsb-e"

    enum Request { case read, update, scan, insert }

    func request(_ random: inout some RandomNumberGenerator) -> Request {
        let percent = Int.random(in: 0..<100, using: &random)
        switch self {
        case .a: return percent < 50 ? .read : .update
        case .b: return percent < 95 ? .read : .update
        case .c: return .read
        case .e: return percent < 95 ? .scan : .insert
        }
    }
}
