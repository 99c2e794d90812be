// The processes that a launcher starts, and what they shall not take along.

import Foundation
import Launching
import Testing

struct ChildrenTests {
    @Test("a child does not inherit the pipes that its launcher has open")
    func inheritsNoPipe() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("children-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let children = Children()
        defer { children.killAll() }
        let pipe = Pipe()
        try children.start("lasting", "/bin/sleep", ["600"], log: "\(folder)/lasting.log")
        try pipe.fileHandleForWriting.close()

        // Nobody holds the other end any more, so the end is there at once.
        var ready = pollfd(fd: pipe.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
        #expect(poll(&ready, 1, 0) == 1 && ready.revents & Int16(POLLHUP) != 0)
        #expect(children.isRunning("lasting"))
    }
}
