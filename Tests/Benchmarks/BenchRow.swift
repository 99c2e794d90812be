import Glibc

/// What we want of a row.
enum Ask: Hashable, Sendable {
    /// In the row's unit.
    case atMost(Double)
    case atLeast(Double)
    case timesPeerAtMost(Double)
    case timesPeerAtLeast(Double)

    var text: String {
        switch self {
        case .atMost(let value): "≤ \(value)"
        case .atLeast(let value): "≥ \(value)"
        case .timesPeerAtMost(let value): "≤ \(value)×"
        case .timesPeerAtLeast(let value): "≥ \(value)×"
        }
    }

    /// Nil when there is no figure to judge by.
    func isMet(ours: Double?, ratio: Double?) -> Bool? {
        switch self {
        case .atMost(let value): ours.map { $0 <= value }
        case .atLeast(let value): ours.map { $0 >= value }
        case .timesPeerAtMost(let value): ratio.map { $0 <= value }
        case .timesPeerAtLeast(let value): ratio.map { $0 >= value }
        }
    }
}

/// One figure: ours, the peer's, and their ratio. What is printed is the median of the rounds, with the best and the worst of them.
struct BenchRow: Sendable {
    let bench: String
    let row: String
    let unit: String
    /// Nil when nothing could be measured; `note` says why.
    let ours: Double?
    var best: Double?
    var worst: Double?
    var peer: Double?
    var peerName: String?
    var ask: Ask?
    /// How it was taken, where the row's name does not say it.
    var note: String?

    init(
        bench: String, row: String, unit: String, ours: Double?, best: Double? = nil, worst: Double? = nil,
        peer: Double? = nil, peerName: String? = nil, ask: Ask? = nil, note: String? = nil
    ) {
        self.bench = bench
        self.row = row
        self.unit = unit
        self.ours = ours.flatMap { $0.isFinite ? $0 : nil }
        self.best = best
        self.worst = worst
        self.peer = peer.flatMap { $0.isFinite ? $0 : nil }
        self.peerName = peerName
        self.ask = ask
        self.note = note
    }

    /// The median of `samples`, with the best and the worst of them.
    init(
        bench: String, row: String, unit: String, of samples: Samples, peer: Samples? = nil, peerName: String? = nil,
        ask: Ask? = nil, note: String? = nil
    ) {
        let (least, most) = (samples.values.min(), samples.values.max())
        // Rates are better when larger, times and costs when smaller.
        let largerIsBetter = unit.hasSuffix("/s")
        self.init(
            bench: bench, row: row, unit: unit, ours: samples.median, best: largerIsBetter ? most : least,
            worst: largerIsBetter ? least : most, peer: peer?.median, peerName: peerName, ask: ask, note: note)
    }

    private var ratio: Double? {
        guard let ours, let peer, peer != 0 else { return nil }
        return ours / peer
    }

    /// Past any buffer: a row is seen when it is known, also through a pipe.
    func write(asJSON: Bool) {
        let bytes = Array(((asJSON ? json : line) + "\n").utf8)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { return }
            rest = rest.dropFirst(max(0, count))
        }
    }

    private var isMet: Bool? { ask.flatMap { $0.isMet(ours: ours, ratio: ratio) } }

    private var json: String {
        let number: (Double?) -> String = { $0.map { "\($0)" } ?? "null" }
        let text: (String?) -> String = { $0.map { "\"\(Self.escaped($0))\"" } ?? "null" }
        return "{\"bench\":\"\(bench)\",\"row\":\"\(Self.escaped(row))\",\"unit\":\"\(unit)\",\"ours\":\(number(ours)),"
            + "\"peer\":\(number(peer)),\"peer_name\":\(text(peerName)),\"ratio\":\(number(ratio)),\"goal\":\(text(ask?.text)),"
            + "\"met\":\(isMet.map { "\($0)" } ?? "null"),"
            + "\"best\":\(number(best)),\"worst\":\(number(worst)),\"note\":\(text(note))}"
    }

    private var line: String {
        var line = Self.pad("\(bench): \(row)", 50) + Self.pad(ours.map { "\(Self.short($0)) \(unit)" } ?? "—", 16)
        if let best, let worst, best != worst { line += Self.pad("(\(Self.short(best)) … \(Self.short(worst)))", 20) }
        if let peer, let peerName { line += " \(peerName): \(Self.short(peer))" }
        if let ratio { line += ", ratio \(Self.short(ratio))" }
        if let ask { line += "  (asked \(ask.text): \(isMet.map { $0 ? "met" : "missed" } ?? "not known"))" }
        if let note { line += "  [\(note)]" }
        return line
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    /// Whole numbers from a hundred on, else three significant digits.
    private static func short(_ value: Double) -> String {
        if abs(value) >= 100 || value == 0 { return String(Int64(value.rounded())) }
        var scale = 1.0
        while abs(value) * scale < 100, scale < 1e9 { scale *= 10 }
        return "\((value * scale).rounded() / scale)"
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": escaped += "\\\(scalar)"
            case "\n", "\t", "\r": escaped += " "
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
