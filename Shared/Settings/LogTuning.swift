package import LogStorage
package import Model

/// What settings files say of the log on disk, checked; what they leave out has its default.
package enum LogTuning {
    /// - Throws: `InvalidValue` naming the field at fault.
    package static func options(
        reserveMebibytes: Int64?, segmentMebibytes: Int64?, flushDelayMicroseconds: Int64?
    ) throws(InvalidValue) -> LogOptions {
        var options = LogOptions()
        if let reserve = try number(reserveMebibytes, within: 1...1_048_576, "disk_reserve_mib") {
            options.reserveBytes = reserve << 20
        }
        if let segment = try number(segmentMebibytes, within: 1...1_024, "log_segment_mib") {
            options.segmentBytes = segment << 20
        }
        if let delay = try number(flushDelayMicroseconds, within: 0...1_000_000, "flush_delay_us"), delay > 0 {
            options.flush = .slower(by: .microseconds(Int64(delay)))
        }
        return options
    }

    private static func number(_ value: Int64?, within range: ClosedRange<Int64>, _ name: String) throws(InvalidValue) -> Int? {
        guard let value else { return nil }
        guard range.contains(value) else {
            throw InvalidValue(
                field: "tuning.\(name)", detail: "\(value) is outside \(range.lowerBound) to \(range.upperBound)")
        }
        return Int(value)
    }
}
