import Glibc
package import Model

/// How what was written is made durable. There is one way in earnest; the others are for measuring, and for seeing what a disk does
/// that fails.
package struct Flush: Sendable {
    /// Takes a descriptor; answers 0, or -1 with `errno` set.
    let run: @Sendable (Int32) -> Int32

    package init(_ run: @escaping @Sendable (Int32) -> Int32) { self.run = run }

    package static let standard = Flush { fdatasync($0) }

    /// A disk that takes longer: the wait comes before each flush, on the thread that waits for it anyway.
    package static func slower(by span: Span) -> Flush {
        Flush { descriptor in
            var wait = timespec(
                tv_sec: Int(span.microseconds / 1_000_000), tv_nsec: Int(span.microseconds % 1_000_000) * 1_000)
            var left = timespec()
            while nanosleep(&wait, &left) != 0, errno == EINTR { wait = left }
            return fdatasync(descriptor)
        }
    }
}
