package struct LogOptions: Sendable {
    /// Bytes reserved for one segment. A group of records that needs more gets a segment of its own size.
    package var segmentBytes: Int
    /// Bytes of payload that may wait to be written.
    package var pendingBytes: Int
    package var onDiskFailure: DiskFailureResponse

    package init(
        segmentBytes: Int = 64 * 1_024 * 1_024, pendingBytes: Int = 128 * 1_024 * 1_024,
        onDiskFailure: DiskFailureResponse = .endProcess
    ) {
        self.segmentBytes = segmentBytes
        self.pendingBytes = pendingBytes
        self.onDiskFailure = onDiskFailure
    }
}
