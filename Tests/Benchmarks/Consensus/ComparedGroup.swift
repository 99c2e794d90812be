// What the comparison asks of a group of three members, whoever made it. Both sides are asked over HTTP/1.1 with JSON and mutual TLS,
// by the same loader; what differs is said here and nowhere else.

import Client
import Glibc
import Identity
import KeyEncoding
import Launching
import NIOCore
import NIOHTTP1
import NIOSSL

struct GroupMember: Hashable, Sendable {
    /// Under which its process runs.
    let name: String
    /// On loopback, where clients ask.
    let port: Int
}

/// How fast a group notices that its leader is gone.
struct GroupTiming: Sendable {
    let electionMilliseconds: Int
    let heartbeatMilliseconds: Int

    /// What both groups do where nobody says anything.
    static let usual = GroupTiming(electionMilliseconds: 1_000, heartbeatMilliseconds: 100)
    static let short = GroupTiming(electionMilliseconds: 300, heartbeatMilliseconds: 50)

    var name: String { "election \(electionMilliseconds) ms" }
}

/// Whom a member follows.
struct GroupView: Sendable {
    /// Nil while it knows none.
    let leader: GroupMember?
    let term: UInt64
}

protocol ComparedGroup: Sendable {
    var title: String { get }
    var members: [GroupMember] { get }
    var cluster: BenchCluster { get }

    func start(_ member: GroupMember) throws
    func put(_ key: String, _ value: String) -> ClosedLoop.Request
    /// - Parameter isStale: answered from what the member has, without asking the others.
    func get(_ key: String, isStale: Bool) -> ClosedLoop.Request
    /// A stream of the changes of `key`.
    func watch(_ key: String) -> ClosedLoop.Request
    /// What stands in each notification of a change, and in nothing else on that stream.
    var notification: String { get }
    func view(of member: GroupMember) async throws -> GroupView
    func transfer(from leader: GroupMember, to successor: GroupMember) async throws
    /// How often a member has forced something to disk, by its own count.
    func flushes(of member: GroupMember) async throws -> Double
}

extension ComparedGroup {
    var loop: ClosedLoop { ClosedLoop(tls: cluster.context.tls) }

    func ask(_ request: ClosedLoop.Request, at member: GroupMember, milliseconds: Int64) async throws -> HTTPCalls.Answer {
        guard let method = HTTPCalls.Method(rawValue: request.method.rawValue) else {
            throw BenchFailure("\(request.method) is not asked")
        }
        return try await cluster.calls.call(
            method, "https://127.0.0.1:\(member.port)\(request.path)", body: request.body.isEmpty ? nil : request.body,
            milliseconds: milliseconds)
    }

    /// The leader, once every member that runs follows it.
    func leader() async throws -> GroupMember {
        try await cluster.eventually("\(title) to have a leader", within: 60) {
            let running = members.filter { cluster.local.children.isRunning($0.name) }
            var leaders: Set<GroupMember> = []
            for member in running {
                guard let leader = try await view(of: member).leader else { return nil }
                leaders.insert(leader)
            }
            return leaders.count == 1 ? leaders.first : nil
        }
    }

    /// A figure of `member`'s `/metrics`, by its name.
    func metric(_ name: String, port: Int) async throws -> Double {
        let answer = try await cluster.calls.call(.get, "http://127.0.0.1:\(port)/metrics", milliseconds: 2_000)
        let line = String(buffer: answer.content).split(separator: "\n").first { $0.hasPrefix(name + " ") }
        guard let value = line.flatMap({ Double($0.dropFirst(name.count + 1)) }) else {
            throw BenchFailure("\(title) does not say \(name)")
        }
        return value
    }

    /// What all members have used since they started.
    func cost() async throws -> BenchCluster.Cost {
        var (processor, syncs) = (0.0, 0.0)
        for member in members {
            guard let process = cluster.local.children.process(of: member.name) else { continue }
            processor += try ProcessFigures.processor(of: process)
            syncs += try await flushes(of: member)
        }
        return BenchCluster.Cost(processor: processor, syncs: syncs)
    }

    /// Memory of one member, the mean of all, in MB.
    func memory() throws -> (total: Double, anonymous: Double) {
        let found = try members.compactMap { cluster.local.children.process(of: $0.name) }.map(ProcessFigures.memory(of:))
        let count = Double(max(1, found.count))
        return (found.reduce(0) { $0 + $1.total } / count, found.reduce(0) { $0 + $1.anonymous } / count)
    }
}

/// What the kernel says of a process.
enum ProcessFigures {
    /// Seconds of processor time since its start.
    static func processor(of process: pid_t) throws -> Double {
        let text = try read(process, "stat")
        // After the program's name, which is in parentheses and may hold anything: the fourteenth and fifteenth fields.
        let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Resident megabytes: all, and those that no file stands for.
    static func memory(of process: pid_t) throws -> (total: Double, anonymous: Double) {
        let lines = try read(process, "status").split(separator: "\n")
        func megabytes(_ name: String) -> Double {
            let line = lines.first { $0.hasPrefix(name) }
            return (line.flatMap { Double($0.filter(\.isNumber)) } ?? 0) / 1_024
        }
        return (megabytes("VmRSS:"), megabytes("RssAnon:"))
    }

    static func loadAverage() -> Double {
        var averages = [0.0, 0.0, 0.0]
        return getloadavg(&averages, 3) > 0 ? averages[0] : .nan
    }

    private static func read(_ process: pid_t, _ file: String) throws -> String {
        String(decoding: try SecretFile.read("/proc/\(process)/\(file)"), as: UTF8.self)
    }
}
