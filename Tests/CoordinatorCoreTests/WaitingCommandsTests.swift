import Catalog
import Consensus
import Model
import Testing

@testable import CoordinatorCore

@Suite struct WaitingCommandsTests {
    @Test("however commands come and go, it is known how many may end a fence", arguments: 1...8)
    func counts(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let actor = try Principal("tester")
        var (waiting, number, term) = (WaitingCommands(), UInt64(0), Term.zero)
        func item(_ endsFence: Bool) throws -> Coordinator.Waiting {
            number += 1
            let command: Command =
                endsFence ? .abortOperation(OperationID(number), reason: "") : .pauseOperation(OperationID(number))
            return Coordinator.Waiting(
                command: ProposedCommand(command: command, actor: actor, requestID: try RequestID("r\(number)")),
                waiter: .caller(number), knownUpTo: .zero, until: .origin + .seconds(Int64.random(in: 0..<100, using: &random)))
        }
        for step in 0..<500 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0...3: waiting.append(try item(Bool.random(using: &random)))
            case 4:
                term = term.next
                for item in waiting.takeQueue() where Bool.random(using: &random) {
                    number += 1
                    waiting.passOn(item, as: number, in: term)
                }
            case 5: _ = waiting.takeOverdue(at: .origin + .seconds(Int64.random(in: 0..<100, using: &random)))
            case 6: _ = waiting.takeBack(waiting.passedOn.keys.min() ?? 0)
            default: _ = waiting.takeBack(number + 1_000)
            }
            let all = waiting.queue + waiting.passedOn.values.map(\.item)
            let ends = all.count { $0.command.command.mayEndFence }
            #expect(waiting.count == all.count && waiting.isEmpty == all.isEmpty)
            #expect(waiting.count(endingFences: true) == ends, "step \(step)")
            #expect(waiting.count(endingFences: false) == all.count - ends, "step \(step)")
        }
    }
}
