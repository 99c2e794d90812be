import Foundation
import Glibc

/// A file system of a few megabytes of its own, in the mount namespace of a child: nobody else sees it, and it goes with the child,
/// however this process ends. Reached by way of the child's root folder.
package final class SmallDisk: Sendable {
    package let path: String
    private let child: pid_t
    private let stream: Int32

    /// Why there can be none here, or nil when there can.
    package static let missing: String? = {
        do {
            _ = try SmallDisk(bytes: 1 << 16)
            return nil
        } catch {
            return "\(error)"
        }
    }()

    package struct Refused: Error, CustomStringConvertible {
        package let description: String
    }

    package init(bytes: Int) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("disk-\(UUID().uuidString)").path
        // Where this process is not root it may still be in a user namespace of its own.
        let namespaces = geteuid() == 0 ? ["-m"] : ["-U", "-r", "-m"]
        let script =
            "mkdir -p \"$1\" && mount -t tmpfs -o size=$2 tmpfs \"$1\" && echo ready && read -r none; rmdir \"$1\" 2>/dev/null"
        // Ours is closed in every other child, or one of them would keep this one alive.
        let streams = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, streams, 0, &ends) == 0 else { throw Refused(description: "no socket pair") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_adddup2(&actions, ends[0], 1)
        let words = ["unshare"] + namespaces + ["sh", "-c", script, "disk", folder, String(bytes)]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { Glibc.free(argument) } }
        var child = pid_t()
        let result = posix_spawnp(&child, "unshare", &actions, nil, &arguments, environ)
        close(ends[0])
        var answer = [UInt8](repeating: 0, count: 6)
        guard result == 0, read(ends[1], &answer, 6) == 6 else {
            close(ends[1])
            if result == 0 { waitpid(child, nil, 0) }
            throw Refused(description: "no file system of one's own can be mounted here")
        }
        self.child = child
        stream = ends[1]
        path = "/proc/\(child)/root\(folder)"
    }

    deinit {
        close(stream)
        waitpid(child, nil, 0)
    }

    /// Writes a file until no byte of space is left but what is given.
    package func fill(leaving bytes: Int = 0) throws {
        let file = open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        guard file >= 0 else { throw Refused(description: "nothing can be written to \(path)") }
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
