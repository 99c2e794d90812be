// An operator who knows nothing of the trouble: asks for a split, a move or a transfer of some partition, waits for its end, and at
// times thinks better of it.

import Client
import KeyEncoding
import Model

struct Operator: Sendable {
    let cluster: ChaosCluster
    let diary: Diary

    /// Splits end when there are so many partitions.
    private static let mostPartitions = 16
    private static let patience = Duration.seconds(20)

    func act(_ random: inout SeededGenerator) async throws {
        // All draws come first: what is done next time shall not depend on what this time came to.
        let (place, kind) = (UInt64.random(in: 0 ... .max, using: &random), Int.random(in: 0..<10, using: &random))
        let (choice, cut) = (UInt64.random(in: 0 ... .max, using: &random), UInt64.random(in: 0 ... .max, using: &random))
        let regret = Int.random(in: 0..<10, using: &random) == 0 ? random.span(0.05...5) : nil
        guard let topology = try? await cluster.topology(), let partitions = topology["partitions"]?.array, !partitions.isEmpty
        else { return }
        let partition = partitions[Int(place % UInt64(partitions.count))]
        guard let table = partition["table"]?.string, let id = partition["id"]?.unsigned else { return }
        let holders = (partition["replicas"]?.array ?? []).compactMap { $0["node"]?.string }
        let others = cluster.agentNames.filter { !holders.contains($0) }
        func pick(_ names: [String], _ number: UInt64) -> String {
            names.isEmpty ? "" : names[Int(number % UInt64(names.count))]
        }
        let (name, body): (String, JSONValue)
        switch kind {
        case 0..<2 where partitions.count < Self.mostPartitions:
            let key =
                table == RowLoad.table
                ? RowLoad.bound(cut % RowLoad.items) : BankLoad.name(cut % BankLoad.banks)
            (name, body) = ("split", .object(["key": .array([.string(key)])]))
        case 0..<6:
            (name, body) = (
                "move", .object(["source": .string(pick(holders, choice)), "target": .string(pick(others, cut))])
            )
        default: (name, body) = ("transfer-primary", .object(["target": .string(pick(holders, choice))]))
        }
        do throws(ClientError) {
            let answer = try await cluster.control.call(
                .post, "/tables/\(table)/partitions/\(id):\(name)", body: body, milliseconds: 10_000)
            guard let operation = answer.location?.split(separator: "/").last.map(String.init) else {
                return diary.operation("\(name) without an operation")
            }
            diary.note("\(name) of partition \(id), operation \(operation): \(body.text)")
            await follow(operation, name, regret)
        } catch {
            switch error {
            case .refused(let problem): diary.operation("\(name) refused \(problem.code)")
            default: diary.operation("\(name) unanswered")
            }
        }
    }

    private func follow(_ operation: String, _ name: String, _ regret: Duration?) async {
        let start = ContinuousClock.now
        var regret = regret
        while ContinuousClock.now < start + Self.patience {
            if let wait = regret, ContinuousClock.now > start + wait {
                regret = nil
                diary.note("operation \(operation) cancelled")
                _ = try? await cluster.control.call(.post, "/operations/\(operation):cancel", milliseconds: 5_000)
            }
            let phase = try? await cluster.control.call(.get, "/operations/\(operation)", milliseconds: 2_000).body["phase"]?
                .string
            if let phase, phase != "running" { return diary.operation("\(name) \(phase)") }
            try? await Task.sleep(for: .milliseconds(100))
        }
        diary.operation("\(name) left running")
    }
}
