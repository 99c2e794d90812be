import MembershipSimulation
import RunnerKit
import SimulationKit
import Testing

extension Scenario: CustomTestStringConvertible {
    public var testDescription: String { description }
}

@Suite struct ScenarioTests {
    @Test("what must be survived is survived, and leaves the same trace in another process", arguments: Scenario.all)
    func holds(scenario: Scenario) throws {
        let trial = try scenario.run(seed: 1)
        for (name, value) in trial.figures { print("\(scenario.label): \(name): \(value)") }
        #expect(trial.digest != 0, "it leaves no trace")
        #expect(try digest(of: scenario.label, seed: 1) == "\(trial.digest)\n")
    }

    @Test("every story of the design is told, here or over sockets")
    func complete() {
        let told = Set((Scenario.all.map(\.label) + Scenario.elsewhere.map(\.label)).map { String($0.prefix { $0 != "-" }) })
        let missing = (1...32).map { "C\($0)" }.filter { !told.contains($0) }
        #expect(missing == [])
    }

    @Test("another seed leaves another trace", arguments: ["C2", "C13", "C19", "C31"])
    func otherTrace(label: String) throws {
        let scenario = try #require(Scenario.named(label))
        #expect(try scenario.run(seed: 4).digest != scenario.run(seed: 3).digest)
    }

    /// Asks the runner beside the tests.
    private func digest(of label: String, seed: UInt64) throws -> String {
        try Runner.output(of: "simulate-members", ["--seed", "\(seed)", "--digest", label])
    }
}
