import FoundationEssentials
package import Model

/// What became of a registration.
package enum RegistrationOutcome: Hashable, Sendable {
    case registered(SessionID)
    /// Another store of the node had this generation, and whoever remembers it would take an earlier one for the past. Nothing was
    /// registered: register in a later generation.
    case preceded(Generation)
    /// This store had this later generation: the disk is a restored or a cloned one. Nothing was registered: register in a later
    /// generation, and vouch for nothing that the disk holds (rule E4).
    case wentBack(Generation)
    case refused(code: String, detail: String)
    /// No leader answered: ask again under the same request id.
    case unavailable
}

/// What a coordinator says of the group's leader.
package enum LeaderHint: Hashable, Sendable {
    case unknown
    /// The coordinator at the other end of this link leads.
    case here
    case elsewhere(NodeID, linkAddress: String)
}

/// What a coordinator says to an agent in its session.
package enum CoordinatorFrame: Hashable, Sendable, WireCodable {
    /// With the certificate of who signed it, DER, where that is another than before on this link.
    case delta(SignedDelta, signer: [UInt8]?)
    case snapshot(SnapshotChunk)
    case outcome(RequestID, ProposalOutcome)
    case registered(RequestID, RegistrationOutcome)
    case leader(LeaderHint)
    /// The leader was sure of its quorum after it was asked under this number (rules M4, R6). All that was committed before is in the
    /// topology at `revision`; coordinators of older versions do not say which it is.
    case quorumConfirmed(UInt64, revision: Revision?)
    case pong(UInt64)

    package init(wire: ProtoCoordinatorFrame) throws(WireError) {
        switch try Check.present(wire.frame, "CoordinatorFrame.frame") {
        case .delta(let delta):
            // On this link the delta needs neither: what cannot be handed on, as by a later way of signing, is good here.
            let signature = wire.deltaSignature.count == SignedDelta.signatureBytes ? Array(wire.deltaSignature) : nil
            let signer = (1...WireLimits.certificateBytes).contains(wire.signer.count) ? Array(wire.signer) : nil
            self = .delta(try SignedDelta(bytes: Array(delta), signature: signature), signer: signer)
        case .snapshot(let chunk): self = .snapshot(try SnapshotChunk(wire: chunk))
        case .outcome(let outcome):
            guard outcome.hasOutcome else { throw WireError("Outcome.outcome", .missing) }
            self = .outcome(
                try Check.formed(outcome.requestID, "Outcome.request_id", as: RequestID.init(_:)),
                try ProposalOutcome(wire: outcome.outcome))
        case .registered(let registered):
            let request = try Check.formed(registered.requestID, "Registered.request_id", as: RequestID.init(_:))
            self = .registered(request, try RegistrationOutcome(wire: registered))
        case .leader(let leader): self = .leader(try LeaderHint(wire: leader))
        case .quorumConfirmed(let number):
            self = .quorumConfirmed(number, revision: wire.hasRevision ? try Revision(wire: wire.revision) : nil)
        case .pong(let number): self = .pong(number)
        }
    }

    package var wire: ProtoCoordinatorFrame {
        var wire = ProtoCoordinatorFrame()
        switch self {
        case .delta(let signed, let signer):
            wire.delta = Data(signed.bytes)
            if let signature = signed.signature { wire.deltaSignature = Data(signature) }
            if let signer { wire.signer = Data(signer) }
        case .snapshot(let chunk): wire.snapshot = chunk.wire
        case .outcome(let request, let outcome):
            wire.outcome.requestID = request.text
            wire.outcome.outcome = outcome.wire
        case .registered(let request, let outcome):
            wire.registered.requestID = request.text
            outcome.write(to: &wire.registered)
        case .leader(let hint): wire.leader = hint.wire
        case .quorumConfirmed(let number, let revision):
            wire.quorumConfirmed = number
            if let revision { wire.revision = revision.wire }
        case .pong(let number): wire.pong = number
        }
        return wire
    }
}

extension RegistrationOutcome {
    init(wire: ProtoCoordinatorFrame.Registered) throws(WireError) {
        switch try Check.present(wire.result, "Registered.result") {
        case .session(let id): self = .registered(try Check.identifier(id, "Registered.session"))
        case .refused(let refusal):
            self = .refused(
                code: try Check.text(refusal.code, "Refusal.code"), detail: try Check.text(refusal.detail, "Refusal.detail"))
        case .unavailable(let marker):
            try Check.marker(marker, "Registered.unavailable")
            self = .unavailable
        case .preceded(let generation):
            self = .preceded(try Check.generation(generation, "Registered.preceded"))
        case .wentBack(let generation):
            self = .wentBack(try Check.generation(generation, "Registered.went_back"))
        }
    }

    func write(to wire: inout ProtoCoordinatorFrame.Registered) {
        switch self {
        case .registered(let session): wire.session = session.number
        case .refused(let code, let detail):
            wire.refused.code = code
            wire.refused.detail = detail
        case .unavailable: wire.unavailable = true
        case .preceded(let generation): wire.preceded = generation.number
        case .wentBack(let generation): wire.wentBack = generation.number
        }
    }
}

extension LeaderHint {
    init(wire: ProtoCoordinatorFrame.Leader) throws(WireError) {
        if wire.isSelf {
            self = .here
        } else if wire.hasNode {
            self = .elsewhere(
                try Check.node(wire.node, "Leader.node"), linkAddress: try Check.text(wire.linkAddress, "Leader.link_address"))
        } else {
            self = .unknown
        }
    }

    var wire: ProtoCoordinatorFrame.Leader {
        var wire = ProtoCoordinatorFrame.Leader()
        switch self {
        case .unknown: break
        case .here: wire.isSelf = true
        case .elsewhere(let node, let address):
            wire.node = node.name
            wire.linkAddress = address
        }
        return wire
    }
}
