// CSV as RFC 4180 has it, from bytes that come in pieces: quoted fields with commas, line ends and doubled quotes in them, lines
// ended by LF or CR LF. A malformed line is reported by its number and does not spoil the next one.

struct CSVField: Hashable {
    let bytes: [UInt8]
    /// A quoted empty field is an empty text, an unquoted one is nothing.
    let isQuoted: Bool

    var text: String? { String(validating: bytes, as: UTF8.self) }
}

enum CSVRecord: Hashable {
    case fields([CSVField])
    case malformed(String)
}

struct CSVReader {
    struct Line: Hashable {
        let record: CSVRecord
        /// The number of its first line in the file, from 1.
        let number: Int
        /// The offset of the first byte after it.
        let end: Int
    }

    private enum State { case fieldStart, plain, quoted, quoteInQuoted, skipping }

    /// Longer lines are malformed: they cannot be rows.
    private static let lineBytes = 8 * 1_024 * 1_024

    private var state = State.fieldStart
    private var field: [UInt8] = []
    private var isQuoted = false
    private var fields: [CSVField] = []
    private var fault: String?
    private var offset: Int
    private var lineStart: Int
    private var number: Int
    private var firstNumber: Int

    /// - Parameters: where in the file the first byte stands.
    init(offset: Int = 0, line: Int = 1) {
        self.offset = offset
        lineStart = offset
        number = line
        firstNumber = line
    }

    /// The number of the line at which the record under way starts.
    var nextLine: Int { firstNumber }

    /// Takes more bytes; gives the records that they complete.
    mutating func take(_ bytes: some Sequence<UInt8>) -> [Line] {
        var lines: [Line] = []
        for byte in bytes {
            offset += 1
            step(byte, into: &lines)
        }
        return lines
    }

    /// The last record, when the file does not end with a line end.
    mutating func finish() -> Line? {
        if state == .quoted { fault = "a quote is not closed" }
        guard offset > lineStart else { return nil }
        var lines: [Line] = []
        endRecord(into: &lines)
        return lines.first
    }

    private mutating func step(_ byte: UInt8, into lines: inout [Line]) {
        if byte == UInt8(ascii: "\n") { number += 1 }
        if offset - lineStart > Self.lineBytes { fault = fault ?? "the line is longer than \(Self.lineBytes) bytes" }
        switch (state, byte) {
        case (.fieldStart, UInt8(ascii: "\"")):
            isQuoted = true
            state = .quoted
        case (.quoted, UInt8(ascii: "\"")): state = .quoteInQuoted
        case (.quoted, _): append(byte)
        case (.quoteInQuoted, UInt8(ascii: "\"")):
            append(byte)
            state = .quoted
        case (_, UInt8(ascii: "\n")): endRecord(into: &lines)
        case (.skipping, _): break
        case (_, UInt8(ascii: ",")): endField()
        case (.quoteInQuoted, UInt8(ascii: "\r")): break
        case (.quoteInQuoted, _):
            fault = "text follows a closing quote"
            state = .skipping
        case (.plain, UInt8(ascii: "\"")):
            fault = "a quote stands inside an unquoted field"
            state = .skipping
        case (.fieldStart, _), (.plain, _):
            append(byte)
            state = .plain
        }
    }

    private mutating func append(_ byte: UInt8) {
        if fault == nil { field.append(byte) }
    }

    private mutating func endField() {
        fields.append(CSVField(bytes: field, isQuoted: isQuoted))
        field = []
        isQuoted = false
        state = .fieldStart
    }

    private mutating func endRecord(into lines: inout [Line]) {
        if !isQuoted, field.last == UInt8(ascii: "\r") { field.removeLast() }
        endField()
        let isBlank = fields.count == 1 && fields[0].bytes.isEmpty && !fields[0].isQuoted && fault == nil
        if !isBlank {
            lines.append(Line(record: fault.map { .malformed($0) } ?? .fields(fields), number: firstNumber, end: offset))
        }
        fields = []
        fault = nil
        lineStart = offset
        firstNumber = number
    }
}
