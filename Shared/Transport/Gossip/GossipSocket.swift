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
        /// Not sent: no such address, none that can be reached from here, too long, or the socket was not open or is full.
        package var unsent: UInt64 = 0

        package init() {}
    }

    private struct State {
        var counters = Counters()
        /// It was open once; until then it is about to be.
        var wasOpen = false
        /// What is read, and what sends from the same address.
        var open: (channel: any Channel, sender: DatagramSender)?
        /// Addresses that are their own names.
        var literals: [String: SocketAddress] = [:]
        var names: AddressBook<SocketAddress, SwimMessage>
    }

    private let address: HostPort
    private let seal: any DatagramSealing
    private let logger: Logger
    private let group: any EventLoopGroup
    private let state: Mutex<State>
    private let resolve: @Sendable (HostPort) throws -> SocketAddress
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
        state = Mutex(State(names: AddressBook(age: lookUpAge)))
    }

    package var counters: Counters { state.withLock { $0.counters } }
    /// What is read now; nil while there is none.
    var channel: (any Channel)? { state.withLock { $0.open?.channel } }
    /// Whether what was open has ended, and nothing has come in its place yet.
    var isLost: Bool { state.withLock { $0.wasOpen && $0.open == nil } }
    /// The bound port, once `run` has bound it.
    package var port: Int? { channel?.localAddress?.port }

    /// Sends one message, without waiting; a lost one is as if the network had lost it.
    ///
    /// - Parameter address: `host:port`; a name is looked up, and again from time to time, while the last answer holds.
    package func send(_ message: SwimMessage, to address: String) {
        let (isOpen, literal) = state.withLock { ($0.open != nil, $0.literals[address]) }
        guard isOpen else { return count { $0.unsent += 1 } }
        if let literal { return write(message, to: literal) }
        guard let host = HostPort(address) else { return count { $0.unsent += 1 } }
        if let literal = try? SocketAddress(ipAddress: host.host, port: host.port) {
            state.withLock { state in
                if state.literals.count >= GossipLimits.literals { state.literals = [:] }
                state.literals[address] = literal
            }
            return write(message, to: literal)
        }
        switch state.withLock({ $0.names.post(message, to: address, at: BootClock.now()) }) {
        case .send(let target, let asks):
            write(message, to: target)
            if asks { lookUp(host, as: address) }
        case .waits(let asks, let displaces):
            if displaces { count { $0.unsent += 1 } }
            if asks { lookUp(host, as: address) }
        case .full: count { $0.unsent += 1 }
        }
    }

    /// It may block, so it is not done on this thread. It may also take longer than the socket lives, or its thread: so it holds
    /// neither, or the address would be taken for as long.
    private func lookUp(_ host: HostPort, as address: String) {
        NIOThreadPool.singleton.runIfActive(eventLoop: MultiThreadedEventLoopGroup.singleton.any()) { [resolve] in
            try resolve(host)
        }
        .whenComplete { [self] result in
            let target = try? result.get()
            guard let waiting = state.withLock({ $0.names.answer(target, for: address, at: BootClock.now()) }) else {
                return
            }
            guard let target else { return count { $0.unsent += 1 } }
            write(waiting, to: target)
        }
    }

    /// Binds and receives until it is cancelled; a shutdown is its owner's affair, who has a good-bye to send before. Whatever else ends
    /// the socket, another one is opened at its address.
    ///
    /// - Throws: `IOError` or `SocketAddressError`, when it could not be bound for the first time.
    package func run() async throws {
        var bound = try await NIOThreadPool.singleton.runIfActive { [address] in
            try SocketAddress.makeAddressResolvingHost(address.host, port: address.port)
        }
        // Whatever keeps it from being opened again may last, and is told of once.
        var told: String?
        while !Task.isCancelled {
            do {
                let (reading, sender) = try DatagramSender.bind(bound)
                let channel = try await read(reading)
                // One that was left to the system to choose stays the same.
                bound.port = channel.localAddress?.port
                told = nil
                await serve(channel, sender)
                if !Task.isCancelled { logger.error("gossip socket has closed, another one is opened") }
            } catch {
                guard isLost else { throw error }
                if told != "\(error)" {
                    logger.error("gossip socket cannot be opened again", metadata: ["error": "\(error)"])
                }
                told = "\(error)"
            }
            // Cut short when it is cancelled, which is looked at next.
            try? await Task.sleep(for: GossipLimits.reopenPause)
        }
    }

    private func read(_ socket: NIOBSDSocket.Handle) async throws -> any Channel {
        try await DatagramBootstrap(group: group)
            .channelInitializer { [self] channel in
                // From here on the channel owns the socket, and nobody else closes it where anything of this fails. So nothing of it is
                // an option of the bootstrap.
                let isReady = channel.eventLoop.makeCompletedFuture { try prepare(channel) }
                isReady.whenFailure { _ in channel.close(promise: nil) }
                return isReady
            }
            .withBoundSocket(socket).get()
    }

    private func prepare(_ channel: any Channel) throws {
        guard let options = channel.syncOptions else { throw ChannelError.operationUnsupported }
        try options.setOption(ChannelOptions.socketOption(.so_rcvbuf), value: GossipLimits.receiveBuffer)
        try options.setOption(ChannelOptions.maxMessagesPerRead, value: GossipLimits.datagramsAtOnce)
        try options.setOption(
            ChannelOptions.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: GossipLimits.datagramRead))
        try channel.pipeline.syncOperations.addHandler(
            DatagramHandler(receive: { self.receive($0, from: $1) }, logger: logger))
    }

    /// Returns when the channel has closed.
    private func serve(_ channel: any Channel, _ sender: DatagramSender) async {
        state.withLock { ($0.open, $0.wasOpen) = ((channel, sender), true) }
        dueChanged()
        await withTaskCancellationHandler {
            // It ends only by being closed, so there is nothing to learn from how.
            try? await channel.closeFuture.get()
        } onCancel: {
            channel.close(promise: nil)
        }
        state.withLock { $0.open = nil }
        alarm.withLock { alarm in
            alarm?.task.cancel()
            alarm = nil
        }
    }

    // MARK: - Time

    /// To be called when the next tick may be due earlier than it was; on any thread.
    package func dueChanged() {
        let due = due()
        guard let loop = state.withLock({ $0.open })?.channel.eventLoop else { return }
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
        guard let loop = state.withLock({ $0.open })?.channel.eventLoop else { return }
        let due = due()
        let now = BootClock.now()
        if now - time > GossipLimits.lateness, putOff < GossipLimits.ticksPutOff {
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

    private func write(_ message: SwimMessage, to target: SocketAddress) {
        guard let sender = state.withLock({ $0.open })?.sender, let sealed = try? seal.seal(message.serialized()),
            sealed.count <= Limits.datagramBytes, sender.send(sealed, to: target)
        else { return count { $0.unsent += 1 } }
        count { $0.sent += 1 }
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
