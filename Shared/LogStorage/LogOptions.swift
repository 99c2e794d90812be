package import Model

package struct LogOptions: Sendable {
    /// Bytes reserved for one segment. A group of records that needs more gets a segment of its own size.
    package var segmentBytes: Int
    /// Bytes of payload that may wait to be written.
    package var pendingBytes: Int
    /// What should stay free on the disk besides the reserved segments: below it the log says so (`DiskSpace.nearlyFull`), and its
    /// owner admits no new work, while what is under way still has the segment in use and the next one.
    package var reserveBytes: Int
    /// How often free space is looked at, and a write that waits for space is tried again.
    package var spaceInterval: Span
    package var flush: Flush
    package var onDiskFailure: DiskFailureResponse

    package init(
        segmentBytes: Int = 64 * 1_024 * 1_024, pendingBytes: Int = 128 * 1_024 * 1_024,
        reserveBytes: Int = 256 * 1_024 * 1_024, spaceInterval: Span = .milliseconds(500), flush: Flush = .standard,
        onDiskFailure: DiskFailureResponse = .endProcess
    ) {
        precondition(segmentBytes >= 4_096, "a segment of \(segmentBytes) bytes holds next to nothing")
        self.segmentBytes = segmentBytes
        self.pendingBytes = pendingBytes
        self.reserveBytes = reserveBytes
        self.spaceInterval = spaceInterval
        self.flush = flush
        self.onDiskFailure = onDiskFailure
    }
}
