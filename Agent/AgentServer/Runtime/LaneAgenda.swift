// What the lane of one storage has still to do, and in which order: what is quick before what takes many steps, and what concerns
// one partition always in the order in which it was asked for. Nothing needs the order of two partitions: the core asks for what
// follows a split or a removal only once it has heard that it is done.

import AgentCore
import Engine
import Model

struct LaneAgenda {
    /// What takes many steps, or waits to be tried again; the rest goes on meanwhile.
    struct Chore {
        let job: EngineJob
        var backoff = Backoff(first: .milliseconds(100), most: .seconds(30))
        var notBefore = LogicalInstant(microseconds: .min)
        /// Why it has to be tried again.
        var trouble: EngineError?
    }

    private var prompt: [EngineJob] = []
    private(set) var chores: [Chore] = []

    mutating func add(_ jobs: [EngineJob]) {
        for job in jobs {
            switch job {
            case .wake: continue
            case .sync:
                // One speaks for all that were asked for.
                let isAsked = prompt.contains { if case .sync = $0 { true } else { false } }
                if !isAsked { prompt.append(job) }
            case .create, .remove, .beginImport, .inspect: chores.append(Chore(job: job))
            case .apply, .checksum, .split:
                if chores.contains(where: { !$0.job.partitions.isDisjoint(with: job.partitions) }) {
                    chores.append(Chore(job: job))
                } else {
                    prompt.append(job)
                }
            }
        }
    }

    func isIdle(at now: LogicalInstant) -> Bool { prompt.isEmpty && dueChore(at: now) == nil }

    var hasPrompt: Bool { !prompt.isEmpty }
    var isEmpty: Bool { prompt.isEmpty && chores.isEmpty }

    /// The next quick job; applies of one partition that follow each other are one, and become one transaction.
    mutating func takePrompt() -> EngineJob? {
        guard let first = prompt.first else { return nil }
        guard case .apply(let id, var entries) = first else {
            prompt.removeFirst()
            return first
        }
        var count = 1
        while count < prompt.count, case .apply(id, let more) = prompt[count] {
            entries += more
            count += 1
        }
        prompt.removeFirst(count)
        return .apply(id, entries)
    }

    /// The first chore whose time has come and before which nothing of its partition waits.
    ///
    /// - Parameter held: what waits for room meanwhile. Only a removal goes before it; and before a split or a merge none of what
    ///   that makes, or makes it of: the rows that are gone would be missing in what comes of it, and nothing would tell.
    func dueChore(at now: LogicalInstant, behind held: EngineJob? = nil) -> Int? {
        var seen: Set<PartitionID> = []
        if let held, case .split = held { seen = held.partitions }
        for job in prompt { if case .split = job { seen.formUnion(job.partitions) } }
        for (index, chore) in chores.enumerated() {
            let concerned = chore.job.partitions
            let isFirst = seen.isDisjoint(with: concerned)
            seen.formUnion(concerned)
            let isRemoval = if case .remove = chore.job { true } else { false }
            if isFirst, chore.notBefore <= now, isRemoval || held == nil { return index }
        }
        return nil
    }

    mutating func finish(_ index: Int) { chores.remove(at: index) }

    /// - Returns: how long it is to be left alone.
    mutating func postpone(_ index: Int, because error: EngineError, at now: LogicalInstant) -> Span {
        let wait = chores[index].backoff.next()
        chores[index].notBefore = now + wait
        chores[index].trouble = error
        return wait
    }

    /// Whether it concerns rows that are to go: nobody asks for them any more. A split is no such thing, for its children live on.
    func isMoot(_ job: EngineJob) -> Bool {
        switch job {
        case .apply(let id, _), .checksum(let id, _):
            chores.contains { if case .remove(id) = $0.job { true } else { false } }
        case .create, .split, .remove, .beginImport, .inspect, .sync, .wake: false
        }
    }

    /// Takes out the imports that have not begun: where entries wait for room, there is none for a copy, and its sender had better know.
    mutating func takeImports() -> [EngineJob] {
        func isImport(_ job: EngineJob) -> Bool { if case .beginImport = job { true } else { false } }
        let imports = chores.map(\.job).filter(isImport)
        if !imports.isEmpty { chores.removeAll { isImport($0.job) } }
        return imports
    }

    /// Takes out all that is left.
    mutating func takeAll() -> [EngineJob] {
        defer { (prompt, chores) = ([], []) }
        return prompt + chores.map(\.job)
    }
}
