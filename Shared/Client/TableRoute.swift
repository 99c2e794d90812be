// Where a table's rows are, as a value that refusals mend.

package import KeyEncoding
package import Model

package struct PartitionRoute: Hashable, Sendable {
    package let id: UInt64
    package let epoch: UInt64
    package let low: Key
    package let high: Key?
    /// The primary's gateway; nil while there is no primary.
    package let gateway: String?
    /// The gateways of all replicas.
    package let replicas: [String]
    /// Those of the in-sync ones, which answer reads that may be a little old.
    package let readable: [String]

    package init(
        id: UInt64, epoch: UInt64, low: Key, high: Key?, gateway: String?, replicas: [String], readable: [String] = []
    ) {
        self.readable = readable
        self.id = id
        self.epoch = epoch
        self.low = low
        self.high = high
        self.gateway = gateway
        self.replicas = replicas
    }

    /// - Parameter json: `{id, epoch, gateway, from, to, replicas: [{gateway, role}]}`, as gateways send it.
    package init?(_ json: JSONValue, layout: KeyLayout) {
        guard let id = json["id"]?.unsigned, let epoch = json["epoch"]?.unsigned else { return nil }
        func bound(_ name: String) -> Key?? {
            guard let value = json[name], value != .null else { return .some(nil) }
            guard let text = value.string, let key = try? layout.bound(text: text) else { return nil }
            return key
        }
        guard let low = bound("from"), let high = bound("to") else { return nil }
        let replicas = json["replicas"]?.array ?? []
        self.init(
            id: id, epoch: epoch, low: low ?? .least, high: high, gateway: json["gateway"]?.string,
            replicas: replicas.compactMap { $0["gateway"]?.string },
            readable: replicas.filter { $0["role"]?.string == ReplicaRole.inSync.rawValue }
                .compactMap { $0["gateway"]?.string })
    }

    package func contains(_ key: Key) -> Bool { low <= key && (high.map { key < $0 } ?? true) }

    func overlaps(_ other: PartitionRoute) -> Bool {
        (high.map { other.low < $0 } ?? true) && (other.high.map { low < $0 } ?? true)
    }
}

package struct TableRoute: Hashable, Sendable {
    package let table: String
    package let columns: [Column]
    package let layout: KeyLayout
    /// In key order, without a gap.
    package private(set) var partitions: [PartitionRoute]

    package init(table: String, columns: [Column], layout: KeyLayout, partitions: [PartitionRoute]) {
        self.table = table
        self.columns = columns
        self.layout = layout
        self.partitions = partitions.sorted { $0.low < $1.low }
    }

    /// - Parameter json: a gateway's answer to `GET /v1/tables/{table}/routes`.
    package init(_ json: JSONValue) throws(ClientError) {
        var columns: [Column] = []
        do throws(InvalidValue) {
            for column in json["columns"]?.array ?? [] {
                guard let name = column["name"]?.string, let type = column["type"]?.string.flatMap(ColumnType.init(rawValue:))
                else { continue }
                columns.append(Column(name: try RelationName(name, field: "column"), type: type))
            }
        } catch {
            throw .unexpectedAnswer("route: \(error)")
        }
        let keyNames = [json["partition_key"]?.string, json["sort_key"]?.string].compactMap { $0 }
        let keys = keyNames.compactMap { name in columns.first { $0.name.name == name } }
        guard let table = json["table"]?.string, !keys.isEmpty, keys.count == keyNames.count else {
            throw .unexpectedAnswer("a route without key columns")
        }
        let layout = KeyLayout(columns: keys)
        let partitions = (json["partitions"]?.array ?? []).compactMap { PartitionRoute($0, layout: layout) }
        guard !partitions.isEmpty else { throw .unexpectedAnswer("a route without partitions") }
        self.init(table: table, columns: columns, layout: layout, partitions: partitions)
    }

    package func partition(of key: Key) -> PartitionRoute? {
        var (low, high) = (0, partitions.count)
        while low < high {
            let middle = (low + high) / 2
            if partitions[middle].low <= key { low = middle + 1 } else { high = middle }
        }
        guard low > 0, partitions[low - 1].contains(key) else { return nil }
        return partitions[low - 1]
    }

    /// Takes in what a refusal says about one partition.
    ///
    /// - Returns: whether the route is whole and newer now. If not (the answer is as old as ours, or it covers only a part of what
    ///   it replaces, as after a split) the table's route is to be fetched anew.
    package mutating func mend(with newer: PartitionRoute) -> Bool {
        guard let first = partitions.firstIndex(where: { $0.low == newer.low }),
            let last = partitions.firstIndex(where: { $0.high == newer.high }), first <= last
        else { return false }
        guard first == last else { return replace(first...last, by: newer) }
        guard partitions[first].epoch < newer.epoch || partitions[first].id != newer.id else { return false }
        partitions[first] = newer
        return true
    }

    /// Neighbours were merged: what they have become has a later epoch than any of them.
    private mutating func replace(_ places: ClosedRange<Int>, by newer: PartitionRoute) -> Bool {
        guard partitions[places].allSatisfy({ $0.epoch < newer.epoch }) else { return false }
        partitions.replaceSubrange(places, with: [newer])
        return true
    }
}
