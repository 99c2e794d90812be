import Model
import RoutingTable

/// `/v1/route`: where a key lives, at the revision of this node's routing table.
struct RouteDocument: Encodable {
    struct Replica: Encodable {
        let nodeID: String
        let role: String
        let gateway: String?

        private enum CodingKeys: String, CodingKey {
            case nodeID = "node_id"
            case role, gateway
        }
    }

    let table: String
    let partitionID: UInt64
    let epoch: UInt64
    let primary: String?
    /// The primary's gateway, `host:port`.
    let gateway: String?
    let replicas: [Replica]
    let revision: String

    private enum CodingKeys: String, CodingKey {
        case table
        case partitionID = "partition_id"
        case epoch, primary, gateway, replicas, revision
    }

    init(_ route: Routes.Route, in routes: Routes) {
        table = route.table.name.name
        partitionID = route.partition.id.number
        epoch = route.partition.epoch.number
        primary = route.partition.primary?.name
        gateway = route.partition.primary.flatMap { routes.node($0)?.addresses.service }
        replicas = route.partition.replicas.map { replica in
            Replica(
                nodeID: replica.node.name,
                role: replica.node == route.partition.primary ? "primary" : replica.role == .inSync ? "in-sync" : "learner",
                gateway: routes.node(replica.node)?.addresses.service)
        }
        revision = routes.revision.description
    }
}
