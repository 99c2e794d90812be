import Model
import SimulationKit
import Testing

/// One process that writes once a second, and notes when each write was done.
private struct Writer: SimulatedProcess {
    typealias Message = Never
    var wakeAt: LogicalInstant? = .origin
    var done: [LogicalInstant] = []

    mutating func step(_ input: ProcessInput<Never>, at now: LogicalInstant, _ effects: inout Effects<Never>) {
        switch input {
        case .tick:
            wakeAt = now + .seconds(1)
            effects.jobs.append(DiskJob(ticket: 1, steps: [.write(file: "a", at: 0, [1])]))
        case .diskFinished: done.append(now)
        case .received, .connectionLost: break
        }
    }
}

private struct Writers: SimulatedSystem {
    typealias Process = Writer
    typealias Event = Never

    func initialDisk(_ host: Int) -> SimulatedDisk { SimulatedDisk() }
    func start(
        _ host: Int, disk: SimulatedDisk, seed: UInt64, at now: LogicalInstant, _ effects: inout Effects<Never>
    ) -> Writer? { Writer() }
    func ended(_ host: Int, at now: LogicalInstant) {}
    func check(
        _ host: Int, _ process: inout Writer, _ effects: Effects<Never>, disk: SimulatedDisk, at now: LogicalInstant
    ) {}
    func received(
        _ message: Never, from host: Int, at address: Int, now: LogicalInstant, _ outside: inout Outside
    ) {}
    func fired(_ event: Never, now: LogicalInstant, _ outside: inout Outside) {}
    func perform(act kind: Int, seed: UInt64, now: LogicalInstant, _ outside: inout Outside) {}
    func maySacrifice(_ host: Int) -> Bool { false }
    static func describe(_ message: Never) -> String {}
    static func digest(_ message: Never) -> UInt64 {}
}

@Suite struct CalmTests {
    @Test(
        "calm ends a pause and a disk's stall: what waited for their ends goes on at once",
        arguments: [Fault.pause(0), .suspend(0), .stallDisk(0)])
    func goesOn(fault: Fault) throws {
        let plan = FaultPlan(faults: [TimedFault(at: .origin + .milliseconds(500), lasting: .seconds(60), fault: fault)])
        var simulation = try Simulation(Writers(), hosts: 1, seed: 1, plan: plan)
        try simulation.run(until: .origin + .milliseconds(2_500))
        #expect(simulation.process(0)?.done.count == 1)
        try simulation.calm(core: [0])
        try simulation.run(until: .origin + .seconds(3))
        // The two writes of a stalled disk's process, or the one that a paused process was late with.
        let done = try #require(simulation.process(0)?.done)
        #expect(done.count >= 2 && done.allSatisfy { $0 < .origin + .seconds(3) }, "\(done)")
    }
}
