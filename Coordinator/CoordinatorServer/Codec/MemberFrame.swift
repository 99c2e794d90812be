package import Consensus
package import CoordinatorCore
package import Model
package import Wire

/// A message between coordinators with the members that it is from and for.
///
/// The link's first frame has proved the cluster and the node; a node's store may have changed since the other side heard of it, and
/// a vote or an acknowledgement of one store must never count for another.
package struct MemberFrame: Hashable, Sendable, WireCodable {
    package let from: MemberID
    /// Nil only where the sender cannot know it: it waits to be let in, or passes that on.
    package let to: MemberID?
    package let message: CoordinatorMessage

    package init(from: MemberID, to: MemberID?, message: CoordinatorMessage) {
        self.from = from
        self.to = to
        self.message = message
    }

    package init(wire: ProtoCoordinatorMessage) throws(WireError) {
        self.init(
            from: try Check.member(wire.from, "CoordinatorMessage.from"),
            to: wire.to.isEmpty ? nil : try Check.member(wire.to, "CoordinatorMessage.to"),
            message: try CoordinatorMessage(wire: wire))
    }

    package var wire: ProtoCoordinatorMessage {
        var wire = message.wire
        wire.from = from.description
        if let to { wire.to = to.description }
        return wire
    }
}

/// Why a message was not taken, or not sent; a label of the metric, so there are few.
package enum MessageDrop: String, CaseIterable, Sendable {
    /// Its bytes make no message.
    case malformed
    /// The sender is not the store that the link's other end has.
    case sender
    /// It is for another store of this node, or for nobody.
    case receiver
    /// The link is down.
    case unconnected
    /// The peer takes less than it is sent.
    case full
}

extension MemberFrame {
    /// What is wrong with the frame at member `receiver`, on a link whose other end is `node` with the data folder `store`.
    ///
    /// A founding member's name holds no store: which one it is, its own folder knows.
    package func fault(at receiver: MemberID, from node: NodeID, store: StoreID) -> MessageDrop? {
        guard from.node == node, from.store.map({ $0 == store }) ?? true else { return .sender }
        if let to { return to == receiver ? nil : .receiver }
        guard case .waiting = message else { return .receiver }
        return nil
    }
}
