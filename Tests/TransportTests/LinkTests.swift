import Glibc
import Identity
import Logging
import Model
import NIOCore
import NIOPosix
import ProcessKit
import Testing
import Transport
import Wire

@Suite(.timeLimit(.minutes(5))) struct LinkTests {
    /// Runs a listener that echoes on every conversation, for as long as `body` runs.
    private func withEcho(
        _ endpoint: LinkEndpoint, limits: LinkLimits = LinkLimits(), port: Int = 0,
        _ body: (LinkListener, String) async throws -> Void
    ) async throws {
        let echo: LinkListener.Handler = { link in
            do { for try await frame in link.frames { try await link.send(frame) } } catch {}
        }
        let listener = LinkListener(
            endpoint: endpoint, address: HostPort(host: "127.0.0.1", port: port),
            handlers: [.replication: echo, .session: echo, .raft: echo], limits: limits, logger: quiet)
        let task = Task { try await listener.run() }
        defer { task.cancel() }
        #expect(await eventually { listener.port != nil })
        try await body(listener, "127.0.0.1:\(listener.port ?? 0)")
        task.cancel()
        _ = try? await task.value
    }

    @Test("frames of many sizes come back in order over mutual TLS, and each side knows the other")
    func echo() async throws {
        let authority = try TestAuthority()
        let dialer = LinkDialer(endpoint: try authority.endpoint("n2"))
        try await withEcho(try authority.endpoint("n1")) { _, address in
            let link = try await dialer.connect(to: address, expecting: NodeID("n1"), conversation: .replication)
            #expect(link.peer.node == (try NodeID("n1")))
            #expect(link.identity.role == .node)
            let frames = [0, 1, 1_000, 70_000, 3 << 20, 5].map { size in (0..<size).map { UInt8(truncatingIfNeeded: $0) } }
            for frame in frames { try await link.send(frame) }
            for frame in frames { #expect(try await link.receive() == frame) }
            await link.close()
            #expect(try await link.receive() == nil)
        }
    }

    @Test("an end is known to be the peer's: its process closed the link, or was gone; not so one that this side made")
    func whoEnded() async throws {
        let authority = try TestAuthority()
        let dialer = LinkDialer(endpoint: try authority.endpoint("n2"))
        let leave: LinkListener.Handler = { link in
            // The first frame says how to go.
            if let first = try? await link.receive(), first == [1] { await link.close() } else { link.abort() }
        }
        let listener = LinkListener(
            endpoint: try authority.endpoint("n1"), address: HostPort(host: "127.0.0.1", port: 0),
            handlers: [.replication: leave], logger: quiet)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            #expect(await eventually { listener.port != nil })
            let address = "127.0.0.1:\(listener.port ?? 0)"
            for farewell in [[1], [2], []] as [[UInt8]] {
                let link = try await dialer.connect(to: address, expecting: NodeID("n1"), conversation: .replication)
                if farewell.isEmpty { link.abort() } else { try await link.send(farewell) }
                while try await link.receive() != nil {}
                #expect(link.isEndedByPeer == !farewell.isEmpty)
            }
            group.cancelAll()
        }
    }

    @Test("closing waits for what was sent")
    func closeFlushes() async throws {
        let authority = try TestAuthority()
        let received = Tally()
        let sink: LinkListener.Handler = { link in
            do { for try await frame in link.frames { received.add(frame.count) } } catch {}
        }
        let listener = LinkListener(
            endpoint: try authority.endpoint("n1"), address: HostPort(host: "127.0.0.1", port: 0),
            handlers: [.replication: sink], logger: quiet)
        let endpoint = try authority.endpoint("n2")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            #expect(await eventually { listener.port != nil })
            let link = try await LinkDialer(endpoint: endpoint)
                .connect(to: "127.0.0.1:\(listener.port ?? 0)", conversation: .replication)
            for _ in 0..<50 { try await link.send([UInt8](repeating: 9, count: 1 << 20)) }
            await link.close()
            #expect(await eventually { received.value == 50 << 20 })
            group.cancelAll()
        }
    }

    @Test("a member of another authority, of another cluster, or under another name is refused")
    func strangers() async throws {
        let authority = try TestAuthority()
        let other = try TestAuthority()
        let otherCluster = try ClusterID("ffffffffffffffffffffffffffffffff")
        let strangers = [
            try other.endpoint("n2"), try authority.endpoint("n2", says: otherCluster),
            try authority.endpoint("n2", certified: "n3"), try authority.endpoint("n2", role: .operator),
        ]
        try await withEcho(try authority.endpoint("n1")) { listener, address in
            for stranger in strangers {
                await #expect(throws: LinkError.self) {
                    try await LinkDialer(endpoint: stranger).connect(to: address, conversation: .replication)
                }
            }
            #expect(await eventually { listener.counters.refused == UInt64(strangers.count) })
            #expect(listener.counters.accepted == 0)
        }
    }

    @Test("a conversation is open only to the role that holds it, and only where it is served")
    func roles() async throws {
        let authority = try TestAuthority()
        let node = try authority.endpoint("n2")
        let coordinator = try authority.endpoint("c1", role: .coordinator)
        try await withEcho(try authority.endpoint("n1")) { _, address in
            await #expect(throws: LinkError.self) {
                try await LinkDialer(endpoint: node).connect(to: address, conversation: .raft)
            }
            await #expect(throws: LinkError.self) {
                try await LinkDialer(endpoint: node).connect(to: address, conversation: .copy)
            }
            await #expect(throws: LinkError.self) {
                try await LinkDialer(endpoint: coordinator).connect(to: address, conversation: .replication)
            }
            let link = try await LinkDialer(endpoint: coordinator).connect(to: address, conversation: .raft)
            #expect(link.identity.role == .node)
        }
    }

    @Test("a peer that closes right behind its hello was there, however late it is looked at")
    func briefly() async throws {
        let authority = try TestAuthority()
        let dialer = LinkDialer(endpoint: try authority.endpoint("n2"))
        try await withEcho(try authority.endpoint("n1")) { _, address in
            for _ in 0..<200 {
                let link = try await dialer.connect(to: address, expecting: NodeID("n1"), conversation: .probe)
                #expect(link.identity.role == .node)
                link.abort()
            }
        }
    }

    @Test("a dialler that expects somebody else refuses who is there")
    func expectation() async throws {
        let authority = try TestAuthority()
        let dialer = LinkDialer(endpoint: try authority.endpoint("n2"))
        try await withEcho(try authority.endpoint("n1")) { _, address in
            await #expect(throws: LinkError.refusedHello("expected n9, found n1")) {
                try await dialer.connect(to: address, expecting: NodeID("n9"), conversation: .replication)
            }
        }
    }

    @Test("a frame above the limit ends the link with an error that names the sizes")
    func oversize() async throws {
        let authority = try TestAuthority()
        let dialer = LinkDialer(endpoint: try authority.endpoint("n2"))
        var small = LinkLimits()
        small.frameBytes = 1_000
        try await withEcho(try authority.endpoint("n1"), limits: small) { _, address in
            let link = try await dialer.connect(to: address, conversation: .replication)
            try await link.send([UInt8](repeating: 1, count: 1_000))
            #expect(try await link.receive()?.count == 1_000)
            try await link.send([UInt8](repeating: 1, count: 1_001))
            #expect(try await link.receive() == nil)
        }
    }

    @Test("garbage, half a hello and silence on the port leave the listener serving")
    func garbage() async throws {
        let authority = try TestAuthority()
        let endpoint = try authority.endpoint("n2")
        var limits = LinkLimits()
        limits.helloDeadline = .milliseconds(200)
        try await withEcho(try authority.endpoint("n1"), limits: limits) { listener, address in
            var generator = SeededGenerator(seed: 1)
            for round in 0..<30 {
                let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(host: "127.0.0.1", port: listener.port ?? 0).get()
                let bytes = (0..<round * 40).map { _ in UInt8.random(in: 0...255, using: &generator) }
                let buffer = ByteBuffer(bytes: round % 2 == 0 ? bytes : [0x16, 0x03, 0x01] + bytes)
                try? await channel.writeAndFlush(buffer)
                if round % 3 == 0 { try? await channel.close() }
            }
            #expect(await eventually { listener.counters.refused == 30 })
            #expect(await eventually { listener.counters.open == 0 })
            let link = try await LinkDialer(endpoint: endpoint).connect(to: address, conversation: .replication)
            try await link.send([1, 2, 3])
            #expect(try await link.receive() == [1, 2, 3])
        }
    }

    @Test("a reader that does not take holds the sender back, and nothing is lost when it goes on")
    func backPressure() async throws {
        let authority = try TestAuthority()
        let dialer = LinkDialer(endpoint: try authority.endpoint("n2"))
        try await withEcho(try authority.endpoint("n1")) { _, address in
            let link = try await dialer.connect(to: address, conversation: .replication)
            let sent = Tally()
            let total = 200
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for number in 0..<total {
                        try await link.send([UInt8](repeating: UInt8(number), count: 1 << 20))
                        sent.set(number + 1)
                    }
                }
                // The echo waits for us, and we do not take: the sender comes to a stop.
                var last = -1
                #expect(
                    await eventually {
                        let now = sent.value
                        defer { last = now }
                        try? await Task.sleep(for: .milliseconds(50))
                        return now == last
                    })
                #expect(sent.value < total)
                for number in 0..<total { #expect(try await link.receive()?.first == UInt8(number)) }
                try await group.waitForAll()
            }
        }
    }

    @Test("a reader that pauses for longer than a dead peer is given keeps its link, and everything on it")
    func pausedReader() async throws {
        let authority = try TestAuthority()
        let (received, total) = (Tally(), 64)
        let late: LinkListener.Handler = { link in
            try? await Task.sleep(for: .seconds(7))
            do { for try await frame in link.frames { received.add(frame.count >> 20) } } catch {}
        }
        let listener = LinkListener(
            endpoint: try authority.endpoint("n1"), address: HostPort(host: "127.0.0.1", port: 0),
            handlers: [.replication: late], logger: quiet)
        let endpoint = try authority.endpoint("n2")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            #expect(await eventually { listener.port != nil })
            let link = try await LinkDialer(endpoint: endpoint)
                .connect(to: "127.0.0.1:\(listener.port ?? 0)", conversation: .replication)
            for _ in 0..<total { try await link.send([UInt8](repeating: 7, count: 1 << 20)) }
            #expect(await eventually { received.value == total }, "\(received.value) of \(total) frames")
            #expect(!link.isClosed)
            group.cancelAll()
        }
    }

    @Test("offers beyond the bound are refused, not kept")
    func offers() async throws {
        let authority = try TestAuthority()
        var limits = LinkLimits()
        limits.offerFrames = 10
        let dialer = LinkDialer(endpoint: try authority.endpoint("n2"), limits: limits)
        try await withEcho(try authority.endpoint("n1")) { _, address in
            let link = try await dialer.connect(to: address, conversation: .replication)
            let taken = (0..<1_000).filter { _ in link.offer([UInt8](repeating: 0, count: 100_000)) }.count
            #expect(taken < 1_000)
            for _ in 0..<taken { #expect(try await link.receive()?.count == 100_000) }
        }
    }

    @Test("a cancelled reader stops waiting and the link goes on")
    func cancelledReader() async throws {
        let authority = try TestAuthority()
        let dialer = LinkDialer(endpoint: try authority.endpoint("n2"))
        try await withEcho(try authority.endpoint("n1")) { _, address in
            let link = try await dialer.connect(to: address, conversation: .replication)
            let reader = Task { try await link.receive() }
            reader.cancel()
            await #expect(throws: LinkError.cancelled) { try await reader.value }
            try await link.send([4])
            #expect(try await link.receive() == [4])
        }
    }

    @Test("what a link may take in all, its connection may not take for itself")
    func deadlineOfAll() async throws {
        let full = try FullListener()
        defer { full.end() }
        var limits = LinkLimits()
        limits.connectTimeout = .seconds(120)
        limits.unacknowledged = .seconds(240)
        let dialer = LinkDialer(endpoint: try TestAuthority().endpoint("n2"), limits: limits)
        let start = ContinuousClock.now
        await #expect(throws: LinkError.self) {
            try await dialer.connect(
                to: "127.0.0.1:\(full.port)", expecting: NodeID("n1"), conversation: .probe, timeout: .milliseconds(300))
        }
        #expect(start.duration(to: .now) < .seconds(60))
    }
}

/// A port whose kernel takes no more connections, and says nothing: as a host that drops what comes.
private struct FullListener {
    struct Failed: Error {}

    let port: Int
    private let sockets: [Int32]

    init() throws {
        port = Ports.free(1)[0]
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard address.withSockAddr({ bind(listener, $0, socklen_t($1)) }) == 0, listen(listener, 0) == 0 else { throw Failed() }
        var sockets = [listener]
        // Two more than wait for somebody who accepts them.
        for _ in 0..<4 {
            let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            _ = address.withSockAddr { connect(client, $0, socklen_t($1)) }
            sockets.append(client)
        }
        self.sockets = sockets
    }

    func end() { for socket in sockets { close(socket) } }
}
