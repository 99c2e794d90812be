package import Membership
import Model

// How long a message is on the wire: the same bytes as the codec's (which the tests of the transport compare), without making them.

extension SwimMessage {
    /// Version, key number, nonce and tag of the seal.
    private static let seal = 29

    package var encodedBytes: Int {
        var size = Self.seal + field(from.name) + field(life.generation.number) + field(life.incarnation)
        let revisionBytes = field(revision.history) + field(revision.index)
        size += 2 + revisionBytes
        for rumour in rumours { size += nested(rumour.encodedBytes) }
        switch body {
        case .ping(let sequence, let target): size += nested(field(sequence) + field(target.name))
        case .pingRequest(let sequence, let target, let address):
            size += nested(field(sequence) + field(target.name) + field(address))
        case .ack(let sequence), .nack(let sequence): size += 1 + varint(sequence)
        case .gossip, .records: size += 2
        }
        if let digest { size += nested(nested(4 * digest.sums.count) + (digest.answer ? 2 : 0)) }
        return size
    }
}

extension MemberRecord {
    fileprivate var encodedBytes: Int {
        field(node.name) + field(life.generation.number) + field(life.incarnation) + 4 + field(profile.zone.name)
            + field(profile.gossip) + field(profile.link) + 9 + field(profile.session.number)
            + (accuser.map { field($0.name) } ?? 0) + (refused ? 2 : 0) + 4
            + (profile.metadata.isEmpty ? 0 : nested(profile.metadata.count))
    }
}

private func varint(_ value: UInt64) -> Int { (70 - (value | 1).leadingZeroBitCount) / 7 }
private func nested(_ size: Int) -> Int { 1 + varint(UInt64(size)) + size }
private func field(_ text: String) -> Int { text.isEmpty ? 0 : nested(text.utf8.count) }
private func field(_ value: UInt64) -> Int { value == 0 ? 0 : 1 + varint(value) }
