// What one record of a log says, for people. Both kinds of log are read: a coordinator's and an agent's. Which of them a record is
// from shows in its bytes: an agent's begins with a small number, a coordinator's entry never does.

import Catalog
import Client
import Consensus
import CoordinatorServer
import DurableLog
import LogStorage
import Model
import Replication
import Wire

/// A line about one record.
struct RecordText: Hashable, Sendable {
    let number: UInt64
    let segment: UInt64
    let offset: Int
    let bytes: Int
    /// What the record does: `entry`, `vote`, `cut`, …
    let kind: String
    /// Which of its owner's things it is about: `T3 #17`, or a partition and a position.
    var place = ""
    /// A command's name, or what else there is to say.
    var detail = ""

    init(_ placed: LogInspection.Placed) {
        let record = placed.record
        (number, segment, offset, bytes) = (record.number.value, placed.segment, placed.offset, record.payload.count)
        if record.kind == 1, let decoded = PartitionRecord.decoding(record.payload[...]) {
            (kind, place, detail) = Self.text(of: decoded)
        } else if let decoded = try? RaftRecord(record) {
            (kind, place, detail) = Self.text(of: decoded)
        } else {
            kind = "unknown(\(record.kind))"
        }
    }

    private typealias Parts = (kind: String, place: String, detail: String)

    private static func text(of record: RaftRecord) -> Parts {
        switch record {
        case .entry(let entry):
            let place = "\(entry.id.term) \(entry.id.index)"
            switch entry.content {
            case .leaderStarted: return ("leader", place, "")
            case .configuration(let members): return ("members", place, text(of: members))
            case .command(let bytes):
                guard let command = try? CatalogEntry(bytes: bytes) else { return ("entry", place, "") }
                return ("entry", place, "\(command.command.name) by \(command.actor)")
            }
        case .hardState(let state):
            return ("vote", "\(state.term)", "for \(state.vote.map(\.description) ?? "nobody"), commit \(state.commit)")
        case .reset(let id): return ("reset", "\(id.term) \(id.index)", "a snapshot took the place of all before")
        }
    }

    private static func text(of members: MemberConfiguration) -> String {
        func list(_ name: String, _ members: [MemberID]) -> String? {
            members.isEmpty ? nil : name + " " + members.map(\.description).joined(separator: ",")
        }
        return [list("voters", members.voters), list("outgoing", members.outgoing), list("learners", members.learners)]
            .compactMap { $0 }.joined(separator: "; ")
    }

    private static func text(of record: PartitionRecord) -> Parts {
        let kind: String
        var place = record.partition.map { "partition \($0)" } ?? ""
        var detail = ""
        switch record {
        case .entry(_, let entry):
            kind = "entry"
            place += " at \(entry.position)"
        case .cut(_, let through):
            kind = "cut"
            detail = "after \(through)"
        case .reset(_, let point):
            kind = "reset"
            place += " at \(point.position)"
        case .hardState(_, let state):
            kind = "state"
            detail =
                "epoch \(state.epoch.number), run \(state.run)" + (state.fence == nil ? "" : ", fenced")
                + (state.isCopied ? ", a copy" : "")
        case .checkpoint(_, let point, let state):
            kind = "checkpoint"
            place += " at \(point.position)"
            detail = "epoch \(state.epoch.number), run \(state.run)"
        case .dropped: kind = "dropped"
        case .beat: kind = "beat"
        }
        return (kind, place, detail)
    }

    // MARK: - Forms

    static let heading = columns("RECORD", "SEGMENT", "OFFSET", "BYTES", "KIND", "PLACE", "DETAIL")

    var line: String { Self.columns("\(number)", "\(segment)", "\(offset)", "\(bytes)", kind, place, detail) }

    var json: JSONValue {
        .object([
            "record": .number(number), "segment": .number(segment), "offset": .number(offset), "bytes": .number(bytes),
            "kind": .string(kind), "place": .string(place), "detail": .string(detail),
        ])
    }

    /// Lines are printed as they are read, so the widths are known before.
    private static func columns(_ cells: String...) -> String {
        var text = ""
        for (cell, width) in zip(cells, [9, 7, 9, 8, 10, 28, 0]) {
            text += cell + String(repeating: " ", count: max(0, width - cell.count)) + "  "
        }
        return String(text.reversed().drop { $0 == " " }.reversed())
    }
}
