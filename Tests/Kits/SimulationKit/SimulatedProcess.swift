// What a program must look like to be simulated: a process is stepped with inputs and answers with effects; a system says how processes
// start, who uses them, and what must always hold.

package import Model

package enum ProcessInput<Message> {
    /// `wakeAt` has come, or some time before it.
    case tick
    /// From another host, or from outside (a client's address, beyond the hosts).
    case received(Message, from: Int)
    /// A job is done whole, or stopped at a step that failed; later jobs are then not begun.
    case diskFinished(ticket: UInt64, DiskFailure?)
    /// The process at the other end is gone.
    case connectionLost(Int)
}

/// Steps for the disk in their order, after those of every earlier job.
package struct DiskJob: Sendable {
    package let ticket: UInt64
    package let steps: [DiskStep]

    package init(ticket: UInt64, steps: [DiskStep]) {
        self.ticket = ticket
        self.steps = steps
    }
}

package struct Outgoing<Message> {
    package let to: Int
    package let message: Message
}

/// What one step wants done.
package struct Effects<Message> {
    package var messages: [Outgoing<Message>] = []
    package var jobs: [DiskJob] = []
    /// The process ends itself, and why.
    package var exit: String?

    package init() {}

    package mutating func send(_ message: Message, to address: Int) { messages.append(Outgoing(to: address, message: message)) }

    mutating func clear() {
        messages.removeAll(keepingCapacity: true)
        jobs.removeAll(keepingCapacity: true)
        exit = nil
    }
}

/// One process. Time is its own machine's clock.
package protocol SimulatedProcess {
    associatedtype Message
    mutating func step(_ input: ProcessInput<Message>, at now: LogicalInstant, _ effects: inout Effects<Message>)
    var wakeAt: LogicalInstant? { get }
}

/// What a system wants from outside its processes: messages of clients, and events of its own.
package struct OutsideEffects<Message, Event> {
    package var messages: [(from: Int, to: Int, message: Message)] = []
    package var events: [(after: Span, event: Event)] = []

    package init() {}

    package mutating func send(_ message: Message, from address: Int, to host: Int) {
        messages.append((address, host, message))
    }
    package mutating func schedule(_ event: Event, after span: Span) { events.append((span, event)) }
}

/// A promise is broken.
package struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Processes of one kind with those who use them and those who watch them.
package protocol SimulatedSystem {
    associatedtype Process: SimulatedProcess
    associatedtype Event
    typealias Message = Process.Message
    typealias Outside = OutsideEffects<Message, Event>

    /// What the disk of `host` holds, durably, before its first start.
    func initialDisk(_ host: Int) -> SimulatedDisk
    /// Starts a process from what its disk holds; nil when it must not run.
    mutating func start(
        _ host: Int, disk: SimulatedDisk, seed: UInt64, at now: LogicalInstant, _ effects: inout Effects<Message>
    ) throws(Violation) -> Process?
    /// The process of `host` is gone; its disk remains.
    mutating func ended(_ host: Int, at now: LogicalInstant)
    /// Looks at what a step has made of a process, before its effects are carried out.
    mutating func check(
        _ host: Int, _ process: inout Process, _ effects: Effects<Message>, disk: SimulatedDisk, at now: LogicalInstant
    ) throws(Violation)
    /// A message has come to an address outside.
    mutating func received(
        _ message: Message, from host: Int, at address: Int, now: LogicalInstant, _ outside: inout Outside
    ) throws(Violation)
    mutating func fired(_ event: Event, now: LogicalInstant, _ outside: inout Outside) throws(Violation)
    /// Does one of the system's own faults or errands (an operator's, for example).
    mutating func perform(act kind: Int, seed: UInt64, now: LogicalInstant, _ outside: inout Outside) throws(Violation)
    /// Whether what `host` has on its disk may be lost now: the budget that keeps the data recoverable. Called once for each damage
    /// that is then done.
    mutating func maySacrifice(_ host: Int) -> Bool

    /// One line, without its time.
    static func describe(_ message: Message) -> String
    /// What tells messages apart, the same in every process.
    static func digest(_ message: Message) -> UInt64
}
