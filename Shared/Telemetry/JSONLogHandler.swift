// Logs as JSON lines, `ts level node event msg` first and the metadata behind: one line is one event, whatever is in it.

import CoreMetrics
import Glibc
package import Logging

/// Writes each event as one line to a descriptor, in one write, so that lines of several threads do not mix.
package struct JSONLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let node: String
    private let write: @Sendable (String) -> Void

    /// - Parameters:
    ///   - node: who logs; in every line.
    ///   - write: takes one line with its end. The standard writes to stderr.
    package init(
        node: String, level: Logger.Level = .info, write: @escaping @Sendable (String) -> Void = JSONLogHandler.toStandardError
    ) {
        self.node = node
        self.logLevel = level
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { $1 } }
        if let own = event.metadata { fields.merge(own) { $1 } }
        let name = fields.removeValue(forKey: "event").map { "\($0)" } ?? event.source
        var line = "{\"ts\":\"\(Self.timestamp())\",\"level\":\"\(event.level.rawValue)\",\"node\":"
        line += JSONText.string(node) + ",\"event\":" + JSONText.string(name)
        line += ",\"msg\":" + JSONText.string(event.message.description)
        if let error = event.error { line += ",\"error\":" + JSONText.string("\(error)") }
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line += "," + JSONText.string(key) + ":" + Self.text(value)
        }
        write(line + "}\n")
    }

    @Sendable package static func toStandardError(_ line: String) {
        var bytes = Array(line.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            // A closed stderr must not end the process; an interrupted write goes on.
            if count < 0 { if errno == EINTR { continue } else { return } }
            bytes = bytes.dropFirst(count)
        }
    }

    private static func text(_ value: Logger.Metadata.Value) -> String {
        switch value {
        case .string(let text): JSONText.string(text)
        case .stringConvertible(let number as any BinaryInteger): "\(number)"
        case .stringConvertible(let number as Double) where number.isFinite: "\(number)"
        case .stringConvertible(let flag as Bool): "\(flag)"
        case .stringConvertible(let value): JSONText.string(value.description)
        case .array(let values): "[" + values.map(text).joined(separator: ",") + "]"
        case .dictionary(let values):
            "{"
                + values.sorted { $0.key < $1.key }.map { JSONText.string($0.key) + ":" + text($0.value) }
                .joined(separator: ",") + "}"
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    private static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var parts = tm()
        gmtime_r(&now.tv_sec, &parts)
        func padded(_ value: Int32, _ width: Int = 2) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(parts.tm_year + 1_900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
        let time = "\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))"
        return "\(date)T\(time).\(padded(Int32(now.tv_nsec / 1_000_000), 3))Z"
    }
}

enum JSONText {
    /// `text` as a JSON string, quoted.
    static func string(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

package enum Telemetry {
    /// Sends logs as JSON lines to stderr and metrics into `registry`. Once for each process, at its start.
    package static func bootstrap(node: String, level: Logger.Level, registry: MetricsRegistry) {
        LoggingSystem.bootstrap { _ in JSONLogHandler(node: node, level: level) }
        MetricsSystem.bootstrap(registry)
    }
}
