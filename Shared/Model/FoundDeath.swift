/// What a failure detector holds of the end of one life (rule F1), and how far it is to be trusted.
package struct FoundDeath: Hashable, Sendable {
    /// So many are named; more make nobody wiser.
    package static let mostAccusers = 8
    /// Told of together: of more, the rest follows in another report.
    package static let mostOfReport = 256

    package let node: NodeID
    /// `.none` when it is not known; then `generation` tells the lives apart.
    package let session: SessionID
    package let generation: Generation
    /// Who accused it, as far as the finder heard: the first `mostAccusers`; itself, if it took its leave.
    package let accusers: [NodeID]
    /// The finder's own: 0 is healthy, and the more, the later did it answer, or was it answered.
    package let localHealth: Int

    package init(
        node: NodeID, session: SessionID, generation: Generation, accusers: [NodeID] = [], localHealth: Int = 0
    ) {
        self.node = node
        self.session = session
        self.generation = generation
        self.accusers = Array(accusers.prefix(Self.mostAccusers))
        self.localHealth = localHealth
    }
}
