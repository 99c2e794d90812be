// How a seed's run failed: enough to run it again, and to know whether a shorter plan of faults fails in the same way.

package import Model

package struct RunFailure: Error, CustomStringConvertible {
    package let seed: UInt64
    package let at: LogicalInstant
    package let step: UInt64
    package let violation: String
    package let faults: [TimedFault]
    package var lines: [String]

    package init(
        seed: UInt64, at: LogicalInstant, step: UInt64, violation: String, faults: [TimedFault], lines: [String] = []
    ) {
        self.seed = seed
        self.at = at
        self.step = step
        self.violation = violation
        self.faults = faults
        self.lines = lines
    }

    /// Whether the same promise is broken: names and numbers may differ.
    package func isAlike(_ other: RunFailure) -> Bool {
        let kind = { (text: String) in
            text.split(separator: " ").filter { $0.allSatisfy { ("a"..."z").contains($0) } && $0.count > 3 }.prefix(6)
        }
        return kind(violation).elementsEqual(kind(other.violation))
    }

    package var description: String { "seed \(seed), step \(step), \(at): \(violation)" }
}
