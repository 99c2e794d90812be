// Where tests with real processes stop one in the middle of an operation. In a release build nothing stops.

#if DEBUG
    import Foundation
#endif

/// Stops this process before or after one step of an operation, as SIGSTOP does: a test then kills somebody, and lets it go on.
///
/// The file `stop-at` in the process's folder names the place, as in `before fence` or `after begin-move`, and with ` of` and a partition
/// behind it only that partition's. Its name becomes `stopped-at` first, so that the process stops there once.
package struct StopPoint: Sendable {
    package enum Side: String, Sendable { case before, after }

    private let folder: String

    /// - Parameter folder: the process's data.
    package init(folder: String) { self.folder = folder }

    /// Stops here, where that is wanted.
    package func pass(_ side: Side, _ step: String, of subject: String? = nil) {
        #if DEBUG
            guard let wanted = try? String(contentsOfFile: folder + "/stop-at", encoding: .utf8) else { return }
            let place = "\(side.rawValue) \(step)"
            guard wanted == place || wanted == "\(place) of \(subject ?? "")",
                rename(folder + "/stop-at", folder + "/stopped-at") == 0
            else { return }
            kill(getpid(), SIGSTOP)
        #endif
    }
}
