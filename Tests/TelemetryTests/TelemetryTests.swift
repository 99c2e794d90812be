import CoreMetrics
import Foundation
import Logging
import Model
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import Testing

@testable import Telemetry

@Suite struct MetricsRegistryTests {
    @Test("a series is shown from the moment it is named, with the value zero")
    func fromZero() {
        let registry = MetricsRegistry()
        _ = registry.makeCounter(label: "coxswain_writes_total", dimensions: [("table", "t")])
        #expect(registry.exposition().contains("# TYPE coxswain_writes_total counter\ncoxswain_writes_total{table=\"t\"} 0\n"))
    }

    @Test("two handles of one name and one set of labels, in any order, are one series")
    func oneSeries() {
        let registry = MetricsRegistry()
        registry.makeCounter(label: "a_total", dimensions: [("x", "1"), ("y", "2")]).increment(by: 2)
        registry.makeCounter(label: "a_total", dimensions: [("y", "2"), ("x", "1")]).increment(by: 3)
        #expect(registry.exposition().contains("a_total{x=\"1\",y=\"2\"} 5\n"))
    }

    @Test("a histogram's buckets are cumulative, and timers are shown in seconds")
    func histogram() {
        let registry = MetricsRegistry()
        let timer = registry.makeTimer(label: "commit_seconds", dimensions: [])
        timer.recordNanoseconds(1_000_000)
        timer.recordNanoseconds(60_000_000_000)
        let text = registry.exposition()
        #expect(text.contains("commit_seconds_bucket{le=\"0.0005\"} 0\n"))
        #expect(text.contains("commit_seconds_bucket{le=\"0.001\"} 1\n"))
        #expect(text.contains("commit_seconds_bucket{le=\"30\"} 1\n"))
        #expect(text.contains("commit_seconds_bucket{le=\"+Inf\"} 2\n"))
        #expect(text.contains("commit_seconds_sum 60.001\n"))
        #expect(text.contains("commit_seconds_count 2\n"))
    }

    @Test("label values are escaped and names are made of allowed letters")
    func escaping() {
        let registry = MetricsRegistry()
        _ = registry.makeMeter(label: "9 é.b", dimensions: [("k-1", "a\"b\\c\nd")])
        #expect(registry.exposition().contains("_9____b{k_1=\"a\\\"b\\\\c\\nd\"} 0\n"))
    }

    @Test("a counter never goes back, and a gauge does")
    func counterAndGauge() {
        let counter = CounterSeries()
        counter.increment(by: 2.5 as Double)
        counter.increment(by: -1 as Double)
        counter.increment(by: Double.nan)
        #expect(counter.current == 2.5)
        let gauge = GaugeSeries()
        gauge.set(3 as Double)
        gauge.decrement(by: 5 as Double)
        #expect(gauge.current == -2)
    }

    @Test("series beyond the limit, and a name used for two kinds, are dropped and counted")
    func limit() {
        let registry = MetricsRegistry(limit: 2)
        _ = registry.makeCounter(label: "a", dimensions: [])
        _ = registry.makeMeter(label: "a", dimensions: [])
        _ = registry.makeCounter(label: "b", dimensions: [])
        _ = registry.makeCounter(label: "c", dimensions: [])
        let text = registry.exposition()
        #expect(text.contains("coxswain_metrics_dropped_total 2\n"))
        #expect(!text.contains("# TYPE c "))
    }
}

@Suite struct JSONLogHandlerTests {
    @Test("one event is one line of JSON, whatever is in it")
    func oneLine() throws {
        let lines = Mutex<[String]>([])
        var logger = Logger(label: "x") { _ in JSONLogHandler(node: "n1", write: { line in lines.withLock { $0.append(line) } })
        }
        logger[metadataKey: "op_id"] = .stringConvertible(17)
        logger.info("a \"quoted\"\nmessage\u{1}", metadata: ["event": "started", "list": ["a", "b"]])
        logger.debug("below the level")
        let written = lines.withLock { $0 }
        #expect(written.count == 1)
        let line = try #require(written.first)
        #expect(line.hasSuffix("}\n") && line.dropLast().allSatisfy { $0 != "\n" })
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["msg"] as? String == "a \"quoted\"\nmessage\u{1}")
        #expect(object["event"] as? String == "started")
        #expect(object["node"] as? String == "n1")
        #expect(object["level"] as? String == "info")
        #expect(object["op_id"] as? Int == 17)
        #expect(object["list"] as? [String] == ["a", "b"])
        #expect((object["ts"] as? String)?.count == 24)
    }
}

@Suite struct HealthServerTests {
    @Test("the three routes answer over HTTP; not ready is 503 and says why")
    func routes() async throws {
        let registry = MetricsRegistry()
        registry.makeCounter(label: "seen_total", dimensions: []).increment(by: 1)
        let (ports, found) = AsyncStream.makeStream(of: Int.self)
        let server = HealthServer(
            host: "127.0.0.1", port: 0, registry: registry, logger: Logger(label: "test"), bound: { found.yield($0) },
            readiness: { Readiness([.init("raft", problem: nil), .init("disk", problem: "full")]) })
        let running = Task { try await server.run() }
        defer { running.cancel() }
        var iterator = ports.makeAsyncIterator()
        let port = try #require(await iterator.next())
        #expect(try await get(port, "/metrics").body.contains("seen_total 1\n"))
        #expect(try await get(port, "/livez").status == 200)
        let ready = try await get(port, "/readyz?verbose")
        #expect(ready.status == 503)
        #expect(ready.body == "[+] raft\n[-] disk: full\nnot ready\n")
        #expect(try await get(port, "/else").status == 404)
    }

    @Test("a request that cannot be read is told why, behind the answers to those before it")
    func unreadable() async throws {
        let (ports, found) = AsyncStream.makeStream(of: Int.self)
        let server = HealthServer(
            host: "127.0.0.1", port: 0, registry: MetricsRegistry(), logger: Logger(label: "test"), bound: { found.yield($0) },
            readiness: { Readiness([]) })
        let running = Task { try await server.run() }
        defer { running.cancel() }
        var iterator = ports.makeAsyncIterator()
        let port = try #require(await iterator.next())
        let good = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        let many = (0...100).map { "x-\($0): a\r\n" }.joined()
        let large = try await converse(port, good + "GET /livez HTTP/1.1\r\nHost: a\r\n" + many + "\r\n")
        #expect(large.hasPrefix("HTTP/1.1 200 OK"), "\(large)")
        #expect(large.contains("HTTP/1.1 431 Request Header Fields Too Large") && large.contains("HEADERS_TOO_LARGE"))
        let body = try #require(large.split(separator: "\r\n\r\n").last)
        #expect(large.contains("content-length: \(body.utf8.count)\r\n") && large.contains("application/problem+json"))
        let nonsense = try await converse(port, "nonsense\r\n\r\n")
        #expect(nonsense.hasPrefix("HTTP/1.1 400 ") && nonsense.contains("MALFORMED_REQUEST"), "\(nonsense)")
    }

    /// All that the server says to `request` until it ends the connection.
    private func converse(_ port: Int, _ request: String) async throws -> String {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: request))
            var said = ByteBuffer()
            for try await part in inbound { said.writeImmutableBuffer(part) }
            return String(buffer: said)
        }
    }

    @Test("an orderly shutdown of a server with an open connection logs no error")
    func quietShutdown() async throws {
        let lines = Mutex<[String]>([])
        let logger = Logger(label: "test") { _ in
            JSONLogHandler(node: "n1", level: .warning) { line in lines.withLock { $0.append(line) } }
        }
        let (ports, found) = AsyncStream.makeStream(of: Int.self)
        let server = HealthServer(
            host: "127.0.0.1", port: 0, registry: MetricsRegistry(), logger: logger, bound: { found.yield($0) },
            readiness: { Readiness([]) })
        let group = ServiceGroup(services: [server], logger: logger)
        let running = Task { try await group.run() }
        var iterator = ports.makeAsyncIterator()
        let port = try #require(await iterator.next())
        let idle = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(host: "127.0.0.1", port: port).get()
        #expect(try await get(port, "/livez").status == 200)
        await group.triggerGracefulShutdown()
        try await running.value
        try await idle.closeFuture.get()
        #expect(lines.withLock { $0 } == [])
    }

    private func get(_ port: Int, _ path: String) async throws -> (status: Int, body: String) {
        // On a thread of its own: the server that is asked needs the cooperative ones.
        let text = try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(with: Result { try Self.curl("http://127.0.0.1:\(port)\(path)") })
            }
        }
        return (Int(text.suffix(3)) ?? 0, String(text.dropLast(3)))
    }

    private static func curl(_ url: String) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["curl", "-s", "-w", "%{http_code}", url]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text
    }
}
