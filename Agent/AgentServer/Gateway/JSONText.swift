import HTTPTypes
import Hummingbird
import KeyEncoding
import Model
import NIOCore
import RoutingTable

/// JSON as the gateway writes it: straight to text, because rows are many.
enum JSONText {
    static func object(_ members: [(name: String, value: String)]) -> String {
        "{" + members.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",") + "}"
    }

    static func array(_ elements: [String]) -> String { "[" + elements.joined(separator: ",") + "]" }

    static func optional(_ text: String?) -> String { text.map { JSONScalar.string($0).text } ?? "null" }

    /// A row as an object of its columns; names need no escaping.
    static func row(_ values: [Value], of columns: [Column]) -> String {
        var text = "{"
        for (column, value) in zip(columns, values) {
            if text.utf8.count > 1 { text += "," }
            text += "\"\(column.name)\":\(value.json.text)"
        }
        return text + "}"
    }

    static func position(_ position: Position) -> String {
        object([
            ("epoch", String(position.epoch.number)), ("run", String(position.run)), ("sequence", String(position.sequence)),
        ])
    }

    static func response(_ status: HTTPResponse.Status, _ text: String, type: String = "application/json") -> Response {
        var headers = HTTPFields()
        headers[.contentType] = type
        headers[.contentLength] = String(text.utf8.count)
        headers[.cacheControl] = "no-store"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

/// Routes as callers keep them.
enum RouteText {
    /// `{id, epoch, primary, gateway, from, to, replicas}`; the bounds are keys as URLs write them, null where there is none.
    static func partition(_ partition: PartitionDescriptor, in routes: Routes) -> String {
        let layout = routes.table(partition.table).map { KeyLayout($0.table) }
        let bound: (Key?) -> String = { key in
            // A bound that is no key of the table cannot have been committed; without its layout the table is gone.
            JSONText.optional(key.flatMap { key in key == .least ? nil : layout.flatMap { try? $0.text(of: key) } })
        }
        let replicas = partition.replicas.map { replica in
            JSONText.object([
                ("node", JSONScalar.string(replica.node.name).text), ("role", JSONScalar.string(replica.role.rawValue).text),
                ("gateway", JSONText.optional(routes.node(replica.node)?.addresses.service)),
            ])
        }
        return JSONText.object([
            ("id", partition.id.description), ("epoch", String(partition.epoch.number)),
            ("primary", JSONText.optional(partition.primary?.name)),
            ("gateway", JSONText.optional(partition.primary.flatMap { routes.node($0)?.addresses.service })),
            ("from", bound(partition.range.low)), ("to", bound(partition.range.high)), ("replicas", JSONText.array(replicas)),
        ])
    }

    /// What a caller needs to route a whole table by itself.
    static func table(_ table: TableRoutes, in routes: Routes) -> String {
        let columns = table.table.columns.map {
            JSONText.object([
                ("name", JSONScalar.string($0.name.name).text), ("type", JSONScalar.string($0.type.rawValue).text),
            ])
        }
        return JSONText.object([
            ("table", JSONScalar.string(table.table.name.name).text),
            ("revision", JSONScalar.string(routes.revision.description).text), ("columns", JSONText.array(columns)),
            ("partition_key", JSONScalar.string(table.table.partitionKey.name).text),
            ("sort_key", JSONText.optional(table.table.sortKey?.name)),
            ("partitions", JSONText.array(table.partitions.map { partition($0, in: routes) })),
        ])
    }
}
