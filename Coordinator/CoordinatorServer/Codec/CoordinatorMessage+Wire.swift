import Catalog
import Consensus
package import CoordinatorCore
import Model
package import Wire

extension CoordinatorMessage: WireCodable {
    package init(wire: ProtoCoordinatorMessage) throws(WireError) {
        switch try Check.present(wire.message, "CoordinatorMessage.message") {
        case .raft(let message): self = .raft(try Message(wire: message))
        case .command(let command):
            guard command.hasEntry else { throw WireError("Command.entry", .missing) }
            let entry = try CatalogEntry(wire: command.entry)
            self = .command(
                ProposedCommand(
                    command: entry.command, actor: entry.actor, reason: entry.reason, requestID: entry.requestID,
                    fingerprint: entry.fingerprint, traceID: entry.traceID), number: command.number,
                knownUpTo: LogIndex(try Check.counter(command.knownUpTo, "Command.known_up_to")))
        case .outcome(let outcome): self = .outcome(try CommandOutcome(wire: outcome), number: outcome.number)
        case .deaths(let report):
            self = .deaths(
                DeathReport(
                    try Check.list(
                        report.deaths, "DeathReport.deaths", atMost: FoundDeath.mostOfReport, FoundDeath.init(wire:)),
                    witness: try Check.node(report.witness, "DeathReport.witness")))
        case .load(let report): self = .load(try NodeReport(wire: report))
        case .waiting(let store): self = .waiting(try Check.member(store, "CoordinatorMessage.waiting"))
        case .mark(let mark):
            self = .mark(
                StateMark(index: LogIndex(try Check.counter(mark.index, "Mark.index")), form: mark.form, hash: mark.hash))
        case .heldKeys(let held): self = .gossipKeysHeld(try HeldGossipKeys(wire: held))
        case .clocks(let clocks):
            self = .failoverClocks(
                FailoverClocks(
                    detect: clocks.hasDetectUs ? try Check.span(clocks.detectUs, "FailoverClocks.detect_us") : nil,
                    decide: clocks.hasDecideUs ? try Check.span(clocks.decideUs, "FailoverClocks.decide_us") : nil,
                    recover: clocks.hasRecoverUs ? try Check.span(clocks.recoverUs, "FailoverClocks.recover_us") : nil),
                of: LogIndex(try Check.counter(clocks.incident, "FailoverClocks.incident")))
        }
    }

    package var wire: ProtoCoordinatorMessage {
        var wire = ProtoCoordinatorMessage()
        switch self {
        case .raft(let message): wire.raft = message.wire
        case .command(let command, let number, let known):
            let entry = CatalogEntry(
                command: command.command, actor: command.actor, reason: command.reason, requestID: command.requestID,
                fingerprint: command.fingerprint, traceID: command.traceID, time: WallTime(milliseconds: 0))
            wire.command.entry = entry.wire
            wire.command.number = number
            wire.command.knownUpTo = known.number
        case .outcome(let outcome, let number):
            outcome.write(to: &wire.outcome)
            wire.outcome.number = number
        case .deaths(let report):
            wire.deaths.deaths = report.found.map(\.wire)
            wire.deaths.witness = report.witness.name
        case .load(let report): wire.load = report.wire
        case .waiting(let store): wire.waiting = store.description
        case .mark(let mark):
            wire.mark.index = mark.index.number
            wire.mark.form = mark.form
            wire.mark.hash = mark.hash
        case .gossipKeysHeld(let held): wire.heldKeys = held.wire
        case .failoverClocks(let clocks, let incident):
            wire.clocks.incident = incident.number
            if let detect = clocks.detect { wire.clocks.detectUs = detect.microseconds }
            if let decide = clocks.decide { wire.clocks.decideUs = decide.microseconds }
            if let recover = clocks.recover { wire.clocks.recoverUs = recover.microseconds }
        }
        return wire
    }
}

extension CommandOutcome {
    init(wire: ProtoCoordinatorMessage.Outcome) throws(WireError) {
        switch try Check.present(wire.outcome, "Outcome.outcome") {
        case .done(let done):
            guard done.hasResult, done.hasRevision else { throw WireError("Done.result", .missing) }
            self = .done(try CommandResult(wire: done.result), try Revision(wire: done.revision))
        case .noLeader(let marker):
            try Check.marker(marker, "Outcome.no_leader")
            self = .noLeader
        case .unknown(let marker):
            try Check.marker(marker, "Outcome.unknown")
            self = .unknown
        case .overloaded(let detail): self = .overloaded(try Check.text(detail, "Outcome.overloaded"))
        case .diskFull(let detail): self = .diskFull(try Check.text(detail, "Outcome.disk_full"))
        }
    }

    func write(to wire: inout ProtoCoordinatorMessage.Outcome) {
        switch self {
        case .done(let result, let revision):
            wire.done.result = result.wire
            wire.done.revision = revision.wire
        case .noLeader: wire.noLeader = true
        case .unknown: wire.unknown = true
        case .overloaded(let detail): wire.overloaded = detail
        case .diskFull(let detail): wire.diskFull = detail
        }
    }
}
