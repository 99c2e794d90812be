// Bytes for what a simulated member keeps on its disk. Not the product's format, which is the wire's; only as strict.

import Consensus
import DurableLog
import Model

struct ByteWriter {
    private(set) var bytes: [UInt8] = []
    mutating func put(_ word: UInt64) { bytes.appendLittleEndian(word) }
    mutating func put(_ text: String) {
        put(UInt64(text.utf8.count))
        bytes += text.utf8
    }
    mutating func put(_ raw: [UInt8]) {
        put(UInt64(raw.count))
        bytes += raw
    }
}

/// Every take answers nil at the end.
struct ByteReader {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func take() -> UInt64? {
        guard bytes.count - at >= 8 else { return nil }
        defer { at += 8 }
        return bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
    }

    mutating func takeBytes() -> [UInt8]? {
        guard let count = take(), count <= UInt64(bytes.count - at) else { return nil }
        defer { at += Int(count) }
        return Array(bytes[at..<at + Int(count)])
    }

    mutating func takeText() -> String? { takeBytes().map { String(decoding: $0, as: UTF8.self) } }
}

/// What one record of a member's log says.
enum LogLine {
    /// Cuts whatever stands at its index and after it.
    case entry(Entry)
    case hardState(HardState)
    /// A snapshot up to here took the place of everything before this record.
    case reset(EntryID)

    var record: NewRecord {
        var writer = ByteWriter()
        switch self {
        case .entry(let entry):
            writer.put(entry.id.term.number)
            writer.put(entry.id.index.number)
            switch entry.content {
            case .leaderStarted: writer.put(0)
            case .command(let bytes):
                writer.put(1)
                writer.put(bytes)
            case .configuration(let configuration):
                writer.put(2)
                configuration.write(to: &writer)
            }
            return NewRecord(kind: 1, payload: writer.bytes)
        case .hardState(let state):
            writer.put(state.term.number)
            writer.put(state.commit.number)
            writer.put(state.vote?.description ?? "")
            return NewRecord(kind: 2, payload: writer.bytes)
        case .reset(let id):
            writer.put(id.term.number)
            writer.put(id.index.number)
            return NewRecord(kind: 3, payload: writer.bytes)
        }
    }

    init?(_ record: LogRecord) {
        var reader = ByteReader(record.payload)
        guard let term = reader.take(), let second = reader.take() else { return nil }
        switch record.kind {
        case 1:
            let id = EntryID(term: Term(term), index: LogIndex(second))
            switch reader.take() {
            case 0: self = .entry(Entry(id: id, content: .leaderStarted))
            case 1:
                guard let bytes = reader.takeBytes() else { return nil }
                self = .entry(Entry(id: id, content: .command(bytes)))
            case 2:
                guard let configuration = MemberConfiguration(&reader) else { return nil }
                self = .entry(Entry(id: id, content: .configuration(configuration)))
            default: return nil
            }
        case 2:
            guard let text = reader.takeText() else { return nil }
            let vote = text.isEmpty ? nil : try? MemberID(text: text)
            self = .hardState(HardState(term: Term(term), vote: vote, commit: LogIndex(second)))
        case 3: self = .reset(EntryID(term: Term(term), index: LogIndex(second)))
        default: return nil
        }
    }
}

extension MemberConfiguration {
    func write(to writer: inout ByteWriter) {
        for list in [voters, outgoing, learners] {
            writer.put(UInt64(list.count))
            for member in list { writer.put(member.description) }
        }
    }

    init?(_ reader: inout ByteReader) {
        var lists: [[MemberID]] = []
        for _ in 0..<3 {
            guard let count = reader.take(), count < 100 else { return nil }
            var list: [MemberID] = []
            for _ in 0..<count {
                guard let text = reader.takeText(), let member = try? MemberID(text: text) else { return nil }
                list.append(member)
            }
            lists.append(list)
        }
        guard let made = try? MemberConfiguration(voters: lists[0], outgoing: lists[1], learners: lists[2]) else { return nil }
        self = made
    }
}

extension Snapshot {
    /// With a checksum over all of it at the end.
    var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.put(id.term.number)
        writer.put(id.index.number)
        configuration.write(to: &writer)
        writer.put(configurationIndex.number)
        writer.put(data)
        writer.put(UInt64(CRC32C.of(writer.bytes)))
        return writer.bytes
    }

    init?(encoded: [UInt8], checks: Bool = true) {
        var reader = ByteReader(encoded)
        guard let term = reader.take(), let index = reader.take(), let configuration = MemberConfiguration(&reader),
            let place = reader.take(), place <= index, let data = reader.takeBytes(), let sum = reader.take(),
            !checks || sum == UInt64(CRC32C.of(Array(encoded.prefix(encoded.count - 8))))
        else { return nil }
        self.init(
            id: EntryID(term: Term(term), index: LogIndex(index)), configuration: configuration,
            configurationIndex: LogIndex(place), data: data)
    }
}
