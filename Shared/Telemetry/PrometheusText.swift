// The text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats

struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var text = ""
    private var lastName = ""

    mutating func append(_ identity: MetricsRegistry.Identity, _ series: MetricsRegistry.Series, kind: String) {
        if identity.name != lastName {
            text += "# HELP \(identity.name) \(MetricHelp.text(of: identity.name))\n# TYPE \(identity.name) \(kind)\n"
            lastName = identity.name
        }
        switch series {
        case .counter(let counter): line(identity.name, identity.labels, Self.number(counter.current))
        case .gauge(let gauge): line(identity.name, identity.labels, Self.number(gauge.current))
        case .histogram(let histogram): buckets(identity, histogram)
        }
    }

    private mutating func buckets(_ identity: MetricsRegistry.Identity, _ histogram: HistogramSeries) {
        let reading = histogram.current
        let bounds = histogram.bounds.map(Self.number) + ["+Inf"]
        for (bound, count) in zip(bounds, reading.counts) {
            line(
                "\(identity.name)_bucket", identity.labels + [MetricsRegistry.Label(name: "le", value: bound)], "\(count)")
        }
        line("\(identity.name)_sum", identity.labels, Self.number(reading.sum))
        line("\(identity.name)_count", identity.labels, "\(reading.counts.last ?? 0)")
    }

    private mutating func line(_ name: String, _ labels: [MetricsRegistry.Label], _ value: String) {
        let inner = labels.map(\.text).joined(separator: ",")
        text += inner.isEmpty ? "\(name) \(value)\n" : "\(name){\(inner)} \(value)\n"
    }

    /// Letters, digits and underscores; anything else becomes an underscore.
    static func name(_ label: String) -> String {
        var bytes = label.utf8.map { byte -> UInt8 in
            let allowed =
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
                || byte == UInt8(ascii: "_")
            return allowed ? byte : UInt8(ascii: "_")
        }
        if bytes.first.map({ (0x30...0x39).contains($0) }) ?? true { bytes.insert(UInt8(ascii: "_"), at: 0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func escaped(_ value: String) -> String {
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return String(value)
    }
}
