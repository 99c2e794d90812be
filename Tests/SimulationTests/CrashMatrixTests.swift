import ClusterSimulation
import Model
import SimulationKit
import Testing

/// `make sim-crash` plays all cells; here are those of the operations that fence, with whoever died back within the operation.
@Suite struct CrashMatrixTests {
    @Test(
        "each operation goes through the steps that its row of the matrix names, and no other",
        arguments: CrashOperation.allCases)
    func rows(operation: CrashOperation) throws {
        let (steps, _) = try CrashMatrix(operation: operation, seed: 1).rehearsal()
        #expect(Set(steps.map(\.description)) == Set(operation.steps), "\(steps.map(\.description))")
    }

    @Test("each step of the catalogue, and each act of a primary, is in some row")
    func catalogue() {
        let named = Set(CrashOperation.allCases.flatMap(\.steps))
        for step in OperationStep.allCases { #expect(named.contains("step \(step.rawValue)")) }
        for act in CrashStep.actsOfDrivers { #expect(named.contains { $0.hasPrefix("\(act) at ") }, "\(act)") }
    }

    @Test(
        "whoever dies before or after a step of an operation that fences, it ends whole or not at all, and nothing is left",
        arguments: [CrashOperation.movePrimary, .split, .merge, .transfer])
    func cells(operation: CrashOperation) throws {
        var count = 0
        try CrashMatrix(operation: operation, seed: 1).play(where: { $0.absence == .short }) { cell, result, _ in
            count += 1
            if case .failure(let violation) = result { Issue.record("\(cell): \(violation)") }
        }
        #expect(count >= operation.steps.count * 2)
    }
}
