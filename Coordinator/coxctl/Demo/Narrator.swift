// What the demo says: scenes, facts with figures, and at the end one JSON object.

import FoundationEssentials
import Glibc

/// Figures of one run, all measured. Nil: the scene that measures it did not come so far.
struct DemoSummary: Encodable, Sendable {
    var imported_rows: Int?
    var split_write_gap_ms: Double?
    var move_write_gap_ms: Double?
    var move_bytes_raw: Int?
    var move_bytes_wire: Int?
    var failover_detect_ms: Double?
    var failover_decide_ms: Double?
    var failover_recover_ms: Double?
    var acknowledged_writes: Int?
    var lost_writes: Int?
    var tokens_refused: Int?

    /// One line, every field, `null` for what was not measured.
    func line() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}

/// Speaks to the person who watches.
struct Narrator: Sendable {
    private let started = BootTime.now()

    func scene(_ number: Int, _ title: String) { say("\n== \(number). \(title)") }
    func fact(_ text: String) { say("   \(text)") }

    func step(_ text: String) {
        let seconds = Double(BootTime.now() - started) / 1_000_000
        say("   [\(Figures.fixed(seconds, 1)) s] \(text)")
    }

    func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}

enum BootTime {
    /// Microseconds on a clock that nobody sets.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }
}

enum Figures {
    /// `value` with that many digits behind the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        let scale = (0..<digits).reduce(1.0) { product, _ in product * 10 }
        let whole = Int64((value.magnitude * scale).rounded())
        let text = String(whole)
        let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
        let sign = value < 0 && whole != 0 ? "-" : ""
        return digits == 0 ? sign + padded : "\(sign)\(padded.dropLast(digits)).\(padded.suffix(digits))"
    }

    static func milliseconds(_ microseconds: Int64) -> Double { Double(microseconds) / 1_000 }

    static func bytes(_ count: Int) -> String {
        if count < 10_240 { return "\(count) B" }
        return count < 10 << 20 ? "\(fixed(Double(count) / 1_024, 1)) KiB" : "\(fixed(Double(count) / 1_048_576, 1)) MiB"
    }
}
