import ClusterSimulation

struct Options {
    enum Errand {
        case many
        case one(UInt64)
        case digest(UInt64)
        /// Seeds that a process of their own runs for its parent.
        case chunk(ClosedRange<UInt64>)
        case mutants(String?)
        /// Scenarios that a process of their own plays for its parent.
        case scenarios
        /// Everybody dies at every step of the operations whose name holds this.
        case crashes(String?)
        /// The cells of one operation, in a process of its own or for a person; those whose description holds this.
        case crashCells(CrashOperation, String?)
    }

    struct Misuse: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var errand = Errand.many
    private(set) var subject = Subject.group
    private(set) var seeds: UInt64 = 200
    /// The fixed seeds of clusters.
    private(set) var clusters: UInt64 = 40
    private(set) var seconds = 0
    private(set) var jobs = 1
    private(set) var bug: Bug?
    private(set) var stops = false
    /// The whole story of one seed, that many lines of it, instead of the fewest faults.
    private(set) var lines = 0
    /// Of the crash matrix.
    private(set) var crashSeed: UInt64 = 1

    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        func number(after option: String) throws -> UInt64 {
            guard let text = rest.popFirst(), let number = UInt64(text) else {
                throw Misuse(description: "\(option) needs a number")
            }
            return number
        }
        while let option = rest.popFirst() {
            switch option {
            case "--seed":
                crashSeed = try number(after: option)
                switch errand {
                case .crashes, .crashCells: break
                case .many, .one, .digest, .chunk, .mutants, .scenarios: errand = .one(crashSeed)
                }
            case "--digest": errand = .digest(try number(after: option))
            case "--seeds": seeds = try number(after: option)
            case "--clusters": clusters = try number(after: option)
            case "--cluster": subject = .cluster
            case "--partition": subject = .partition
            case "--seconds": seconds = Int(min(try number(after: option), 1_000_000))
            case "--lines": lines = Int(min(try number(after: option), 10_000_000))
            case "--jobs": jobs = Int(min(max(try number(after: option), 1), 64))
            case "--chunk":
                let (first, last) = (try number(after: option), try number(after: option))
                errand = .chunk(first...max(first, last))
            case "--mutants": errand = .mutants(rest.first?.hasPrefix("--") == false ? rest.popFirst() : nil)
            case "--crash-matrix": errand = .crashes(rest.first?.hasPrefix("--") == false ? rest.popFirst() : nil)
            case "--crash-cells":
                guard let operation = CrashOperation(rawValue: rest.popFirst() ?? "") else {
                    let names = CrashOperation.allCases.map(\.rawValue).joined(separator: ", ")
                    throw Misuse(description: "\(option) needs one of \(names)")
                }
                errand = .crashCells(operation, rest.first?.hasPrefix("--") == false ? rest.popFirst() : nil)
            case "--scenarios": errand = .scenarios
            case "--stops": stops = true
            case "--bug":
                let name = rest.popFirst() ?? ""
                guard let known = Bug(name) else { throw Misuse(description: "no bug is named '\(name)'") }
                bug = known
            default: throw Misuse(description: "\(option) is no option; see the head of Tests/Simulate/Simulate.swift")
            }
        }
    }
}
