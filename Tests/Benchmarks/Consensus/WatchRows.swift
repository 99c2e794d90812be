// One change told to a thousand watchers of one member, each with a connection of its own.

import Client
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

enum WatchRows {
    private static let watchers = 1_000

    static func run(
        _ groups: [any ComparedGroup], _ settings: BenchSettings, _ report: Benchmarks.Report
    ) async throws {
        var (last, median, processor, loader) = (Compared(groups), Compared(groups), Compared(groups), Compared(groups))
        var note: String?
        for (number, group) in groups.enumerated() {
            let leader = try await group.leader()
            let crowd = WatchCrowd(group, at: leader)
            do {
                try await crowd.connect(watchers)
                for round in 0..<(settings.full ? 25 : 11) {
                    try await Task.sleep(for: .milliseconds(100))
                    let before = (try await group.cost().processor, ClosedLoop.processorTime())
                    let times = try await crowd.times(ofChange: round)
                    let after = (try await group.cost().processor, ClosedLoop.processorTime())
                    last.add(times.percentile(1), of: number)
                    median.add(times.median, of: number)
                    processor.add((after.0 - before.0) * 1e3, of: number)
                    loader.add((after.1 - before.1) * 1e3, of: number)
                }
            } catch { note = "\(group.title): \(error)" }
            try await crowd.end()
        }
        report(last.row("put to the last of \(watchers) watchers", "ms", ask: .atMost(15), note: note))
        report(median.row("put to the median of them", "ms"))
        report(processor.row("processor time of the three for it", "ms"))
        report(loader.row("the loader's for it", "ms"))
    }
}

/// Connections on which changes are told.
private final class WatchCrowd: Sendable {
    struct State {
        var open = 0
        var failure: String?
        var arrivals: [NIODeadline] = []
    }

    private let state = Mutex(State())
    private let group: any ComparedGroup
    private let member: GroupMember
    private let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    init(_ group: any ComparedGroup, at member: GroupMember) {
        self.group = group
        self.member = member
    }

    func connect(_ count: Int) async throws {
        let context = try NIOSSLContext(configuration: group.cluster.context.tls)
        let (request, host) = (group.watch("watched"), "127.0.0.1:\(member.port)")
        // A few at a time: what is measured is not who can make the most handshakes.
        for start in stride(from: 0, to: count, by: 50) {
            let end = min(start + 50, count)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in start..<end {
                    tasks.addTask { [self] in
                        _ = try await ClientBootstrap(group: loops)
                            .channelInitializer { channel in
                                channel.eventLoop.makeCompletedFuture {
                                    let pipeline = channel.pipeline.syncOperations
                                    try pipeline.addHandler(try NIOSSLClientHandler(context: context, serverHostname: nil))
                                    try pipeline.addHTTPClientHandlers()
                                    try pipeline.addHandler(
                                        WatchHandler(request, host: host, told: self.group.notification, self))
                                }
                            }
                            .connect(host: "127.0.0.1", port: member.port).get()
                    }
                }
                try await tasks.waitForAll()
            }
            try await group.cluster.eventually("\(end) watchers to be served", within: 20, everyMilliseconds: 5) {
                if let failure = state.withLock({ $0.failure }) { throw BenchFailure(failure) }
                return state.withLock { $0.open } >= end ? () : nil
            }
        }
    }

    func opened() { state.withLock { $0.open += 1 } }
    func told() { state.withLock { $0.arrivals.append(.now()) } }
    func failed(_ why: String) { state.withLock { $0.failure = $0.failure ?? why } }

    /// Milliseconds from handing a change in to each watcher's hearing of it.
    func times(ofChange number: Int) async throws -> Samples {
        let count = state.withLock { state in
            state.arrivals = []
            return state.open
        }
        let start = NIODeadline.now()
        let answer = try await group.ask(group.put("watched", "change \(number)"), at: member, milliseconds: 3_000)
        guard answer.status == 200 else { throw BenchFailure("put: \(answer.status)") }
        return try await group.cluster.eventually("\(count) watchers to be told", within: 10, everyMilliseconds: 1) {
            let arrivals = state.withLock { $0.arrivals.count >= count ? $0.arrivals : nil }
            return arrivals.map { arrivals in
                var samples = Samples()
                for arrival in arrivals { samples.add(Double((arrival - start).nanoseconds) / 1e6) }
                return samples
            }
        }
    }

    func end() async throws { try await loops.shutdownGracefully() }
}

private final class WatchHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let request: ClosedLoop.Request
    private let host: String
    /// What is looked for. Notifications are far smaller than a TLS record, so none is cut in two.
    private let told: [UInt8]
    private let crowd: WatchCrowd
    private var isOpen = false

    init(_ request: ClosedLoop.Request, host: String, told: String, _ crowd: WatchCrowd) {
        self.request = request
        self.host = host
        self.told = Array(told.utf8)
        self.crowd = crowd
    }

    func channelActive(context: ChannelHandlerContext) {
        var head = HTTPRequestHead(version: .http1_1, method: request.method, uri: request.path)
        head.headers.add(name: "host", value: host)
        head.headers.add(name: "content-length", value: String(request.body.utf8.count))
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(context.channel.allocator.buffer(string: request.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            if head.status != .ok { crowd.failed("\(head.status)") }
        case .body(let buffer):
            // The first words say that the watcher is served.
            if !isOpen {
                isOpen = true
                crowd.opened()
            }
            if buffer.readableBytesView.firstRange(of: told) != nil { crowd.told() }
        case .end: crowd.failed("the stream ended")
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        crowd.failed("\(error)")
        context.close(promise: nil)
    }
}
