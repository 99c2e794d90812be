// Replication messages as protocol buffers. What comes from a peer is checked here for form; what it means is the core's to judge.

import FoundationEssentials
import Model
package import Replication
package import Wire

extension LogPoint: WireCodable {
    package init(wire: ProtoLogPoint) throws(WireError) {
        self.init(position: try Position(wire: wire.position), checksum: wire.checksum)
    }

    package var wire: ProtoLogPoint {
        var wire = ProtoLogPoint()
        wire.position = position.wire
        wire.checksum = checksum
        return wire
    }
}

extension Entry: WireCodable {
    package init(wire: ProtoLogEntry) throws(WireError) {
        let body: EntryBody
        switch try Check.present(wire.body, "LogEntry.body") {
        case .opening(let marker):
            try Check.marker(marker, "LogEntry.opening")
            body = .opening
        case .write(let payload):
            let payload = try Check.bytes(payload, "LogEntry.write", atMost: Limits.batchBytes)
            body = .write(payload, wire.hasOnce ? try WriteOnce(wire: wire.once) : nil)
        case .verify(let operation): body = .verify(OperationID(try Check.counter(operation, "LogEntry.verify")))
        case .split(let operation): body = .split(OperationID(try Check.counter(operation, "LogEntry.split")))
        case .cancelSplit(let operation):
            body = .cancelSplit(OperationID(try Check.counter(operation, "LogEntry.cancel_split")))
        }
        self.init(position: try Position(wire: wire.position), body: body, checksum: wire.checksum)
    }

    package var wire: ProtoLogEntry {
        var wire = ProtoLogEntry()
        wire.position = position.wire
        wire.checksum = checksum
        switch body {
        case .opening: wire.opening = true
        case .write(let payload, let once):
            wire.write = Data(payload)
            if let once { wire.once = once.wire }
        case .verify(let operation): wire.verify = operation.number
        case .split(let operation): wire.split = operation.number
        case .cancelSplit(let operation): wire.cancelSplit = operation.number
        }
        return wire
    }
}

extension WriteOnce {
    init(wire: ProtoLogEntry.Once) throws(WireError) {
        self.init(
            key: try IdempotencyKey(high: wire.keyHigh, low: wire.keyLow, "Once.key"),
            horizon: try Check.wallTime(wire.horizon, "Once.horizon"))
    }

    var wire: ProtoLogEntry.Once {
        var wire = ProtoLogEntry.Once()
        (wire.keyHigh, wire.keyLow) = (key.high, key.low)
        wire.horizon = horizon.milliseconds
        return wire
    }
}

extension IdempotencyKey {
    init(high: UInt64, low: UInt64, _ field: String) throws(WireError) {
        guard let key = IdempotencyKey(high: high, low: low) else {
            throw WireError(field, .invalid("it is no version 7 UUID"))
        }
        self = key
    }
}

extension Term {
    init(epoch: UInt64, run: UInt64, _ field: String) throws(WireError) {
        self.init(epoch: try Check.epoch(epoch, "\(field).term_epoch"), run: try Check.counter(run, "\(field).term_run"))
    }
}

extension ReplicationMessage: WireCodable {
    package init(wire: ProtoReplicationMessage) throws(WireError) {
        self.init(
            partition: try Check.identifier(wire.partition, "ReplicationMessage.partition"),
            epoch: try Check.epoch(wire.epoch, "ReplicationMessage.epoch"), body: try Body(wire: wire.body))
    }

    package var wire: ProtoReplicationMessage {
        var wire = ProtoReplicationMessage()
        wire.partition = partition.number
        wire.epoch = epoch.number
        switch body {
        case .prepare(let prepare): wire.prepare = prepare.wire
        case .ack(let ack): wire.ack = ack.wire
        case .nack(let nack): wire.nack = nack.wire
        case .survey(let survey): wire.survey = survey.wire
        case .standing(let standing): wire.standing = standing.wire
        case .stale: wire.stale = true
        case .yielded: wire.yielded = true
        }
        return wire
    }
}

extension ReplicationMessage.Body {
    init(wire body: ProtoReplicationMessage.OneOf_Body?) throws(WireError) {
        switch try Check.present(body, "ReplicationMessage.body") {
        case .prepare(let prepare): self = .prepare(try ReplicationMessage.Prepare(wire: prepare))
        case .ack(let ack): self = .ack(try ReplicationMessage.Ack(wire: ack))
        case .nack(let nack): self = .nack(try ReplicationMessage.Nack(wire: nack))
        case .survey(let survey): self = .survey(try ReplicationMessage.Survey(wire: survey))
        case .standing(let standing): self = .standing(try ReplicationMessage.Standing(wire: standing))
        case .stale(let marker):
            try Check.marker(marker, "ReplicationMessage.stale")
            self = .stale
        case .yielded(let marker):
            try Check.marker(marker, "ReplicationMessage.yielded")
            self = .yielded
        }
    }
}

extension ReplicationMessage.Prepare {
    init(wire: ProtoReplicationMessage.Prepare) throws(WireError) {
        var entries: [Entry] = []
        entries.reserveCapacity(wire.entries.count)
        for entry in wire.entries { entries.append(try Entry(wire: entry)) }
        self.init(
            term: try Term(epoch: wire.termEpoch, run: wire.termRun, "Prepare"), previous: try LogPoint(wire: wire.previous),
            entries: entries, commit: try Check.counter(wire.commit, "Prepare.commit"), wantsReply: wire.wantsReply,
            voucher: wire.hasVoucher
                ? Voucher(
                    incarnation: wire.voucher.incarnation,
                    spokenAt: LogicalInstant(microseconds: wire.voucher.spokenAt)) : nil)
    }

    var wire: ProtoReplicationMessage.Prepare {
        var wire = ProtoReplicationMessage.Prepare()
        wire.termEpoch = term.epoch.number
        wire.termRun = term.run
        wire.previous = previous.wire
        wire.entries = entries.map(\.wire)
        wire.commit = commit
        wire.wantsReply = wantsReply
        if let voucher {
            wire.voucher.incarnation = voucher.incarnation
            wire.voucher.spokenAt = voucher.spokenAt.microseconds
        }
        return wire
    }
}

extension ReplicationMessage.Ack {
    init(wire: ProtoReplicationMessage.Ack) throws(WireError) {
        var verified: ReplicationMessage.VerifyReport?
        if wire.hasVerified {
            verified = ReplicationMessage.VerifyReport(
                position: try Position(wire: wire.verified.position), checksum: wire.verified.checksum)
        }
        self.init(
            term: try Term(epoch: wire.termEpoch, run: wire.termRun, "Ack"),
            received: try Check.counter(wire.received, "Ack.received"), durable: try Check.counter(wire.durable, "Ack.durable"),
            verified: verified, incarnation: wire.incarnation, applied: try Check.counter(wire.applied, "Ack.applied"),
            spokenAt: LogicalInstant(microseconds: wire.spokenAt), isCopied: wire.isCopied)
    }

    var wire: ProtoReplicationMessage.Ack {
        var wire = ProtoReplicationMessage.Ack()
        wire.termEpoch = term.epoch.number
        wire.termRun = term.run
        wire.received = received
        wire.durable = durable
        if let verified {
            wire.verified.position = verified.position.wire
            wire.verified.checksum = verified.checksum
        }
        wire.incarnation = incarnation
        wire.applied = applied
        wire.spokenAt = spokenAt.microseconds
        wire.isCopied = isCopied
        return wire
    }
}

extension ReplicationMessage.Nack {
    init(wire: ProtoReplicationMessage.Nack) throws(WireError) {
        self.init(
            term: try Term(epoch: wire.termEpoch, run: wire.termRun, "Nack"),
            refused: try Check.counter(wire.refused, "Nack.refused"), hint: try Position(wire: wire.hint),
            committed: try Position(wire: wire.committed), wantsSnapshot: wire.wantsSnapshot, incarnation: wire.incarnation,
            heard: try Term(epoch: wire.heardEpoch, run: wire.heardRun, "Nack.heard"))
    }

    var wire: ProtoReplicationMessage.Nack {
        var wire = ProtoReplicationMessage.Nack()
        wire.termEpoch = term.epoch.number
        wire.termRun = term.run
        wire.refused = refused
        wire.hint = hint.wire
        wire.committed = committed.wire
        wire.wantsSnapshot = wantsSnapshot
        wire.incarnation = incarnation
        wire.heardEpoch = heard.epoch.number
        wire.heardRun = heard.run
        return wire
    }
}

extension ReplicationMessage.Survey {
    init(wire: ProtoReplicationMessage.Survey) throws(WireError) {
        self.init(number: wire.number, point: try LogPoint(wire: wire.point))
    }

    var wire: ProtoReplicationMessage.Survey {
        var wire = ProtoReplicationMessage.Survey()
        wire.number = number
        wire.point = point.wire
        return wire
    }
}

extension ReplicationMessage.Standing {
    init(wire: ProtoReplicationMessage.Standing) throws(WireError) {
        var entries: [Entry] = []
        entries.reserveCapacity(wire.entries.count)
        for entry in wire.entries { entries.append(try Entry(wire: entry)) }
        self.init(
            number: wire.number, last: try LogPoint(wire: wire.last),
            heard: try Term(epoch: wire.heardEpoch, run: wire.heardRun, "Standing.heard"),
            common: wire.hasCommon ? try LogPoint(wire: wire.common) : nil, entries: entries)
    }

    var wire: ProtoReplicationMessage.Standing {
        var wire = ProtoReplicationMessage.Standing()
        wire.number = number
        wire.last = last.wire
        wire.heardEpoch = heard.epoch.number
        wire.heardRun = heard.run
        if let common { wire.common = common.wire }
        wire.entries = entries.map(\.wire)
        return wire
    }
}
