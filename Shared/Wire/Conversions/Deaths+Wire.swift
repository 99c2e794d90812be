package import Model

extension FoundDeath: WireCodable {
    package init(wire: ProtoFoundDeath) throws(WireError) {
        let gossip = try Check.text(wire.gossip, "FoundDeath.gossip", atMost: Self.addressBytes)
        self.init(
            node: try Check.node(wire.node, "FoundDeath.node"),
            session: try Check.identifier(wire.session, "FoundDeath.session"),
            generation: try Check.identifier(wire.generation, "FoundDeath.generation"),
            process: gossip.isEmpty ? nil : Process(store: StoreID(wire.store), gossip: gossip),
            accusers: try Check.list(wire.accusers, "FoundDeath.accusers", atMost: Self.mostAccusers) {
                (name) throws(WireError) in try Check.node(name, "FoundDeath.accusers")
            }, localHealth: Int(wire.localHealth))
    }

    package var wire: ProtoFoundDeath {
        var wire = ProtoFoundDeath()
        wire.node = node.name
        wire.session = session.number
        wire.generation = generation.number
        if let process {
            wire.store = process.store.number
            wire.gossip = process.gossip
        }
        wire.accusers = accusers.map(\.name)
        wire.localHealth = UInt32(clamping: localHealth)
        return wire
    }
}
