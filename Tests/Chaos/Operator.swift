// An operator who knows nothing of the trouble, nor of the other operators: asks for a split, a merge, a move or a transfer of some
// partition, waits for its end, and at times thinks better of it.

import Client
import KeyEncoding
import Model

struct Operator: Sendable {
    let cluster: ChaosCluster
    let diary: Diary

    /// What is asked for, by the name that the API has for it.
    static let kinds = ["split", "merge", "move", "transfer-primary"]
    /// How the diary calls one that ended well.
    static func success(of kind: String) -> String { "\(kind) succeeded" }

    /// Splits end when there are so many partitions.
    private static let mostPartitions = 16
    private static let patience = Duration.seconds(20)

    /// What is asked of one partition.
    private struct Wish {
        let name: String
        let partition: JSONValue
        let body: JSONValue
    }

    /// Everything that is left to chance, drawn before anything is looked at: what is done next time shall not depend on what this time
    /// came to.
    private struct Draw {
        let kind: Int
        let place, first, second: UInt64
        let regret: Duration?

        init(_ random: inout SeededGenerator) {
            kind = Int.random(in: 0..<12, using: &random)
            (place, first, second) = (random.next(), random.next(), random.next())
            regret = Int.random(in: 0..<10, using: &random) == 0 ? random.span(0.05...5) : nil
        }
    }

    func act(_ random: inout SeededGenerator) async throws {
        let draw = Draw(&random)
        guard let partitions = try? await cluster.topology()["partitions"]?.array, let wish = wish(draw, among: partitions),
            let table = wish.partition["table"]?.string, let id = wish.partition["id"]?.unsigned
        else { return }
        do throws(ClientError) {
            let answer = try await cluster.control.call(
                .post, "/tables/\(table)/partitions/\(id):\(wish.name)", body: wish.body, milliseconds: 10_000)
            guard let operation = answer.location?.split(separator: "/").last.map(String.init) else {
                return diary.operation("\(wish.name) without an operation")
            }
            diary.made(.operators)
            diary.note("\(wish.name) of partition \(id), operation \(operation): \(wish.body.text)")
            await follow(operation, wish.name, draw.regret)
        } catch {
            switch error {
            // What nobody is ever granted is no trouble for anybody.
            case .refused(let problem) where [401, 403, 405, 500].contains(problem.status):
                throw ChaosFailure("\(wish.name) of partition \(id): \(problem)")
            case .refused(let problem): diary.operation("\(wish.name) refused \(problem.code)")
            default: diary.operation("\(wish.name) unanswered")
            }
        }
    }

    private func wish(_ draw: Draw, among partitions: [JSONValue]) -> Wish? {
        guard !partitions.isEmpty else { return nil }
        if draw.kind < 2, partitions.count < Self.mostPartitions {
            let (table, key) =
                draw.place % 4 == 0
                ? (BankLoad.table, BankLoad.name(draw.first % BankLoad.banks))
                : (RowLoad.table, RowLoad.bound(draw.first % RowLoad.items))
            guard let partition = partitions.first(where: { $0["table"]?.string == table && Self.holds($0, key) }) else {
                return nil
            }
            return Wish(name: "split", partition: partition, body: .object(["key": .array([.string(key)])]))
        }
        if draw.kind > 9 { return merge(draw, among: partitions) }
        let partition = partitions[Int(draw.place % UInt64(partitions.count))]
        let holders = (partition["replicas"]?.array ?? []).compactMap { $0["node"]?.string }
        let others = cluster.agentNames.filter { !holders.contains($0) }
        guard !holders.isEmpty, !others.isEmpty else { return nil }
        let holder = JSONValue.string(holders[Int(draw.first % UInt64(holders.count))])
        guard draw.kind < 6 else {
            return Wish(name: "transfer-primary", partition: partition, body: .object(["target": holder]))
        }
        let target = JSONValue.string(others[Int(draw.second % UInt64(others.count))])
        return Wish(name: "move", partition: partition, body: .object(["source": holder, "target": target]))
    }

    /// Two neighbours, whose copies are on the same nodes as far as there are such: others are refused.
    private func merge(_ draw: Draw, among partitions: [JSONValue]) -> Wish? {
        let pairs = Self.neighbours(among: partitions)
        let alike = pairs.filter { Self.seats(of: $0.left) == Self.seats(of: $0.right) }
        let choices = alike.isEmpty ? pairs : alike
        guard !choices.isEmpty else { return nil }
        let pair = choices[Int(draw.place % UInt64(choices.count))]
        guard let right = pair.right["id"]?.unsigned else { return nil }
        return Wish(name: "merge", partition: pair.left, body: .object(["with": .string(String(right))]))
    }

    /// Partitions of one table of which the second begins where the first ends.
    static func neighbours(among partitions: [JSONValue]) -> [(left: JSONValue, right: JSONValue)] {
        partitions.flatMap { left in
            partitions.filter { right in
                left["table"] == right["table"] && left["high"] != nil && left["high"] != .null && left["high"] == right["low"]
            }.map { (left: left, right: $0) }
        }
    }

    /// The nodes of a partition, its primary's first.
    private static func seats(of partition: JSONValue) -> [String] {
        [partition["primary"]?.string ?? "none"]
            + (partition["replicas"]?.array ?? []).compactMap { $0["node"]?.string }.sorted()
    }

    /// Whether a partition can be cut in two at a key.
    private static func holds(_ partition: JSONValue, _ key: String) -> Bool {
        func bound(_ name: String) -> String? { partition[name]?.array?.first?.string }
        return (bound("low").map { $0 < key } ?? true) && (bound("high").map { key < $0 } ?? true)
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
            let answer = try? await cluster.control.call(.get, "/operations/\(operation)", milliseconds: 2_000)
            if let phase = answer?.body["phase"]?.string, phase != "running" { return diary.operation("\(name) \(phase)") }
            try? await Task.sleep(for: .milliseconds(100))
        }
        diary.operation("\(name) left running")
    }
}
