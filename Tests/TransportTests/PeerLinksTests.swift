import Logging
import Model
import Synchronization
import Testing
import Transport
import Wire

@Suite(.timeLimit(.minutes(5))) struct PeerLinksTests {
    /// Collects what arrives, for as long as `body` runs.
    private func withSink(
        _ endpoint: LinkEndpoint, port: Int, into received: borrowing Mutex<[[UInt8]]>,
        _ body: (Int, Tally) async throws -> Void
    ) async throws {
        let arrived = Tally()
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        let listener = LinkListener(
            endpoint: endpoint, address: HostPort(host: "127.0.0.1", port: port),
            handlers: [
                .replication: { link in
                    do {
                        for try await frame in link.frames {
                            continuation.yield(frame)
                            arrived.add(1)
                        }
                    } catch {}
                }
            ], logger: quiet)
        let task = Task { try await listener.run() }
        #expect(await eventually { listener.port != nil })
        try await body(listener.port ?? 0, arrived)
        task.cancel()
        _ = try? await task.value
        continuation.finish()
        for await frame in stream { received.withLock { $0.append(frame) } }
    }

    @Test("a peer that comes back on its address is linked again, and events tell of it")
    func reconnects() async throws {
        let authority = try TestAuthority()
        let server = try authority.endpoint("n1")
        let n1 = try NodeID("n1")
        let links = PeerLinks(endpoint: try authority.endpoint("n2"), conversation: .replication, logger: quiet)
        let keeper = Task { await links.run() }
        let first = Mutex<[[UInt8]]>([])
        let second = Mutex<[[UInt8]]>([])
        var bound = 0
        #expect(!links.send([0], to: n1))
        try await withSink(server, port: 0, into: first) { port, arrived in
            bound = port
            links.setPeers([n1: "127.0.0.1:\(port)"])
            #expect(await eventually { links.connected == [n1] })
            #expect(links.send([1], to: n1))
            #expect(links.send([2], to: n1))
            #expect(await eventually { arrived.value == 2 })
        }
        #expect(first.withLock { $0 } == [[1], [2]])
        #expect(await eventually { links.connected.isEmpty })
        #expect(!links.send([3], to: n1))
        try await withSink(server, port: bound, into: second) { _, arrived in
            #expect(await eventually { links.connected == [n1] })
            #expect(links.send([4], to: n1))
            #expect(await eventually { arrived.value == 1 })
        }
        #expect(second.withLock { $0 } == [[4]])
        #expect(await eventually { links.connected.isEmpty })
        #expect(links.counters.droppedUnconnected == 2)
        keeper.cancel()
        await keeper.value
        var events: [String] = []
        for await event in links.events {
            switch event {
            case .connected(let hello): events.append("+\(hello.node)")
            case .disconnected(let node): events.append("-\(node)")
            case .ended(let node): events.append("ended \(node)")
            case .refused: break
            }
        }
        #expect(events == ["+n1", "-n1", "+n1", "-n1"])
    }

    @Test("a peer whose machine answers that nobody listens there is told of at once, and one that is not found is not")
    func refused() async throws {
        let authority = try TestAuthority()
        let (gone, unknown) = (try NodeID("n1"), try NodeID("n3"))
        var bound = 0
        try await withSink(try authority.endpoint("n1"), port: 0, into: Mutex([])) { port, _ in bound = port }
        let links = PeerLinks(endpoint: try authority.endpoint("n2"), conversation: .raft, logger: quiet)
        let keeper = Task { await links.run() }
        links.setPeers([gone: "127.0.0.1:\(bound)", unknown: "no-such-host.invalid:1"])
        #expect(await eventually { links.counters.failedConnects >= 3 })
        keeper.cancel()
        await keeper.value
        var told: Set<PeerEvent> = []
        for await event in links.events { told.insert(event) }
        #expect(told == [.refused(gone)])
    }

    @Test("a peer that is no longer named loses its link, one that moved is found at its new address, and neither has failed")
    func changes() async throws {
        let authority = try TestAuthority()
        let server = try authority.endpoint("n1")
        let n1 = try NodeID("n1")
        let links = PeerLinks(endpoint: try authority.endpoint("n2"), conversation: .replication, logger: quiet)
        let keeper = Task { await links.run() }
        let first = Mutex<[[UInt8]]>([])
        let second = Mutex<[[UInt8]]>([])
        try await withSink(server, port: 0, into: first) { one, atFirst in
            try await withSink(server, port: 0, into: second) { two, atSecond in
                links.setPeers([n1: "127.0.0.1:\(one)"])
                #expect(await eventually { links.connected == [n1] })
                links.send([1], to: n1)
                #expect(await eventually { atFirst.value == 1 })
                links.setPeers([n1: "127.0.0.1:\(two)"])
                #expect(await eventually { links.counters.connects == 2 && links.connected == [n1] })
                links.send([2], to: n1)
                #expect(await eventually { atSecond.value == 1 })
                links.setPeers([:])
                #expect(await eventually { links.connected.isEmpty })
                #expect(!links.send([3], to: n1))
            }
        }
        #expect(first.withLock { $0 } == [[1]])
        #expect(second.withLock { $0 } == [[2]])
        keeper.cancel()
        await keeper.value
        var told: [PeerEvent] = []
        for await event in links.events { told.append(event) }
        #expect(!told.contains(.disconnected(n1)))
        #expect(told.filter { $0 == .ended(n1) }.count == 2)
    }

    @Test("a peer that is heard of is tried at once, and again as soon as at first")
    func triesAtOnce() async throws {
        let authority = try TestAuthority()
        let n1 = try NodeID("n1")
        let links = PeerLinks(endpoint: try authority.endpoint("n2"), conversation: .replication, logger: quiet)
        let keeper = Task { await links.run() }
        // Nobody listens on the port of a sink that has gone.
        var port = 0
        try await withSink(try authority.endpoint("n1"), port: 0, into: Mutex([])) { bound, _ in port = bound }
        links.setPeers([n1: "127.0.0.1:\(port)"])
        // By then it is tried once in half a second or a whole one.
        #expect(await eventually { links.counters.failedConnects >= 6 })
        let (before, start) = (links.counters.failedConnects, ContinuousClock.now)
        links.noteAlive(n1)
        #expect(await eventually { links.counters.failedConnects >= before + 3 })
        #expect(ContinuousClock.now - start < .milliseconds(450))
        keeper.cancel()
        await keeper.value
    }
}
