import Model
import SimulationKit

/// One process of a simulated cluster: a coordinator or an agent.
struct ClusterProcess: SimulatedProcess {
    // One of the two, side by side rather than cases: each is stepped in its place, and never copied.
    var coordinator: CoordinatorProcess?
    var agent: AgentProcess?

    var wakeAt: LogicalInstant? { coordinator?.wakeAt ?? agent?.wakeAt }

    mutating func step(
        _ input: ProcessInput<ClusterMessage>, at now: LogicalInstant, _ effects: inout Effects<ClusterMessage>
    ) {
        coordinator?.step(input, at: now, &effects)
        agent?.step(input, at: now, &effects)
    }
}

/// The one way to the disk: a job at a time, in order, tried again where there is no room, and the end of the process where it failed.
struct DiskLine<Work: Sendable>: Sendable {
    enum Outcome {
        /// What was under way is durable.
        case done([Work])
        /// The same again, later.
        case waits
        case broken
    }

    private(set) var waiting: [Work] = []
    private var flying: [Work] = []
    private(set) var retryAt: LogicalInstant?
    private var ticket: UInt64 = 0
    private var steps: [DiskStep] = []

    var isIdle: Bool { flying.isEmpty }

    mutating func add(_ work: Work) { waiting.append(work) }

    /// What comes next, as much of it as goes together.
    mutating func take(_ count: Int) -> [Work] {
        defer { waiting.removeFirst(count) }
        return Array(waiting.prefix(count))
    }

    /// - Precondition: the line is idle.
    mutating func begin(_ batch: [Work], _ steps: [DiskStep]) -> DiskJob {
        flying = batch
        self.steps = steps
        ticket += 1
        return DiskJob(ticket: ticket, steps: steps)
    }

    mutating func again(at now: LogicalInstant) -> DiskJob? {
        guard let due = retryAt, due <= now else { return nil }
        retryAt = nil
        ticket += 1
        return DiskJob(ticket: ticket, steps: steps)
    }

    mutating func finished(_ ticket: UInt64, _ failure: DiskFailure?, at now: LogicalInstant) -> Outcome {
        switch failure {
        case .full?:
            retryAt = now + .milliseconds(200)
            return .waits
        // Never tried again on the same files: only a start that reads them knows what is there (rule C3).
        case .inputOutput?: return .broken
        case nil: break
        }
        guard ticket == self.ticket else { return .waits }
        defer { flying = [] }
        return .done(flying)
    }
}
