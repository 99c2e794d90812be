// Clients that each hold one TLS connection and send their next request when the last one is answered. Made of the least that speaks
// HTTP, so that on a small machine the load does not take the processor from what it measures; how much it took is said all the same.

import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

struct ClosedLoop: Sendable {
    struct Request: Sendable {
        let method: HTTPMethod
        let path: String
        let body: String
        /// Beside the client's own.
        var headers: [(String, String)] = []
    }

    struct Client: Sendable {
        let host: String
        let port: Int
        let headers: [(String, String)]
        /// Whether what was refused is asked again before anything else.
        var insists = false
        /// The request of that turn; nil when this client has no more to ask.
        let request: @Sendable (Int) -> Request?
    }

    struct Measured: Sendable {
        /// Milliseconds of each answer with a status of success that came within the measured time.
        var times = Samples()
        var seconds = 0.0
        /// Other answers, and broken connections; the first of them in words.
        var failures = 0
        var firstFailure: String?
        /// Whether a client had no more to ask.
        fileprivate var isDone = false
        /// Seconds of processor time that this process used meanwhile.
        var ownProcessor = 0.0

        var rate: Double { Double(times.values.count) / seconds }

        fileprivate mutating func add(_ other: Measured) {
            times.add(other.times)
            failures += other.failures
            firstFailure = firstFailure ?? other.firstFailure
        }
    }

    let tls: TLSConfiguration

    /// Runs `clients` for a warm-up and the measured time.
    /// - Parameters:
    ///   - begin: called when the warm-up is over.
    ///   - end: called when the measured time is over.
    /// - Throws: when a connection cannot be made.
    func run(
        _ clients: [Client], warmUp: Double = 0.7, seconds: Double, begin: () async throws -> Void = {},
        end: () async throws -> Void = {}
    ) async throws -> Measured {
        let context = try NIOSSLContext(configuration: tls)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var total = Measured()
        do {
            let start = NIODeadline.now()
            let from = start + .milliseconds(Int64(warmUp * 1_000))
            let until = from + .milliseconds(Int64(seconds * 1_000))
            let results = try await withThrowingTaskGroup(of: EventLoopFuture<Measured>.self) { tasks in
                for client in clients {
                    tasks.addTask { try await connect(client, context, group, from: from, until: until) }
                }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            try await Self.sleep(until: from)
            try await begin()
            let before = Self.processorTime()
            try await Self.sleep(until: until)
            total.ownProcessor = Self.processorTime() - before
            try await end()
            for result in results { total.add(try await result.get()) }
            total.seconds = seconds
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
        guard !total.times.values.isEmpty else { throw BenchFailure(total.firstFailure ?? "no answer at all") }
        return total
    }

    /// Runs `clients` until none of them has any more to ask.
    /// - Returns: how many requests were refused, and the first refusal.
    /// - Throws: when one of them cannot ask all that it has to ask within `limit` seconds.
    func exhaust(_ clients: [Client], limit: Double) async throws -> (refused: Int, first: String?) {
        let context = try NIOSSLContext(configuration: tls)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let start = NIODeadline.now()
        let until = start + .milliseconds(Int64(limit * 1_000))
        var total = Measured()
        do {
            total = try await withThrowingTaskGroup(of: Measured.self) { tasks in
                for client in clients {
                    tasks.addTask { try await connect(client, context, group, from: start, until: until).get() }
                }
                return try await tasks.reduce(into: Measured()) { total, measured in
                    guard measured.isDone else { throw BenchFailure(measured.firstFailure ?? "not done after \(Int(limit)) s") }
                    total.add(measured)
                }
            }
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
        return (total.failures, total.firstFailure)
    }

    private func connect(
        _ client: Client, _ context: NIOSSLContext, _ group: MultiThreadedEventLoopGroup, from: NIODeadline, until: NIODeadline
    ) async throws -> EventLoopFuture<Measured> {
        let loop = group.next()
        let done = loop.makePromise(of: Measured.self)
        do {
            _ = try await ClientBootstrap(group: loop)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(try NIOSSLClientHandler(context: context, serverHostname: nil))
                        try pipeline.addHTTPClientHandlers()
                        try pipeline.addHandler(ClosedLoopHandler(client, from: from, until: until, done: done))
                    }
                }
                .connect(host: client.host, port: client.port).get()
        } catch {
            done.fail(error)
            throw error
        }
        return done.futureResult
    }

    private static func sleep(until deadline: NIODeadline) async throws {
        let left = (deadline - NIODeadline.now()).nanoseconds
        if left > 0 { try await Task.sleep(for: .nanoseconds(left)) }
    }

    static func processorTime() -> Double {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }
}

/// One client's connection.
private final class ClosedLoopHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    /// How long an answer may be late before the connection is given up.
    private static let patience = TimeAmount.seconds(10)

    private let client: ClosedLoop.Client
    private let headers: HTTPHeaders
    private let from: NIODeadline
    private let until: NIODeadline
    private let done: EventLoopPromise<ClosedLoop.Measured>
    private var measured = ClosedLoop.Measured()
    private var turn = 0
    private var sent = NIODeadline.distantPast
    private var status = HTTPResponseStatus.ok
    private var refusal = ""

    init(
        _ client: ClosedLoop.Client, from: NIODeadline, until: NIODeadline, done: EventLoopPromise<ClosedLoop.Measured>
    ) {
        self.client = client
        headers = HTTPHeaders(
            [("host", "\(client.host):\(client.port)"), ("content-type", "application/json")] + client.headers)
        self.from = from
        self.until = until
        self.done = done
    }

    func channelActive(context: ChannelHandlerContext) {
        context.eventLoop.assumeIsolated().scheduleTask(deadline: until + Self.patience) { context.close(promise: nil) }
        // The first request waits within the TLS handler for the handshake, and falls into the warm-up.
        send(context)
        context.fireChannelActive()
    }

    private func send(_ context: ChannelHandlerContext) {
        guard let request = client.request(turn) else {
            measured.isDone = true
            return context.close(promise: nil)
        }
        turn += 1
        var head = HTTPRequestHead(version: .http1_1, method: request.method, uri: request.path, headers: headers)
        head.headers.add(contentsOf: request.headers)
        head.headers.add(name: "content-length", value: String(request.body.utf8.count))
        sent = .now()
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(string: request.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            status = head.status
            refusal = ""
        case .body(let buffer):
            if !(200..<300).contains(status.code), refusal.utf8.count < 1_024 { refusal += String(buffer: buffer) }
        case .end: answered(context)
        }
    }

    private func answered(_ context: ChannelHandlerContext) {
        let now = NIODeadline.now()
        if !(200..<300).contains(status.code) {
            failed("\(status.code) \(refusal)")
            if client.insists { turn -= 1 }
        } else if now >= from, now < until {
            measured.times.add(Double((now - sent).nanoseconds) / 1e6)
        }
        guard now < until else { return context.close(promise: nil) }
        send(context)
    }

    private func failed(_ why: String) {
        measured.failures += 1
        measured.firstFailure = measured.firstFailure ?? why
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failed("\(error)")
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if NIODeadline.now() < until, !measured.isDone { failed("the connection ended") }
        done.succeed(measured)
        context.fireChannelInactive()
    }
}
