// What the demo says: scenes, facts with figures, and at the end one JSON object.

import Client
import Glibc
import KeyEncoding

/// Figures of one run, all measured. Nil: the scene that measures it did not come so far.
struct DemoSummary: Sendable {
    var importedRows: Int?
    var splitWriteGap: Double?
    var moveWriteGap: Double?
    var moveBytesRaw: Int?
    var moveBytesWire: Int?
    var failoverDetect: Double?
    var failoverDecide: Double?
    var failoverRecover: Double?
    /// Of the load. What was loaded and imported before it is audited too, but not counted here.
    var acknowledgedWrites: Int?
    /// Nobody knows of these whether they happened. They are not lost, and not acknowledged.
    var unknownWrites: Int?
    var lostWrites: Int?
    var tokensRefused: Int?

    /// One line, every field, `null` for what was not measured. Times are in milliseconds.
    var line: String {
        func whole(_ number: Int?) -> JSONValue { number.map { .number($0) } ?? .null }
        func time(_ number: Double?) -> JSONValue { number.map { .scalar(.number(Figures.fixed($0, 1))) } ?? .null }
        return JSONValue.object([
            "imported_rows": whole(importedRows), "split_write_gap_ms": time(splitWriteGap),
            "move_write_gap_ms": time(moveWriteGap), "move_bytes_raw": whole(moveBytesRaw),
            "move_bytes_wire": whole(moveBytesWire), "failover_detect_ms": time(failoverDetect),
            "failover_decide_ms": time(failoverDecide), "failover_recover_ms": time(failoverRecover),
            "acknowledged_writes": whole(acknowledgedWrites), "unknown_writes": whole(unknownWrites),
            "lost_writes": whole(lostWrites), "tokens_refused": whole(tokensRefused),
        ]).text
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

    /// What else there is to say of the last step.
    func more(_ text: String) { say("            \(text)") }

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
