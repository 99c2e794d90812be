// A log looked at from outside, while no process may be using it or one is: nothing is changed, nothing locked, nothing cut.

package import DurableLog
package import Model

/// What was found in a log's folder, or in one segment of it.
package struct LogInspection: Sendable {
    /// A record and where it starts.
    package struct Placed: Sendable {
        package let record: LogRecord
        package let segment: UInt64
        package let offset: Int
    }

    package enum Verdict: Hashable, Sendable {
        case whole
        /// Whole but for a write that never ended; the next start keeps it aside and goes on before it.
        case torn(path: String, TornTail)
        /// Why a start would refuse it.
        case damaged(StorageError)
    }

    package private(set) var store: StoreID?
    package private(set) var segments = 0
    package private(set) var records: UInt64 = 0
    package private(set) var bytes = 0
    package private(set) var verdict = Verdict.whole

    /// Reads what is at `path`: a segment, a log's folder, or a data folder with a `log` in it.
    ///
    /// Of a single segment the records are proved, and that they continue one another; that it continues the segment before it is
    /// proved with the folder alone.
    /// - Parameter each: is given every good record, in order.
    /// - Throws: `StorageError` when nothing can be read at all, and whatever `each` throws.
    package init(of path: String, each: (Placed) throws -> Void) throws {
        guard SystemCall.isFolder(path) else {
            guard SystemCall.exists(path) else { throw StorageError.system(call: "open", path: path, code: SystemCall.noEntry) }
            try take([path], isLast: Self.hasNoSuccessor(path), each: each)
            return
        }
        let inner = path + "/log"
        let folder = SystemCall.isFolder(inner) ? inner : path
        let files = SegmentFiles(folder: folder, segmentBytes: SegmentHeader.bytes, flush: .standard)
        let numbers = try files.segments()
        let floor = try LogFloor.read(besides: folder)
        guard !numbers.isEmpty || floor != nil else { throw StorageError.noSuchRecord(.first) }
        let oldest = floor?.segment ?? 1
        let kept = numbers.filter { $0 >= oldest }
        guard kept.first == oldest else {
            let damage = LogDamage(segment: oldest, offset: 0, record: .first, cause: .missingSegment(oldest))
            verdict = .damaged(StorageError(damage, in: files.path(of: oldest)))
            return
        }
        try take(kept.map { files.path(of: $0) }, isLast: true, each: each)
    }

    private mutating func take(_ paths: [String], isLast: Bool, each: (Placed) throws -> Void) throws {
        var recovery: LogRecovery?
        for path in paths {
            let content = try File.contents(of: path)
            let number = Self.number(of: path)
            let verdict = try content.withUnsafeBytes { bytes -> SegmentVerdict in
                let header = try? SegmentHeader.decode(bytes).get()
                if store == nil { store = header?.store }
                var current = recovery ?? LogRecovery(store: store ?? StoreID(0))
                let found = try current.take(
                    segment: number ?? header?.segment ?? 0, bytes: bytes, isLast: isLast && path == paths.last
                ) { record, place in
                    records += 1
                    self.bytes += record.payload.count
                    try each(Placed(record: record, segment: place.header.segment, offset: place.end))
                }
                recovery = current
                return found
            }
            segments += 1
            switch verdict {
            case .clean: break
            case .torn(let tail): self.verdict = .torn(path: path, tail)
            case .damaged(let damage):
                self.verdict = .damaged(StorageError(damage, in: path))
                return
            }
        }
    }

    private static func number(of path: String) -> UInt64? {
        let name = path.split(separator: "/").last ?? ""
        return name.hasPrefix("segment-") ? UInt64(name.dropFirst("segment-".count)) : nil
    }

    /// Whether the segment may end in a torn tail.
    private static func hasNoSuccessor(_ path: String) throws(StorageError) -> Bool {
        guard let number = number(of: path) else { return true }
        let folder = path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]) : "."
        let files = SegmentFiles(folder: folder.isEmpty ? "/" : folder, segmentBytes: SegmentHeader.bytes, flush: .standard)
        return !SystemCall.exists(files.path(of: number + 1))
    }
}
