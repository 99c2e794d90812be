/// What a failure detector holds of the end of one life (rule F1), and how far it is to be trusted.
package struct FoundDeath: Hashable, Sendable {
    /// So many are named; more make nobody wiser.
    package static let mostAccusers = 8
    /// Bytes of an address, as members tell them.
    package static let addressBytes = 96
    /// Told of together: of more, the rest follows in another report.
    package static let mostOfReport = 256

    /// One of those that may run under one name and count of starts: a copied folder makes two.
    package struct Process: Hashable, Sendable {
        package let store: StoreID
        /// `host:port` of its gossip socket.
        package let gossip: String

        package init(store: StoreID, gossip: String) {
            self.store = store
            self.gossip = gossip
        }
    }

    package let node: NodeID
    /// `.none` when it is not known; then `generation` tells the lives apart.
    package let session: SessionID
    package let generation: Generation
    /// Nil when the finder does not say.
    package let process: Process?
    /// Who accused it, as far as the finder heard: the first `mostAccusers`; itself, if it took its leave.
    package let accusers: [NodeID]
    /// The finder's own: 0 is healthy, and the more, the later did it answer, or was it answered.
    package let localHealth: Int

    package init(
        node: NodeID, session: SessionID, generation: Generation, process: Process? = nil, accusers: [NodeID] = [],
        localHealth: Int = 0
    ) {
        self.node = node
        self.session = session
        self.generation = generation
        self.process = process
        self.accusers = Array(accusers.prefix(Self.mostAccusers))
        self.localHealth = localHealth
    }
}
