// Which segment a log begins with. A log drops its oldest segments, so a missing one in front would pass for one that was dropped,
// and a log whose whole folder is gone for a new one. The floor lies beside the folder, and is raised before anything is removed.

struct LogFloor: Hashable, Sendable {
    /// The oldest segment that must be there.
    let segment: UInt64

    var encoded: [UInt8] { CheckedText.encode(["coxswain log 2", "first-segment \(segment)"]) }

    init(segment: UInt64) { self.segment = segment }

    init?(_ bytes: [UInt8]) {
        guard let lines = CheckedText.decode(bytes), lines.count == 2, lines[0] == "coxswain log 2",
            let segment = CheckedText.number("first-segment", in: lines[1])
        else { return nil }
        self.segment = segment
    }

    /// What a log's folder has beside it.
    static func path(besides folder: String) -> String { folder + ".floor" }

    /// - Returns: nil when the log was never made, or was interrupted while it was being made.
    /// - Throws: `.unreadable`.
    static func read(besides folder: String) throws(StorageError) -> LogFloor? {
        let path = path(besides: folder)
        guard let bytes = try DurableFile.read(path) else { return nil }
        guard let floor = LogFloor(bytes) else { throw .unreadable(path: path) }
        return floor
    }

    func write(besides folder: String, flush: Flush) throws(StorageError) {
        try DurableFile.replace(Self.path(besides: folder), with: encoded, flush: flush)
    }
}
