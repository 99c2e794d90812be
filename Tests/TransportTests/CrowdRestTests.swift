import Foundation
import GossipKit
import Membership
import Model
import NIOCore
import NIOPosix
import ProcessKit
import Testing
import Transport

/// What it costs to be there, and what is left of who is not.
@Suite(.serialized, .timeLimit(.minutes(20))) struct CrowdRestTests {
    @Test("C29: a member with nothing to tell sends two datagrams in a second, of 140 bytes together, its seal included")
    func idle() async throws {
        try await CrowdStory.tell(CrowdStory.size, .lan) { crowd in
            // The rumours of the join have to have run dry.
            try await crowd.goesOn(probes: 10)
            let (before, start) = (crowd.sent, ContinuousClock.now)
            try await crowd.goesOn(probes: 20)
            let time = (ContinuousClock.now - start) / .seconds(1) * Double(crowd.count)
            let (packets, bytes) = ((crowd.sent.packets - before.packets) / time, (crowd.sent.bytes - before.bytes) / time)
            print("\(packets) packets and \(bytes) bytes in a second")
            // A comparison, each half a minute, is beside them.
            #expect(packets < 2.2)
            #expect(bytes < 154)
        }
    }

    @Test("what one member has applied, all others know to exist a few rounds of gossip later, whoever else is silent (T2)")
    func revisions() async throws {
        try await CrowdStory.tell { crowd in
            func probes() -> UInt64 { crowd.everybody.map { crowd.service($0)?.protocolCounters.probes ?? 0 }.max() ?? 0 }
            var slowest = 0
            for index in 1...10 as ClosedRange<UInt64> {
                let revision = Revision(history: 1, index: index)
                let before = probes()
                crowd.service(crowd.count / 2)?.noteRevision(revision)
                try await crowd.wait("all to know of revision \(revision)") {
                    crowd.everybody.allSatisfy { crowd.service($0)?.newestRevision == revision }
                }
                slowest = max(slowest, Int(probes() - before))
            }
            print("known to all after at most \(slowest) probes of each")
            // Each probe tells two; a log of the crowd's size, and somewhat more for who is told last.
            #expect(slowest <= 16)
        }
    }

    private struct Remembered {
        weak var service: GossipService?
    }

    /// Threads that serve sockets.
    private func loops() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count { thread in
            let name = try? String(contentsOfFile: "/proc/self/task/\(thread)/comm", encoding: .utf8)
            return name?.hasPrefix("NIO-ELT") == true
        }
    }

    private func descriptors() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }

    @Test("C28: members that are shut down or cancelled amid traffic end within a second, and leave no task, thread or socket")
    func shutdown() async throws {
        let stranger = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let pulse = Pulse()
        defer { pulse.end() }
        let (threads, open) = (try loops(), try descriptors())
        var longest = 0.0
        for _ in 0..<(CrowdStory.isLong ? 100 : 10) {
            let remembered = try await endOne(flooding: stranger, &longest)
            #expect(await eventually { remembered.allSatisfy { $0.service == nil } }, "somebody still holds a member")
        }
        print("the longest shutdown took \(longest) s")
        #expect(longest < pulse.allows(1), "where naps are \(pulse.slowness) times as long")
        #expect(try loops() == threads)
        #expect(try descriptors() == open)
        try await stranger.close()
    }

    private func endOne(flooding stranger: any Channel, _ longest: inout Double) async throws -> [Remembered] {
        try await GossipCrowd.with({ try GossipCrowd(ports: Ports.free(8), .fast) }) { crowd in
            try await crowd.gather()
            let remembered = crowd.everybody.map { Remembered(service: crowd.service($0)) }
            let targets = try crowd.ports.map { try SocketAddress(ipAddress: "127.0.0.1", port: $0) }
            let flood = Task {
                while !Task.isCancelled {
                    for target in targets {
                        try? await stranger.writeAndFlush(
                            AddressedEnvelope(remoteAddress: target, data: ByteBuffer(repeating: 7, count: 900)))
                    }
                }
            }
            try await crowd.wait("the flood") { (crowd.service(7)?.socketCounters?.unknownKey ?? 0) > 10 }
            let times = await withTaskGroup(of: Double.self) { group in
                for member in crowd.everybody {
                    group.addTask {
                        let start = ContinuousClock.now
                        if member % 2 == 0 { await crowd.leave(member) } else { await crowd.kill(member) }
                        return (ContinuousClock.now - start) / .seconds(1)
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            flood.cancel()
            await flood.value
            longest = max(longest, times.max() ?? 0)
            return remembered
        }
    }
}
