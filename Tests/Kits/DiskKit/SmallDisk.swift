import Foundation
import Glibc
package import ProcessKit

/// A file system of a few megabytes of its own, in the mount namespace of a child: nobody else sees it, and it goes with the child,
/// however this process ends. Reached by way of the child's root folder.
package final class SmallDisk: Sendable {
    package let path: String
    /// The same for a process that `prefix` puts there. Who resolves links in paths, as SQLite does, finds nothing by `path`.
    package let inside: String
    private let child: HeldChild

    /// Why there can be none here, or nil when there can.
    package static let missing: String? = {
        do {
            _ = try SmallDisk(bytes: 1 << 16)
            return nil
        } catch {
            return "\(error)"
        }
    }()

    package typealias Refused = HeldChild.Refused

    package init(bytes: Int) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("disk-\(UUID().uuidString)").path
        // Where this process is not root it may still be in a user namespace of its own.
        child = try HeldChild(
            namespaces: geteuid() == 0 ? ["-m"] : ["-U", "-r", "-m"],
            setUp: "mkdir -p \"$1\" && mount -t tmpfs -o size=$2 tmpfs \"$1\"", cleanUp: "rmdir \"$1\" 2>/dev/null",
            arguments: [folder, String(bytes)])
        path = "/proc/\(child.identifier)/root\(folder)"
        inside = folder
    }

    /// What to put before a program and its arguments for it to see the disk where the child does; it is the process that was started.
    package var prefix: [String] { ["/usr/bin/env", "nsenter", "-t", String(child.identifier), "-m", "--"] }

    /// Writes a file until no byte of space is left but what is given.
    package func fill(leaving bytes: Int = 0) throws {
        let file = open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Refused("nothing can be written to \(path)") }
        defer { close(file) }
        let page = [UInt8](repeating: 1, count: 4_096)
        while free - bytes >= page.count, write(file, page, page.count) == page.count {}
    }

    package func makeRoom() throws { try FileManager.default.removeItem(atPath: path + "/filler") }

    package var free: Int {
        var status = statvfs()
        return statvfs(path, &status) == 0 ? Int(status.f_bavail) * Int(status.f_frsize) : 0
    }
}
