package import Model

/// Where one coordinator of a new cluster will listen.
package struct CoordinatorSpec: Hashable, Sendable {
    package let node: NodeID
    package let zone: ZoneName
    package let host: String
    package var api = 7_401
    package var link = 7_411
    package var gossip = 7_421
    package var metrics = 7_431

    package init(node: NodeID, zone: ZoneName, host: String) {
        self.node = node
        self.zone = zone
        self.host = host
    }

    package func address(_ port: Int) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
