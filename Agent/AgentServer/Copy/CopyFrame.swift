import Engine
import FoundationEssentials
import Model
import Replication
import Wire

/// What the two ends of a copy say to each other, in the order of a dialogue: begin, resume, chunks against stored, end, finished.
/// Where an earlier try has left something that stands elsewhere, entries come first, or `anew`, which `resume` answers again. Where the
/// sender offers its storage's pages and the receiver wants them, chunks are of pages; another `begin` goes over to rows.
enum CopyFrame: Hashable, Sendable {
    case begin(CopyStart)
    /// Chunks from this number on are wanted, with the rows after this key, or with the pages that were offered. Where what is stored
    /// stands; nil: where the copy starts.
    case resume(chunk: UInt64, after: Key?, stands: LogPoint? = nil, pages: Bool = false)
    /// Rows in key order, or pages, or entries, compressed.
    case chunk(UInt64, [UInt8])
    case stored(UInt64)
    case end
    case finished
    case refused(String)
    /// What is stored cannot be brought to where the copy starts.
    case anew
}

extension CopyFrame: WireCodable {
    init(wire: ProtoCopyFrame) throws(WireError) {
        switch try Check.present(wire.frame, "CopyFrame.frame") {
        case .begin(let begin):
            self = .begin(
                CopyStart(
                    partition: try Check.identifier(begin.partition, "Begin.partition"),
                    epoch: try Check.epoch(begin.epoch, "Begin.epoch"),
                    term: try Term(epoch: begin.termEpoch, run: begin.termRun, "Begin"),
                    storage: try Check.identifier(begin.storage, "Begin.storage"), start: try LogPoint(wire: begin.start),
                    advances: begin.advances, image: begin.hasImage ? try PageImage(wire: begin.image) : nil))
        case .resume(let resume):
            self = .resume(
                chunk: try Check.counter(resume.chunk, "Resume.chunk"),
                after: resume.hasAfter ? try Check.key(resume.after, "Resume.after") : nil,
                stands: resume.hasStands ? try LogPoint(wire: resume.stands) : nil, pages: resume.pages)
        case .chunk(let chunk):
            self = .chunk(
                try Check.counter(chunk.number, "Chunk.number"),
                try Check.bytes(chunk.frame, "Chunk.frame", atMost: Limits.frameBytes))
        case .stored(let number): self = .stored(try Check.counter(number, "CopyFrame.stored"))
        case .end(let marker):
            try Check.marker(marker, "CopyFrame.end")
            self = .end
        case .finished(let marker):
            try Check.marker(marker, "CopyFrame.finished")
            self = .finished
        case .refused(let why): self = .refused(try Check.text(why, "CopyFrame.refused"))
        case .anew(let marker):
            try Check.marker(marker, "CopyFrame.anew")
            self = .anew
        }
    }

    var wire: ProtoCopyFrame {
        var wire = ProtoCopyFrame()
        switch self {
        case .begin(let copy):
            wire.begin.partition = copy.partition.number
            wire.begin.epoch = copy.epoch.number
            wire.begin.termEpoch = copy.term.epoch.number
            wire.begin.termRun = copy.term.run
            wire.begin.storage = copy.storage.number
            wire.begin.start = copy.start.wire
            wire.begin.advances = copy.advances
            if let image = copy.image { wire.begin.image = image.wire }
        case .resume(let chunk, let after, let stands, let pages):
            wire.resume.chunk = chunk
            wire.resume.pages = pages
            if let after { wire.resume.after = Data(after.bytes) }
            if let stands { wire.resume.stands = stands.wire }
        case .chunk(let number, let frame):
            wire.chunk.number = number
            wire.chunk.frame = Data(frame)
        case .stored(let number): wire.stored = number
        case .end: wire.end = true
        case .finished: wire.finished = true
        case .refused(let why): wire.refused = why
        case .anew: wire.anew = true
        }
        return wire
    }
}

extension PageImage {
    /// As many pages as a database of SQLite may have.
    private static let most = UInt64(UInt32.max) - 1

    init(wire: ProtoPageImage) throws(WireError) {
        guard (1...Self.most).contains(wire.pages) else {
            throw WireError("PageImage.pages", .invalid("\(wire.pages) is out of range"))
        }
        self.init(number: wire.number, pages: wire.pages)
    }

    var wire: ProtoPageImage {
        var wire = ProtoPageImage()
        (wire.number, wire.pages) = (number, pages)
        return wire
    }
}

/// What one chunk brings: rows, or after the last of them what is remembered of writes (rule R8); before the first, where a copy goes
/// on, what has happened to the rows that are stored. Or pages, in which all of it is.
struct RowBlock: Hashable, Sendable, WireCodable {
    /// Bytes of rows in one chunk, about; a single row may be larger.
    static let bytes = 1_024 * 1_024
    /// Bytes of a block when it is unpacked, at most.
    static let limit = Limits.frameBytes

    let rows: [Row]
    let record: WriteRecord?
    let entries: [Entry]
    let pages: PageRun?

    init(_ rows: [Row], _ record: WriteRecord? = nil) {
        self.rows = rows
        self.record = record
        entries = []
        pages = nil
    }

    init(entries: [Entry]) {
        rows = []
        record = nil
        self.entries = entries
        pages = nil
    }

    init(pages: PageRun) {
        rows = []
        record = nil
        entries = []
        self.pages = pages
    }

    init(wire: ProtoRowBlock) throws(WireError) {
        rows = try Check.list(wire.rows, "RowBlock.rows", atMost: 1 << 20, Row.init(wire:))
        record = wire.hasRecord ? try WriteRecord(wire: wire.record) : nil
        entries = try Check.list(wire.entries, "RowBlock.entries", atMost: 1 << 20, Entry.init(wire:))
        pages =
            wire.pages.isEmpty
            ? nil
            : PageRun(
                first: try Check.counter(wire.firstPage, "RowBlock.first_page"),
                bytes: try Check.bytes(wire.pages, "RowBlock.pages", atMost: Self.limit))
    }

    var wire: ProtoRowBlock {
        var wire = ProtoRowBlock()
        wire.rows = rows.map(\.wire)
        if let record { wire.record = record.wire }
        wire.entries = entries.map(\.wire)
        if let pages { (wire.firstPage, wire.pages) = (pages.first, Data(pages.bytes)) }
        return wire
    }
}

extension WriteRecord {
    init(wire: ProtoWriteRecord) throws(WireError) {
        self.init(
            try Check.list(wire.writes, "WriteRecord.writes", atMost: 1 << 20, AppliedWrite.init(wire:)),
            forgotten: try ForgottenKeys(wire: wire))
    }

    var wire: ProtoWriteRecord {
        var wire = ProtoWriteRecord()
        wire.writes = writes.map(\.wire)
        wire.horizon = forgotten.end.milliseconds
        wire.forgotten = forgotten.spans.map { span in
            var wire = ProtoKeySpan()
            (wire.from, wire.to) = (span.lowerBound.milliseconds, span.upperBound.milliseconds)
            return wire
        }
        return wire
    }
}

extension ForgottenKeys {
    init(wire: ProtoWriteRecord) throws(WireError) {
        let spans = try Check.list(wire.forgotten, "WriteRecord.forgotten", atMost: Self.most) { span throws(WireError) in
            let from = try Check.wallTime(span.from, "KeySpan.from")
            return from..<max(from, try Check.wallTime(span.to, "KeySpan.to"))
        }
        // From an older version.
        let horizon = try Check.wallTime(wire.horizon, "WriteRecord.horizon")
        self = spans.isEmpty ? ForgottenKeys(before: horizon) : ForgottenKeys(spans)
    }
}

extension AppliedWrite {
    init(wire: ProtoAppliedWrite) throws(WireError) {
        self.init(
            key: try IdempotencyKey(high: wire.keyHigh, low: wire.keyLow, "AppliedWrite.key"),
            row: try Check.key(wire.row, "AppliedWrite.row"), checksum: wire.checksum,
            position: try Position(wire: wire.position))
    }

    var wire: ProtoAppliedWrite {
        var wire = ProtoAppliedWrite()
        (wire.keyHigh, wire.keyLow) = (key.high, key.low)
        wire.row = Data(row.bytes)
        wire.checksum = checksum
        wire.position = position.wire
        return wire
    }
}
