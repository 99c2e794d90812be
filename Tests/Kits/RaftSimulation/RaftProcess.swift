// The simulated shell around a `Raft`: it carries out the contract of `Ready` on a simulated disk and network, and serves clients from
// a key-value machine. It holds no protocol decision; where it could break the contract, a mutant does.

package import Consensus
package import Model
package import SimulationKit

package struct RaftProcess: SimulatedProcess {
    package let host: Int
    package let id: MemberID
    package internal(set) var raft: Raft
    package internal(set) var machine = KeyValueMachine()
    var log: LogStore
    let options: GroupOptions
    let ledger: GroupLedger

    /// Whether the steps of opening are done: before, nothing is answered for.
    private(set) var isOpen = false
    private var ticket: UInt64 = 0
    private static let setAside = UInt64.max - 1
    private var waitingWrites: [Persist] = []
    private var flying: [Persist] = []
    private var logBefore: LogStore
    private var isFlying = false
    private var retryAt: LogicalInstant?
    /// When a store that is no member asks again to be taken in.
    var knockAt: LogicalInstant?

    private struct Caller {
        let entry: EntryID
        let address: Int
        let request: ClientRequest
    }
    private struct Reader {
        let id: UInt64
        let address: Int
        let request: ClientRequest
        /// Nil until the read is confirmed.
        var index: LogIndex?
    }
    private var callers: [Caller] = []
    private var readers: [Reader] = []
    private var lastRead: UInt64 = 0

    // What the checks look at after each step, and clear.
    var persisted: [Persist] = []
    var applied: [Applied] = []
    var faults: [Consensus.Fault] = []

    struct Applied {
        let entry: Entry
        /// What the state machine holds behind it, in one word.
        let state: UInt64
        let request: ClientRequest?
        let isFresh: Bool
    }

    init(
        host: Int, id: MemberID, raft: Raft, log: LogStore, opening: [DiskStep], options: GroupOptions, ledger: GroupLedger,
        _ effects: inout Effects<GroupMessage>
    ) {
        self.host = host
        self.id = id
        self.raft = raft
        self.log = log
        logBefore = log
        self.options = options
        self.ledger = ledger
        effects.jobs.append(DiskJob(ticket: 0, steps: opening))
    }

    package var wakeAt: LogicalInstant? {
        guard isOpen, raft.fault == nil else { return nil }
        return [raft.nextDeadline, retryAt, knockAt].compactMap(\.self).min()
    }

    // MARK: - Steps

    package mutating func step(
        _ input: ProcessInput<GroupMessage>, at now: LogicalInstant, _ effects: inout Effects<GroupMessage>
    ) {
        if case .diskFinished(let ticket, let failure) = input {
            diskFinished(ticket, failure, at: now, &effects)
        } else if isOpen {
            switch input {
            case .tick: tick(at: now, &effects)
            case .received(.peer(let message, let sender, let receiver), _):
                guard receiver == id || options.mutant == .keepsNameOfWipedStore else { return }
                raft.step(.received(message, from: sender), at: now)
            case .received(.request(let request), let address): take(request, from: address, &effects)
            case .received(.knock(let member), _): take(in: member, at: now)
            case .received(.errand(let errand), _): run(errand, at: now)
            case .received(.reply, _), .diskFinished: break
            case .connectionLost(let gone):
                for member in raft.configuration.members where GroupLedger.host(of: member) == gone {
                    raft.step(.connectionLost(member), at: now)
                }
            }
        }
        guard isOpen, effects.exit == nil else { return }
        settle(at: now, &effects)
    }

    private mutating func tick(at now: LogicalInstant, _ effects: inout Effects<GroupMessage>) {
        if let due = retryAt, due <= now {
            retryAt = nil
            write(flying, &effects)
        }
        if let due = knockAt, due <= now { knock(at: now, &effects) }
        if raft.nextDeadline <= now { raft.step(.tick, at: now) }
    }

    /// Carries out everything that is ready.
    private mutating func settle(at now: LogicalInstant, _ effects: inout Effects<GroupMessage>) {
        while let ready = raft.takeReady(at: now) {
            for envelope in ready.messages { post(envelope, &effects) }
            if let persist = ready.persist {
                waitingWrites.append(persist)
                if options.mutant == .answersBeforeSync { for envelope in persist.answers { post(envelope, &effects) } }
                if options.mutant == .persistedBeforeSync { raft.step(.persisted(persist.sequence), at: now) }
            }
            faults += ready.faults
            if let snapshot = ready.install, options.mutant != .skipsInstall || machine.applied == .zero {
                install(snapshot, &effects)
            }
            for entry in ready.committed { apply(entry, &effects) }
            for read in ready.reads {
                if let at = readers.firstIndex(where: { $0.id == read.id }) { readers[at].index = read.index }
            }
            for read in ready.failedReads {
                guard let at = readers.firstIndex(where: { $0.id == read }) else { continue }
                let reader = readers.remove(at: at)
                reply(.refused(hint: raft.leader.flatMap(GroupLedger.host)), to: reader.request, at: reader.address, &effects)
            }
            answerReaders(&effects)
            takeSnapshot()
            begin(&effects)
            if !ready.faults.isEmpty {
                // Not this store any more: its name is taken away, and then the process ends.
                let steps: [DiskStep] = [.remove(LogStore.nameFile), .syncFolder]
                effects.jobs.append(DiskJob(ticket: Self.setAside, steps: steps))
            }
        }
        if options.mutant == .refusesUnknown, !raft.isLeader {
            for caller in callers { reply(.refused(hint: nil), to: caller.request, at: caller.address, &effects) }
            callers = []
        }
    }

    private func post(_ envelope: Envelope, _ effects: inout Effects<GroupMessage>) {
        guard let to = GroupLedger.host(of: envelope.to) else { return }
        effects.send(.peer(envelope.message, from: id, to: envelope.to), to: to)
    }

    // MARK: - The disk

    /// Gives everything that waits to the disk, in one batch; one batch is under way at a time.
    private mutating func begin(_ effects: inout Effects<GroupMessage>) {
        guard !isFlying, !waitingWrites.isEmpty else { return }
        flying = waitingWrites
        waitingWrites = []
        write(flying, &effects)
    }

    private mutating func write(_ batch: [Persist], _ effects: inout Effects<GroupMessage>) {
        isFlying = true
        logBefore = log
        ticket += 1
        var steps = options.mutant == .dropsBeforeSnapshot ? dropping(batch) : []
        steps += log.steps(for: batch)
        effects.jobs.append(DiskJob(ticket: ticket, steps: steps))
    }

    private mutating func dropping(_ batch: [Persist]) -> [DiskStep] {
        guard let snapshot = batch.compactMap(\.snapshot).last else { return [] }
        return log.dropping(through: snapshot.id.index)
    }

    private mutating func diskFinished(
        _ ticket: UInt64, _ failure: DiskFailure?, at now: LogicalInstant, _ effects: inout Effects<GroupMessage>
    ) {
        switch failure {
        case .full?:
            guard isOpen else {
                effects.exit = "the disk is full"
                return
            }
            // Nothing of the batch counts; the same again when there is room.
            log = logBefore
            retryAt = now + .milliseconds(200)
            return
        case .inputOutput?:
            // Never tried again on the same files: only a start that reads them knows what is there (rule C3).
            guard options.mutant == .ignoresSyncError, isOpen else {
                effects.exit = "the disk failed"
                return
            }
        case nil: break
        }
        guard isOpen else {
            isOpen = true
            knockAt = now
            return
        }
        if ticket == Self.setAside { effects.exit = "its store is set aside: \(raft.fault.map { "\($0)" } ?? "no fault")" }
        guard ticket == self.ticket else { return }
        isFlying = false
        let done = flying
        flying = []
        persisted += done
        if options.mutant != .answersBeforeSync {
            for write in done { for envelope in write.answers { post(envelope, &effects) } }
        }
        if let last = done.last { raft.step(.persisted(last.sequence), at: now) }
        if done.contains(where: { $0.snapshot != nil }) {
            let steps = log.dropping(through: raft.snapshot.id.index)
            // Its end is of no interest: a segment that is left is only passed over.
            if !steps.isEmpty { effects.jobs.append(DiskJob(ticket: .max, steps: steps)) }
        }
        begin(&effects)
    }

    // MARK: - The state machine

    private mutating func apply(_ entry: Entry, _ effects: inout Effects<GroupMessage>) {
        let done = machine.apply(entry, remembersSessions: options.mutant != .forgetsSessions)
        if options.mutant == .appliesOtherwise, host == 0 { machine.goAstray() }
        applied.append(
            Applied(entry: entry, state: machine.fingerprint, request: done?.request, isFresh: done?.isFresh ?? false))
        guard let at = callers.firstIndex(where: { $0.entry.index == entry.id.index }) else { return }
        let caller = callers.remove(at: at)
        if caller.entry == entry.id, let done {
            reply(done.outcome, to: done.request, at: caller.address, &effects)
        } else if options.mutant == .answersByIndex {
            reply(.written, to: caller.request, at: caller.address, &effects)
        } else {
            // Another entry stands in its place: it never happened.
            reply(.refused(hint: nil), to: caller.request, at: caller.address, &effects)
        }
    }

    private mutating func install(_ snapshot: Snapshot, _ effects: inout Effects<GroupMessage>) {
        guard let restored = KeyValueMachine(encoded: snapshot.data) else {
            effects.exit = "snapshot \(snapshot.id) cannot be read"
            return
        }
        machine = restored
        // Of requests behind it nobody here knows how they ended: their clients will ask again.
        callers.removeAll { $0.entry.index <= snapshot.id.index }
    }

    private mutating func takeSnapshot() {
        guard machine.applied == raft.log.applied, !raft.isTakingSnapshot,
            machine.applied.number >= raft.snapshot.id.index.number + options.snapshotEvery
        else { return }
        raft.takeSnapshot(machine.encoded, at: machine.applied)
    }

    // MARK: - Clients

    private mutating func take(_ request: ClientRequest, from address: Int, _ effects: inout Effects<GroupMessage>) {
        if case .get(let key) = request.operation {
            if options.mutant == .readsWithoutRound, raft.isLeader {
                return reply(.value(machine.value(of: key)), to: request, at: address, &effects)
            }
            guard readers.count < 100 else { return }
            lastRead += 1
            readers.append(Reader(id: lastRead, address: address, request: request))
            raft.read(lastRead)
            return
        }
        guard callers.count < 1_000, let entry = try? raft.propose(request.bytes) else {
            return reply(.refused(hint: raft.leader.flatMap(GroupLedger.host)), to: request, at: address, &effects)
        }
        callers.append(Caller(entry: entry, address: address, request: request))
    }

    private mutating func answerReaders(_ effects: inout Effects<GroupMessage>) {
        guard !readers.isEmpty else { return }
        let isReady = { [machine, options] (reader: Reader) in
            reader.index.map { $0 <= machine.applied || options.mutant == .readsTooEarly } ?? false
        }
        for reader in readers where isReady(reader) {
            guard case .get(let key) = reader.request.operation else { continue }
            reply(.value(machine.value(of: key)), to: reader.request, at: reader.address, &effects)
        }
        readers.removeAll(where: isReady)
    }

    private func reply(
        _ outcome: ClientReply.Outcome, to request: ClientRequest, at address: Int, _ effects: inout Effects<GroupMessage>
    ) {
        effects.send(
            .reply(ClientReply(session: request.session, number: request.number, outcome: outcome)), to: address)
    }
}
