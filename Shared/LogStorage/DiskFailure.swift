import Glibc

/// An error that may have a disk behind it that is full.
package protocol SpaceError: Error {
    var isForLackOfSpace: Bool { get }
}

/// What becomes of the process when the disk fails while something is being made durable.
///
/// Rule C3: such a failure is never retried, because the kernel marks the pages clean and the next sync succeeds without having
/// written them (Rebello et al., ATC 2020). The process ends; after its restart only what is read back counts.
package struct DiskFailureResponse: Sendable {
    package let respond: @Sendable (StorageError) -> Void

    /// - Parameter respond: called once per failure. Should it return, the log answers every later request with `.stopped`.
    package init(_ respond: @escaping @Sendable (StorageError) -> Void) { self.respond = respond }

    /// The status with which the process ends: `EX_IOERR`.
    package static let exitStatus: Int32 = 74

    /// Says why on standard error and ends the process at once, without running anything that might write.
    package static let endProcess = DiskFailureResponse { error in
        let line = Array("{\"level\":\"critical\",\"event\":\"disk_failed\",\"msg\":\"\(error)\"}\n".utf8)
        _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
        _exit(exitStatus)
    }
}
