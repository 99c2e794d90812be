package import AgentCore
import Model
package import Replication
package import Wire

extension LeaseRequest: WireCodable {
    package init(wire: ProtoLeaseRequest) throws(WireError) {
        self.init(number: wire.number, revision: try Revision(wire: wire.revision))
    }

    package var wire: ProtoLeaseRequest {
        var wire = ProtoLeaseRequest()
        wire.number = number
        wire.revision = revision.wire
        return wire
    }
}

extension LeaseGrant: WireCodable {
    /// Exclusions in one grant: far above what a grantor lists.
    private static let mostExclusions = 65_536

    package init(wire: ProtoLeaseGrant) throws(WireError) {
        guard wire.exclusions.count <= Self.mostExclusions else {
            throw WireError("LeaseGrant.exclusions", .invalid("more than \(Self.mostExclusions)"))
        }
        var exclusions: [LeaseExclusion] = []
        for exclusion in wire.exclusions {
            exclusions.append(
                LeaseExclusion(
                    partition: try Check.identifier(exclusion.partition, "Exclusion.partition"),
                    epoch: try Check.epoch(exclusion.epoch, "Exclusion.epoch")))
        }
        self.init(
            number: wire.number, duration: try Check.span(wire.durationUs, "LeaseGrant.duration_us"), exclusions: exclusions)
    }

    package var wire: ProtoLeaseGrant {
        var wire = ProtoLeaseGrant()
        wire.number = number
        wire.durationUs = duration.microseconds
        wire.exclusions = exclusions.map { exclusion in
            var wire = ProtoLeaseGrant.Exclusion()
            wire.partition = exclusion.partition.number
            wire.epoch = exclusion.epoch.number
            return wire
        }
        return wire
    }
}

extension PeerMessage: WireCodable {
    package init(wire: ProtoPeerFrame) throws(WireError) {
        switch try Check.present(wire.frame, "PeerFrame.frame") {
        case .replication(let message): self = .replication(try ReplicationMessage(wire: message))
        case .leaseRequest(let request): self = .leaseRequest(try LeaseRequest(wire: request))
        case .leaseGrant(let grant): self = .leaseGrant(try LeaseGrant(wire: grant))
        }
    }

    package var wire: ProtoPeerFrame {
        var wire = ProtoPeerFrame()
        switch self {
        case .replication(let message): wire.replication = message.wire
        case .leaseRequest(let request): wire.leaseRequest = request.wire
        case .leaseGrant(let grant): wire.leaseGrant = grant.wire
        }
        return wire
    }
}
