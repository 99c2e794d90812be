import FoundationEssentials
package import Membership
import Model
package import Wire

extension MemberKind: WireEnumeration {
    package var wire: ProtoMemberKind {
        switch self {
        case .agent: .agent
        case .coordinator: .coordinator
        }
    }
}

extension MemberStatus: WireEnumeration {
    package var wire: ProtoMemberStatus {
        switch self {
        case .alive: .alive
        case .suspect: .suspect
        case .dead: .dead
        case .left: .left
        }
    }
}

extension ProtoMemberRecord {
    /// Whether it is of a kind, or says a status, for which only a later version has a word. One that names none is malformed.
    fileprivate var isOfLaterVersion: Bool {
        if case .UNRECOGNIZED = kind { return true }
        if case .UNRECOGNIZED = status { return true }
        return false
    }
}

extension MemberRecord: WireCodable {
    package init(wire: ProtoMemberRecord) throws(WireError) {
        func address(_ text: String, _ field: String) throws(WireError) -> String {
            try Check.text(text, field, atMost: MemberProfile.addressBytes)
        }
        self.init(
            node: try Check.node(wire.node, "MemberRecord.node"),
            life: Life(
                generation: try Check.identifier(wire.generation, "MemberRecord.generation"),
                incarnation: try Check.counter(wire.incarnation, "MemberRecord.incarnation")),
            status: try MemberStatus(wire: wire.status, "MemberRecord.status"),
            profile: MemberProfile(
                kind: try MemberKind(wire: wire.kind, "MemberRecord.kind"),
                zone: try Check.formed(wire.zone, "MemberRecord.zone", as: ZoneName.init(_:)),
                gossip: try address(wire.gossip, "MemberRecord.gossip"), link: try address(wire.link, "MemberRecord.link"),
                store: StoreID(wire.store), session: try Check.identifier(wire.session, "MemberRecord.session"),
                versions: ProtocolVersions(
                    oldest: UInt8(try Check.count(wire.oldestVersion, "MemberRecord.oldest_version", atMost: 255)),
                    newest: UInt8(try Check.count(wire.newestVersion, "MemberRecord.newest_version", atMost: 255))),
                metadata: try Check.bytes(wire.metadata, "MemberRecord.metadata", atMost: MemberProfile.metadataBytes)),
            accuser: wire.hasAccuser ? try Check.node(wire.accuser, "MemberRecord.accuser") : nil, refused: wire.refused)
    }

    package var wire: ProtoMemberRecord {
        var wire = ProtoMemberRecord()
        wire.node = node.name
        wire.generation = life.generation.number
        wire.incarnation = life.incarnation
        wire.status = status.wire
        wire.kind = profile.kind.wire
        wire.zone = profile.zone.name
        wire.gossip = profile.gossip
        wire.link = profile.link
        wire.store = profile.store.number
        wire.session = profile.session.number
        if let accuser { wire.accuser = accuser.name }
        wire.refused = refused
        wire.oldestVersion = UInt32(profile.versions.oldest)
        wire.newestVersion = UInt32(profile.versions.newest)
        if !profile.metadata.isEmpty { wire.metadata = Data(profile.metadata) }
        return wire
    }
}

extension SwimMessage: WireCodable {
    package init(wire: ProtoSwimMessage) throws(WireError) {
        guard wire.rumours.count <= Self.mostRumours else {
            throw WireError("SwimMessage.rumours", .tooLarge(count: wire.rumours.count, limit: Self.mostRumours))
        }
        // While a cluster is upgraded, what older members cannot understand must not hide from them what else was told.
        let known = wire.rumours.filter { !$0.isOfLaterVersion }
        self.init(
            from: try Check.node(wire.from, "SwimMessage.from"),
            life: Life(
                generation: try Check.identifier(wire.generation, "SwimMessage.generation"),
                incarnation: try Check.counter(wire.incarnation, "SwimMessage.incarnation")),
            revision: try Revision(wire: wire.revision),
            body: try Self.body(Check.present(wire.body, "SwimMessage.body")),
            digest: wire.hasDigest
                ? TableDigest(
                    sums: try Check.list(wire.digest.sums, "Digest.sums", atMost: TableDigest.mostSums) { $0 },
                    answer: wire.digest.answer)
                : nil,
            rumours: try Check.list(known, "SwimMessage.rumours", MemberRecord.init(wire:)),
            unknownRumours: wire.rumours.count - known.count)
    }

    private static func body(_ wire: ProtoSwimMessage.OneOf_Body) throws(WireError) -> Body {
        switch wire {
        case .ping(let ping):
            return .ping(sequence: ping.sequence, target: try Check.node(ping.target, "Ping.target"))
        case .pingRequest(let request):
            return .pingRequest(
                sequence: request.sequence, target: try Check.node(request.target, "PingRequest.target"),
                address: try Check.text(request.address, "PingRequest.address", atMost: MemberProfile.addressBytes))
        case .ack(let sequence): return .ack(sequence: sequence)
        case .nack(let sequence): return .nack(sequence: sequence)
        case .gossip(let marker):
            try Check.marker(marker, "SwimMessage.gossip")
            return .gossip
        case .records(let marker):
            try Check.marker(marker, "SwimMessage.records")
            return .records
        }
    }

    package var wire: ProtoSwimMessage {
        var wire = ProtoSwimMessage()
        wire.from = from.name
        wire.generation = life.generation.number
        wire.incarnation = life.incarnation
        wire.revision = revision.wire
        wire.rumours = rumours.map(\.wire)
        if let digest {
            wire.digest.sums = digest.sums
            wire.digest.answer = digest.answer
        }
        switch body {
        case .ping(let sequence, let target):
            wire.ping.sequence = sequence
            wire.ping.target = target.name
        case .pingRequest(let sequence, let target, let address):
            wire.pingRequest.sequence = sequence
            wire.pingRequest.target = target.name
            wire.pingRequest.address = address
        case .ack(let sequence): wire.ack = sequence
        case .nack(let sequence): wire.nack = sequence
        case .gossip: wire.gossip = true
        case .records: wire.records = true
        }
        return wire
    }
}
