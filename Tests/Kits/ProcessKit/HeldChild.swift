import Foundation
package import Glibc

/// A child that holds namespaces open for as long as this process has a use for them. It waits for the end of a stream from us, so it
/// goes when we go, however we go; and with it goes whatever only its namespaces held: mounts, interfaces, addresses.
package final class HeldChild: Sendable {
    package let identifier: pid_t
    private let stream: Int32

    package struct Refused: Error, CustomStringConvertible {
        package let description: String
        package init(_ description: String) { self.description = description }
    }

    /// - Parameters:
    ///   - namespaces: options of unshare(1).
    ///   - setUp: what a shell does in the new namespaces before they count as made; `arguments` are its `$1` and on.
    ///   - cleanUp: what it does at the end.
    /// - Throws: `Refused` when this machine lets nobody have such namespaces, or `setUp` fails.
    package init(namespaces: [String], setUp: String = ":", cleanUp: String = ":", arguments: [String] = []) throws {
        let script = "\(setUp) && echo ready && read -r none; \(cleanUp)"
        // Ours is closed in every other child, or one of them would keep this one alive.
        let streams = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, streams, 0, &ends) == 0 else { throw Refused("no socket pair") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_adddup2(&actions, ends[0], 1)
        let words = ["unshare"] + namespaces + ["sh", "-c", script, "held"] + arguments
        var pointers = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { Glibc.free(pointer) } }
        var child = pid_t()
        let result = posix_spawnp(&child, "unshare", &actions, nil, &pointers, environ)
        close(ends[0])
        var answer = [UInt8](repeating: 0, count: 6)
        guard result == 0, read(ends[1], &answer, 6) == 6 else {
            close(ends[1])
            if result == 0 { waitpid(child, nil, 0) }
            throw Refused(
                "no namespaces of one's own can be had here: \(words.prefix(1 + namespaces.count).joined(separator: " "))")
        }
        identifier = child
        stream = ends[1]
    }

    deinit {
        close(stream)
        waitpid(identifier, nil, 0)
    }
}
