// A network of hosts for real processes. Each host is a network namespace with one interface; all of them are joined by a router,
// another namespace, in which a rule drops what goes from one host to another, in that direction alone and without a word to the
// sender: what a broken cable or a wrong filter does, and what closing a socket does not.
//
// Nothing of it reaches the machine's own network: no interface is made outside, and the addresses are those that RFC 2544 sets aside
// for tests. It needs root and ip(8), and nothing else: a filter of the kernel's would need another program, and does no more here.

import Foundation
import Glibc
import Synchronization

package final class TestNetwork: Sendable {
    private struct Host {
        /// In whose network it lives.
        let process: pid_t
        /// Nil where that is we ourselves.
        let child: HeldChild?
        let number: Int
    }

    /// `CLONE_NEWNET`.
    private static let newNetwork: Int32 = 0x4000_0000

    private let router: HeldChild
    private let hosts = Mutex<[String: Host]>([:])
    private let cuts = Mutex<Set<Cut>>([])

    /// One direction between two hosts.
    package struct Cut: Hashable, Sendable, Comparable, CustomStringConvertible {
        package let from: String
        package let to: String

        package init(from: String, to: String) {
            self.from = from
            self.to = to
        }

        package static func < (one: Cut, other: Cut) -> Bool { (one.from, one.to) < (other.from, other.to) }
        package var description: String { "\(from)->\(to)" }
    }

    /// Why there can be none here, or nil when there can.
    package static let missing: String? = {
        guard geteuid() == 0 else { return "network namespaces need root" }
        do {
            let network = try TestNetwork()
            try network.add("one")
            try network.add("two")
            try network.cut([Cut(from: "one", to: "two")])
            return nil
        } catch {
            return "\(error)"
        }
    }()

    package init() throws {
        router = try HeldChild(
            namespaces: ["-n"], setUp: "ip link set lo up && echo 1 >/proc/sys/net/ipv4/ip_forward")
    }

    /// Makes a host.
    /// - Returns: its address.
    @discardableResult
    package func add(_ name: String) throws -> String {
        let child = try HeldChild(namespaces: ["-n"])
        return try add(name, in: child.identifier, heldBy: child)
    }

    /// Makes this process a host, after `leaveMachine`.
    @discardableResult
    package func addOwn(_ name: String) throws -> String { try add(name, in: getpid(), heldBy: nil) }

    /// Gives this process a network of its own with nothing in it. A thread has what the thread had that made it, so this comes
    /// before there is another one.
    package static func leaveMachine() throws {
        typealias Unshare = @convention(c) (Int32) -> Int32
        guard let symbol = dlsym(nil, "unshare"), unsafeBitCast(symbol, to: Unshare.self)(Self.newNetwork) == 0 else {
            throw HeldChild.Refused("no network of its own for this process: error \(errno)")
        }
        // Foundation talks to itself over loopback before it starts the first program for us.
        _ = try HeldChild(namespaces: [], setUp: "ip link set lo up")
    }

    private func add(_ name: String, in process: pid_t, heldBy child: HeldChild?) throws -> String {
        let number = try hosts.withLock { hosts in
            guard hosts[name] == nil else { throw HeldChild.Refused("there is a host \(name) already") }
            let number = (hosts.values.map(\.number).max() ?? 0) + 1
            hosts[name] = Host(process: process, child: child, number: number)
            return number
        }
        try configure(
            router.identifier,
            [
                "link add host\(number) type veth peer name eth0 netns \(process)",
                "addr add 198.18.\(number).1/24 dev host\(number)", "link set host\(number) up",
            ])
        try configure(
            process,
            [
                "link set lo up", "addr add 198.18.\(number).2/24 dev eth0", "link set eth0 up",
                "route add default via 198.18.\(number).1",
            ])
        return Self.address(number)
    }

    package func address(of name: String) throws -> String { Self.address(try host(name).number) }

    // MARK: Cuts

    /// From now on, nothing of what goes in these directions arrives.
    package func cut(_ new: [Cut]) throws {
        let fresh = cuts.withLock { cuts in new.filter { cuts.insert($0).inserted } }
        try configure(router.identifier, try fresh.map { "rule add \(try rule($0))" })
    }

    package func heal(_ old: [Cut]) throws {
        let gone = cuts.withLock { cuts in old.filter { cuts.remove($0) != nil } }
        try configure(router.identifier, try gone.map { "rule del \(try rule($0))" })
    }

    package func healAll() throws { try heal(cuts.withLock { $0.sorted() }) }

    /// From now on this host has no network, and is told so by its own kernel with each datagram that it would send.
    package func unplug(_ name: String) throws { try configure(try host(name).process, ["link set eth0 down"]) }

    package func plug(_ name: String) throws {
        let host = try host(name)
        try configure(host.process, ["link set eth0 up", "route add default via 198.18.\(host.number).1"])
    }

    private func rule(_ cut: Cut) throws -> String {
        "from \(try address(of: cut.from)) to \(try address(of: cut.to)) blackhole"
    }

    // MARK: Processes and threads

    /// What to put before a program and its arguments for it to run on a host; it is the process that was started, not a child of it.
    package func prefix(on name: String) throws -> [String] {
        ["/usr/bin/env", "nsenter", "-t", String(try host(name).process), "-n", "--"]
    }

    /// Puts the calling thread on a host, for good: the sockets that it makes from now on are that host's.
    package func enter(_ name: String) throws {
        // Declared for C with GNU extensions only, which Swift's module of the C library leaves out.
        typealias SetNamespace = @convention(c) (Int32, Int32) -> Int32
        guard let symbol = dlsym(nil, "setns") else { throw HeldChild.Refused("this C library has no setns") }
        let file = open("/proc/\(try host(name).process)/ns/net", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        guard file >= 0, unsafeBitCast(symbol, to: SetNamespace.self)(file, Self.newNetwork) == 0 else {
            throw HeldChild.Refused("host \(name) cannot be entered: error \(errno)")
        }
    }

    // MARK: -

    private static func address(_ number: Int) -> String { "198.18.\(number).2" }

    private func host(_ name: String) throws -> Host {
        guard let host = hosts.withLock({ $0[name] }) else { throw HeldChild.Refused("there is no host \(name)") }
        return host
    }

    /// Lines of ip(8), all of them or an error.
    private func configure(_ host: pid_t, _ lines: [String]) throws {
        guard !lines.isEmpty else { return }
        let (process, input, errors) = (Process(), Pipe(), Pipe())
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["nsenter", "-t", String(host), "-n", "--", "ip", "-batch", "-"]
        process.standardInput = input
        process.standardError = errors
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data((lines.joined(separator: "\n") + "\n").utf8))
        try input.fileHandleForWriting.close()
        let said = try errors.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw HeldChild.Refused("ip \(lines): \(String(decoding: said, as: UTF8.self))")
        }
    }
}
