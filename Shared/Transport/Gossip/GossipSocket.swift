// The UDP socket of the membership protocol. Datagrams are sealed; whatever does not open, or does not read as a message, is counted
// by its reason and skipped, so that a stranger on the network can waste our time but never end the loop.

package import Logging
package import Membership
package import Model
package import NIOCore
import NIOPosix
import Synchronization
import Wire

package final class GossipSocket: Sendable {
    /// Totals since the start, for metrics.
    package struct Counters: Hashable, Sendable {
        package var received: UInt64 = 0
        package var sent: UInt64 = 0
        package var malformed: UInt64 = 0
        package var unknownKey: UInt64 = 0
        package var forged: UInt64 = 0
        package var replayed: UInt64 = 0
        /// Opened, but no message of ours.
        package var unreadable: UInt64 = 0
        /// Not sent: no such address, too long, or the socket was not open or not writable.
        package var unsent: UInt64 = 0

        package init() {}
    }

    /// Datagrams that are read before time is looked at again: as many as the buffer of a process that was stopped holds. With the usual
    /// four, ticks would be taken between the answers that lie there.
    private static let mostAtOnce: UInt = 1_024
    /// An alarm that rings later than this says that the thread stood still: less than any pause that makes a difference, more than a
    /// timer is late by itself.
    private static let lateness = Span.milliseconds(20)
    /// How often a tick waits for the socket: where every alarm is late, time must pass all the same.
    private static let mostPutOff = 3

    private struct Place {
        let target: SocketAddress
        /// When its name was looked up; nil for one that is its own name.
        var lookedUpAt: LogicalInstant?
    }

    private struct State {
        var counters = Counters()
        var channel: (any Channel)?
        var known: [String: Place] = [:]
    }

    private let address: HostPort
    private let seal: any DatagramSealing
    private let logger: Logger
    private let group: any EventLoopGroup
    private let state = Mutex(State())
    private let resolve: @Sendable (HostPort) throws -> SocketAddress
    private let lookUpAge: Span
    private let received: @Sendable (SwimMessage, String) -> Void
    private let ticked: @Sendable () -> Void
    private let due: @Sendable () -> LogicalInstant
    /// Rings when the next tick is due, or earlier.
    private let alarm = Mutex<(due: LogicalInstant, task: Scheduled<Void>)?>(nil)

    /// - Parameters:
    ///   - received: called for each message with the `host:port` that it came from.
    ///   - ticked: called when `due` says. Both are called on one thread, one at a time, and must not block; what the socket
    ///     holds is handed over before the next tick, so that a process that was stopped does not take that for its peers' silence.
    ///   - due: when the next tick is due; asked after each tick, and whenever `dueChanged` says so.
    ///   - resolve: looks up a name; may block.
    ///   - lookUpAge: after this a name is looked up again: its machine may have got another address.
    package init(
        address: HostPort, seal: any DatagramSealing, logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        received: @escaping @Sendable (_ message: SwimMessage, _ address: String) -> Void,
        ticked: @escaping @Sendable () -> Void, due: @escaping @Sendable () -> LogicalInstant,
        resolve: @escaping @Sendable (HostPort) throws -> SocketAddress = {
            try SocketAddress.makeAddressResolvingHost($0.host, port: $0.port)
        }, lookUpAge: Span = .seconds(10)
    ) {
        self.address = address
        self.seal = seal
        self.logger = logger
        self.group = group
        self.received = received
        self.ticked = ticked
        self.due = due
        self.resolve = resolve
        self.lookUpAge = lookUpAge
    }

    package var counters: Counters { state.withLock { $0.counters } }
    /// The bound port, once `run` has bound it.
    package var port: Int? { state.withLock { $0.channel?.localAddress?.port } }

    /// Sends one message, without waiting; a lost one is as if the network had lost it.
    ///
    /// - Parameter address: `host:port`; a name is looked up, and again from time to time, while the last answer holds.
    package func send(_ message: SwimMessage, to address: String) {
        let (channel, place) = state.withLock { ($0.channel, $0.known[address]) }
        guard let channel else { return count { $0.unsent += 1 } }
        if let place {
            write(message, to: place.target, on: channel)
            if let at = place.lookedUpAt, BootClock.now() - at >= lookUpAge { lookUpAgain(address, place.target, on: channel) }
        } else if let host = HostPort(address), let literal = try? SocketAddress(ipAddress: host.host, port: host.port) {
            remember(Place(target: literal), as: address)
            write(message, to: literal, on: channel)
        } else if let host = HostPort(address) {
            lookUp(host, on: channel) { [self] target in
                guard let target else { return count { $0.unsent += 1 } }
                remember(Place(target: target, lookedUpAt: BootClock.now()), as: address)
                write(message, to: target, on: channel)
            }
        } else {
            count { $0.unsent += 1 }
        }
    }

    /// What was known before is kept when there is no answer: a name server that is gone takes no member with it.
    private func lookUpAgain(_ address: String, _ target: SocketAddress, on channel: any Channel) {
        guard let host = HostPort(address) else { return }
        // As of now, so that only one asks.
        remember(Place(target: target, lookedUpAt: BootClock.now()), as: address)
        lookUp(host, on: channel) { [self] found in
            guard let found else { return }
            remember(Place(target: found, lookedUpAt: BootClock.now()), as: address)
        }
    }

    /// A look-up may block, so it is not done on this thread.
    private func lookUp(
        _ host: HostPort, on channel: any Channel, _ then: @escaping @Sendable (SocketAddress?) -> Void
    ) {
        NIOThreadPool.singleton.runIfActive(eventLoop: channel.eventLoop) { [resolve] in try resolve(host) }
            .whenComplete { then(try? $0.get()) }
    }

    /// Binds and receives until it is cancelled; a shutdown is its owner's affair, who has a good-bye to send before.
    package func run() async throws {
        let channel = try await DatagramBootstrap(group: group)
            .channelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .channelOption(ChannelOptions.socketOption(.so_rcvbuf), value: 1 << 20)
            .channelOption(ChannelOptions.maxMessagesPerRead, value: Self.mostAtOnce)
            .channelOption(ChannelOptions.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 2_048))
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        DatagramHandler(receive: { self.receive($0, from: $1) }, logger: self.logger))
                }
            }
            .bind(host: address.host, port: address.port).get()
        state.withLock { $0.channel = channel }
        dueChanged()
        await withTaskCancellationHandler {
            // It ends only by being closed, so there is nothing to learn from how.
            try? await channel.closeFuture.get()
        } onCancel: {
            channel.close(promise: nil)
        }
        state.withLock { $0.channel = nil }
        alarm.withLock { $0?.task.cancel() }
    }

    // MARK: - Time

    /// To be called when the next tick may be due earlier than it was; on any thread.
    package func dueChanged() {
        let due = due()
        guard let loop = state.withLock({ $0.channel })?.eventLoop else { return }
        if loop.inEventLoop { return setAlarm(on: loop) }
        // One that rings too early asks again, and is set anew: no reason to wake the thread.
        guard alarm.withLock({ $0.map { due < $0.due } ?? true }) else { return }
        loop.execute { self.setAlarm(on: loop) }
    }

    private func setAlarm(on loop: any EventLoop) {
        let due = due()
        alarm.withLock { alarm in
            if let alarm {
                guard due != alarm.due else { return }
                alarm.task.cancel()
            }
            let wait = max(due - BootClock.now(), .milliseconds(1))
            alarm = (due, scheduled(in: wait, on: loop))
        }
    }

    private func scheduled(in wait: Span, on loop: any EventLoop, putOff: Int = 0) -> Scheduled<Void> {
        let time = BootClock.now() + wait
        return loop.scheduleTask(in: .microseconds(wait.microseconds)) { self.ring(setFor: time, putOff: putOff) }
    }

    /// A thread that stood still may look at its timers first. What lies in the socket is handed over before the tick, as the core asks.
    private func ring(setFor time: LogicalInstant, putOff: Int) {
        alarm.withLock { $0 = nil }
        guard let loop = state.withLock({ $0.channel })?.eventLoop else { return }
        let due = due()
        let now = BootClock.now()
        if now - time > Self.lateness, putOff < Self.mostPutOff {
            return alarm.withLock { $0 = (due, scheduled(in: .milliseconds(1), on: loop, putOff: putOff + 1)) }
        }
        if due <= now { ticked() }
        dueChanged()
    }

    private func receive(_ datagram: [UInt8], from sender: SocketAddress) {
        count { $0.received += 1 }
        let plain: [UInt8]
        do throws(DatagramRefusal) {
            plain = try seal.open(datagram)
        } catch {
            switch error {
            case .malformed: return count { $0.malformed += 1 }
            case .unknownKey: return count { $0.unknownKey += 1 }
            case .forged: return count { $0.forged += 1 }
            case .replayed: return count { $0.replayed += 1 }
            }
        }
        guard let message = try? SwimMessage(bytes: plain) else { return count { $0.unreadable += 1 } }
        received(message, HostPort(host: sender.ipAddress ?? "", port: sender.port ?? 0).description)
    }

    private func write(_ message: SwimMessage, to target: SocketAddress, on channel: any Channel) {
        guard let sealed = try? seal.seal(message.serialized()), sealed.count <= Limits.datagramBytes, channel.isWritable else {
            return count { $0.unsent += 1 }
        }
        count { $0.sent += 1 }
        channel.writeAndFlush(AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: sealed)), promise: nil)
    }

    private func remember(_ place: Place, as address: String) {
        state.withLock { state in
            // Members come and go, but never in such numbers: a bound against hostile gossip.
            if state.known.count >= 16_384 { state.known = [:] }
            state.known[address] = place
        }
    }

    private func count(_ change: (inout Counters) -> Void) {
        state.withLock { change(&$0.counters) }
    }
}

/// Hands datagrams over; an error of the socket (an ICMP refusal, say) is no reason to stop.
private final class DatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let receive: ([UInt8], SocketAddress) -> Void
    private let logger: Logger

    init(receive: @escaping ([UInt8], SocketAddress) -> Void, logger: Logger) {
        self.receive = receive
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        receive(Array(envelope.data.readableBytesView), envelope.remoteAddress)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("gossip socket", metadata: ["error": "\(error)"])
    }
}
