import FoundationEssentials
package import Model

extension Value: WireCodable {
    package init(wire: ProtoValue) throws(WireError) {
        switch try Check.present(wire.value, "Value.value") {
        case .null(let marker):
            try Check.marker(marker, "Value.null")
            self = .null
        case .integer(let number): self = .integer(number)
        case .text(let text): self = .text(try Check.text(text, "Value.text", atMost: Limits.rowBytes))
        case .bytes(let data): self = .bytes(try Check.bytes(data, "Value.bytes", atMost: Limits.rowBytes))
        case .boolean(let flag): self = .boolean(flag)
        case .double(let number): self = .double(number)
        case .timestamp(let microseconds): self = .timestamp(microseconds)
        }
    }

    package var wire: ProtoValue {
        var wire = ProtoValue()
        switch self {
        case .null: wire.null = true
        case .integer(let number): wire.integer = number
        case .text(let text): wire.text = text
        case .bytes(let bytes): wire.bytes = Data(bytes)
        case .boolean(let flag): wire.boolean = flag
        case .double(let number): wire.double = number
        case .timestamp(let microseconds): wire.timestamp = microseconds
        }
        return wire
    }
}

extension Row: WireCodable {
    package init(wire: ProtoRow) throws(WireError) {
        self.init(
            key: try Check.key(wire.key, "Row.key"),
            values: try Check.list(wire.values, "Row.values", atMost: Limits.columns, Value.init(wire:)))
    }

    package var wire: ProtoRow {
        var wire = ProtoRow()
        wire.key = Data(key.bytes)
        wire.values = values.map(\.wire)
        return wire
    }
}

extension Mutation: WireCodable {
    package init(wire: ProtoMutation) throws(WireError) {
        switch try Check.present(wire.mutation, "Mutation.mutation") {
        case .put(let row):
            let row = try Row(wire: row)
            self = .put(key: row.key, values: row.values)
        case .delete(let key): self = .delete(key: try Check.key(key, "Mutation.delete"))
        }
    }

    package var wire: ProtoMutation {
        var wire = ProtoMutation()
        switch self {
        case .put(let key, let values): wire.put = Row(key: key, values: values).wire
        case .delete(let key): wire.delete = Data(key.bytes)
        }
        return wire
    }
}

/// Changes of one partition's rows that become visible together: the payload of one replicated entry.
package struct WriteBatch: Hashable, Sendable, WireCodable {
    package let mutations: [Mutation]

    package init(_ mutations: [Mutation]) { self.mutations = mutations }

    package init(wire: ProtoWriteBatch) throws(WireError) {
        mutations = try Check.list(
            wire.mutations, "WriteBatch.mutations", atMost: Limits.batchMutations, Mutation.init(wire:))
    }

    package var wire: ProtoWriteBatch {
        var wire = ProtoWriteBatch()
        wire.mutations = mutations.map(\.wire)
        return wire
    }
}
