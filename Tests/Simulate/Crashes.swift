// The crash matrix: each operation in a process of its own, and a table of what came of every cell.

import ClusterSimulation
import Model
import SimulationKit

struct Crashes {
    let seed: UInt64
    let jobs: Int
    /// Only operations whose name holds this.
    let only: String?

    private struct Told {
        var lines: [Row] = []
        var failures: [(cell: String, violation: String)] = []
        /// Why it is not known what came of all cells.
        var untold: String?
    }

    private struct Row {
        let step: String
        let column: Column
        let result: String
    }

    private struct Column: Hashable {
        let party: CrashParty
        let side: CrashSide
        let absence: CrashAbsence

        static let all = CrashParty.allCases.flatMap { party in
            CrashSide.allCases.flatMap { side in
                CrashAbsence.allCases.map { Column(party: party, side: side, absence: $0) }
            }
        }
    }

    // MARK: - In a process of its own

    /// Prints a line when a cell begins and one when it ends, and behind all how many there were.
    static func work(_ operation: CrashOperation, _ options: Options, cell wanted: String?) -> Bool {
        var bug: ClusterBug?
        if case .cluster(let planted)? = options.bug { bug = planted }
        var matrix = CrashMatrix(operation: operation, seed: options.crashSeed, bug: bug)
        matrix.lines = options.lines
        var (holds, cells) = (true, 0)
        do {
            if wanted == "steps" {
                let rehearsal = try matrix.rehearsal()
                for step in rehearsal.steps { Chunk.say(step.description) }
                Chunk.say("\(rehearsal.result)")
                return true
            }
            try matrix.play(where: { cell in
                guard holds || !options.stops else { return false }
                return wanted.map { cell.description.contains($0) } ?? true
            }) { cell in
                Chunk.say(["begins", word(cell), cell.description].joined(separator: "\t"))
            } ends: { cell, result, lines in
                cells += 1
                for line in lines { Chunk.say("    \(line.prefix(1_000))") }
                switch result {
                case .success(let result):
                    let pause = result.pause.microseconds / 1_000
                    Chunk.say(["holds", "\(result.outcome.rawValue) \(pause)"].joined(separator: "\t"))
                case .failure(let violation):
                    holds = false
                    Chunk.say(["breaks", violation.description.replacing("\n", with: " ")].joined(separator: "\t"))
                }
            }
        } catch {
            Chunk.say(["begins", "", "\(operation.rawValue): undisturbed"].joined(separator: "\t"))
            Chunk.say(["breaks", "\(error)"].joined(separator: "\t"))
            return false
        }
        Chunk.say(["played", "\(cells)"].joined(separator: "\t"))
        return holds
    }

    private static func word(_ cell: CrashCell) -> String {
        [cell.party.rawValue, cell.side.rawValue, cell.absence.rawValue, cell.step].joined(separator: "|")
    }

    // MARK: - Outside

    func run() async throws -> Bool {
        let operations = CrashOperation.allCases.filter { operation in only.map { operation.rawValue.contains($0) } ?? true }
        var told: [Told?] = Array(repeating: nil, count: operations.count)
        try await withThrowingTaskGroup(of: (Int, Told).self) { group in
            var waiting = operations.indices
            func add() {
                guard let at = waiting.popFirst() else { return }
                group.addTask { (at, try await play(operations[at])) }
            }
            for _ in 0..<jobs { add() }
            var next = 0
            while let (at, outcome) = try await group.next() {
                add()
                told[at] = outcome
                while next < told.count, let ready = told[next] {
                    show(ready, of: operations[next])
                    next += 1
                }
            }
        }
        let cells = told.compactMap(\.self).reduce(0) { $0 + $1.lines.count }
        let failures = told.compactMap(\.self).flatMap(\.failures)
        let untold = told.compactMap { $0?.untold }
        Chunk.say("\(cells) cells of \(operations.count) operations, seed \(seed), \(failures.count) failed")
        for failure in failures { Chunk.say("✘ \(failure.cell): \(failure.violation)") }
        for reason in untold { Chunk.say("✘ \(reason)") }
        return failures.isEmpty && untold.isEmpty && cells > 0
    }

    /// The first cell in which a planted bug is noticed, and how; nil where every cell of the operation holds.
    static func failure(of operation: CrashOperation, with bug: String) async throws -> (cell: String, violation: String)? {
        let (output, ending) = try await Chunk.child(["--crash-cells", operation.rawValue, "--stops"], bug: bug)
        let told = read(output, of: operation, ending)
        if let failure = told.failures.first { return failure }
        guard let reason = told.untold else { return nil }
        throw Chunk.Untold(description: reason)
    }

    private func play(_ operation: CrashOperation) async throws -> Told {
        let (output, ending) = try await Chunk.child(
            ["--crash-cells", operation.rawValue, "--seed", "\(seed)"], bug: nil)
        return Self.read(output, of: operation, ending)
    }

    private static func read(_ output: String, of operation: CrashOperation, _ ending: Chunk.Ending) -> Told {
        var told = Told()
        var played: Int?
        var cell: (word: [String], name: String)?
        func end(_ result: String, _ violation: String?) {
            guard let ended = cell else { return }
            if let violation { told.failures.append((ended.name, violation)) }
            let words = ended.word
            if words.count == 4, let party = CrashParty(rawValue: words[0]), let side = CrashSide(rawValue: words[1]),
                let absence = CrashAbsence(rawValue: words[2])
            {
                let column = Column(party: party, side: side, absence: absence)
                told.lines.append(Row(step: words[3], column: column, result: result))
            }
            cell = nil
        }
        for line in output.split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            switch fields.first {
            case "begins" where fields.count == 3: cell = (fields[1].split(separator: "|").map(String.init), fields[2])
            case "holds" where fields.count == 2: end(fields[1], nil)
            case "breaks" where fields.count == 2: end("FAILS", fields[1])
            case "played" where fields.count == 2: played = Int(fields[1])
            default: break
            }
        }
        if ending == .trapped {
            // Without a cell it was the rehearsal, or the way to the next cell.
            cell = cell ?? ([], "\(operation.rawValue): between cells")
            end("TRAPS", Chunk.trap)
        } else if told.failures.isEmpty, played != told.lines.count || told.lines.isEmpty {
            let said = played.map { "\($0)" } ?? "nobody says how many"
            told.untold = "\(operation.rawValue): \(told.lines.count) cells were told of, and \(said) were played: \(ending)"
        }
        return told
    }

    /// A row for each step, a column for each way to die: how the operation ended, and for how many milliseconds no write was taken.
    private func show(_ told: Told, of operation: CrashOperation) {
        let columns = Column.all.filter { column in told.lines.contains { $0.column == column } }
        var steps: [String] = []
        for line in told.lines where !steps.contains(line.step) { steps.append(line.step) }
        let width = max(steps.map(\.count).max() ?? 0, operation.rawValue.count)
        Chunk.say("")
        for (name, word) in [
            (operation.rawValue, \Column.party.rawValue), ("", \Column.side.rawValue), ("absence:", \Column.absence.rawValue),
        ] {
            Chunk.say(([pad(name, width)] + columns.map { pad($0[keyPath: word], 11) }).joined(separator: "  "))
        }
        for step in steps {
            let results = columns.map { column in
                told.lines.first { $0.step == step && $0.column == column }?.result ?? "-"
            }
            Chunk.say(([pad(step, width)] + results.map { pad($0, 11) }).joined(separator: "  "))
        }
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.count, 0))
    }
}
