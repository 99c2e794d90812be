import FoundationEssentials
package import Model

/// A delta as a coordinator wrote it, with that coordinator's signature: whoever trusts the cluster's authority can check it, from
/// whoever it comes (rules E2, T2).
package struct SignedDelta: Hashable, Sendable {
    package let delta: TopologyDelta
    /// `delta` as it was written. Another version of this program might write it otherwise.
    package let bytes: [UInt8]
    /// Over `bytes`, 64 bytes; nil where nobody has signed, as in older versions.
    package let signature: [UInt8]?

    /// - Parameter sign: makes the signature over what it is given.
    package init(_ delta: TopologyDelta, sign: ([UInt8]) -> [UInt8]? = { _ in nil }) {
        self.delta = delta
        bytes = delta.serialized()
        signature = sign(bytes)
    }

    /// - Throws: `WireError` when `bytes` are no delta, or `signature` cannot be one.
    package init(bytes: [UInt8], signature: [UInt8]?) throws(WireError) {
        delta = try TopologyDelta(bytes: bytes)
        if let signature, signature.count != Self.signatureBytes {
            throw WireError("delta_signature", .invalid("\(signature.count) bytes"))
        }
        self.bytes = bytes
        self.signature = signature
    }

    package static let signatureBytes = 64
}

/// What an agent asks another that tells of a newer revision.
package struct TopologyQuestion: Hashable, Sendable, WireCodable {
    package let after: Revision

    package init(after: Revision) { self.after = after }

    package init(wire: ProtoTopologyQuestion) throws(WireError) { after = try Revision(wire: wire.after) }

    package var wire: ProtoTopologyQuestion {
        var wire = ProtoTopologyQuestion()
        wire.after = after.wire
        return wire
    }
}

/// What follows on the revision that was asked for, one delta behind the other, each with the certificate of who signed it.
package struct TopologyAnswer: Hashable, Sendable, WireCodable {
    /// Deltas of one answer; who is further behind asks again.
    package static let mostDeltas = 256
    /// Coordinators that may have signed them.
    package static let mostSigners = 16

    package struct Part: Hashable, Sendable {
        package let signed: SignedDelta
        /// The signer's certificate, DER.
        package let signer: [UInt8]

        package init(signed: SignedDelta, signer: [UInt8]) {
            self.signed = signed
            self.signer = signer
        }
    }

    package let parts: [Part]

    /// - Parameter parts: `mostDeltas` at most, of `mostSigners` signers at most.
    package init(_ parts: [Part]) { self.parts = parts }

    package init(wire: ProtoTopologyAnswer) throws(WireError) {
        let signers = try Check.list(wire.signers, "TopologyAnswer.signers", atMost: Self.mostSigners) {
            (signer) throws(WireError) in
            try Check.bytes(signer, "TopologyAnswer.signers", atMost: WireLimits.certificateBytes)
        }
        parts = try Check.list(wire.deltas, "TopologyAnswer.deltas", atMost: Self.mostDeltas) { (part) throws(WireError) in
            guard part.signer < signers.count else { throw WireError("Signed.signer", .invalid("\(part.signer) is none")) }
            return Part(
                signed: try SignedDelta(bytes: Array(part.delta), signature: Array(part.signature)),
                signer: signers[Int(part.signer)])
        }
    }

    package var wire: ProtoTopologyAnswer {
        var wire = ProtoTopologyAnswer()
        var places: [[UInt8]: UInt32] = [:]
        for part in parts {
            let place = places[part.signer] ?? UInt32(places.count)
            if places.updateValue(place, forKey: part.signer) == nil { wire.signers.append(Data(part.signer)) }
            var entry = ProtoTopologyAnswer.Signed()
            entry.delta = Data(part.signed.bytes)
            entry.signature = Data(part.signed.signature ?? [])
            entry.signer = place
            wire.deltas.append(entry)
        }
        return wire
    }
}
